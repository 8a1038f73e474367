#include <algorithm>

#include "kernels/block_sum.cuh"
#include "kernels/moment_residual_problem.hpp"
#include "kernels/shares.hpp"
#include "kernels/tensor.hpp"
#include "kernels/tile_product.cuh"

// Two kernels take turns. The first forms the residual's tiles of some rounds of BlockRounds, each
// block of threads one tile; the second gives each block of threads a tile of the products, into
// whose registers it multiplies the tiles that its columns take part in, one in every round. Those
// tiles, the window, lie in memory of a fixed size that stays in the L2 cache. docs/method.md
// compares this with its alternatives.

namespace orrery::cuda {

namespace {

/// Slices in whole tiles, zeros beyond their end, each row aligned, so that the hot kernels copy 16
/// bytes at a time and ask no questions; rounded to the precision that they are multiplied in.
template <class T>
struct PaddedSlices {
  Tensor<T, 2> plain, weighted;  // h_j and z_j h_j, (slices, dimensions) rounded up to tiles
};

constexpr int share = 32;            // slices that one thread of spread_slices goes through
constexpr int spread_threads = 128;  // each of which has a column

/// Fills padded slices, and partial[share] = sum of z_j h_j over a share of the slices, where z_j
/// is their weight times `sign`.
template <Precision precision, class T>
__global__ void spread_slices(View<const T, 2> slices, View<const T, 1> weights, T sign,
                              View<T, 2> plain, View<T, 2> weighted, View<T, 2> partial) {
  const Index column = Index(blockIdx.x) * spread_threads + threadIdx.x;
  if (column >= plain.extent(1)) return;
  T sum = 0;
  for (Index j = Index(blockIdx.y) * share; j < (Index(blockIdx.y) + 1) * share; ++j) {
    const bool inside = j < slices.extent(0) && column < slices.extent(1);
    const T h = inside ? slices(j, column) : T(0), zh = inside ? sign * weights(j) * h : T(0);
    plain(j, column) = as_factor<precision>(h);
    weighted(j, column) = as_factor<precision>(zh);
    sum += zh;
  }
  partial(blockIdx.y, column) = sum;
}

/// residual = the sum of all shares, in order, - first
template <class T>
__global__ void subtract_first(View<const T, 2> partial, View<const T, 1> first,
                               View<T, 1> residual) {
  const Index i = Index(blockIdx.x) * spread_threads + threadIdx.x;
  if (i >= first.extent(0)) return;
  T sum = 0;
  for (Index s = 0; s < partial.extent(0); ++s) sum += partial(s, i);
  residual(i) = sum - first(i);
}

/// The rounds whose tiles lie in the window.
struct Window {
  BlockRounds rounds;
  int columns, blocks;  // D, and the blocks of columns that are not empty
  int first_round, round_count;
};
constexpr int most_rounds = 32;  // in a window

/// tiles[round in the window, pair] = weighted slices^T slices - second, over two blocks of
/// columns; norms[round, pair] = the sum of its squares, twice where it stands for its mirror image
/// too.
template <class Tile, Precision precision, class T>
__global__ void __launch_bounds__(Tile::threads, Tile::blocks_a_multiprocessor)
    form_tiles(View<const T, 2> plain, View<const T, 2> weighted, View<const T, 2> second,
               Window window, View<T, 4> tiles, View<double, 2> norms) {
  const int round = window.first_round + static_cast<int>(blockIdx.y);
  const auto [low, high] = window.rounds.pair(round, static_cast<int>(blockIdx.x));
  if (high >= window.blocks) {  // the empty block's
    if (threadIdx.x == 0) norms(round, blockIdx.x) = 0;
    return;
  }
  using Slab = InnerRows<Tile>;
  const int stride = static_cast<int>(plain.extent(1)), d = window.columns;
  const T* left = plain.data + Index(low) * Tile::edge;
  const T* right = weighted.data + Index(high) * Tile::edge;

  typename Tile::template Numbers<T> tile = {};
  for_each_slab<Tile, T>(
      static_cast<int>(plain.extent(0)) / Tile::depth,
      [&](int s, T* a, T* b) {
        copy_slab<Tile, Slab>(left + Index(s) * Tile::depth * stride, stride, a);
        copy_slab<Tile, Slab>(right + Index(s) * Tile::depth * stride, stride, b);
      },
      [&](int, const T* a, const T* b) { multiply_slab<Tile, precision, Slab, Slab>(a, b, tile); });

  T* out = &tiles(blockIdx.y, blockIdx.x, 0, 0);
  double sum = 0;
#pragma unroll
  for (int m = 0; m < Tile::tall; ++m)
#pragma unroll
    for (int n = 0; n < Tile::wide; ++n)
#pragma unroll
      for (int r = 0; r < 4; ++r) {
        const int i = Tile::row(m, r), k = Tile::column(n, r);
        const int row = low * Tile::edge + i, column = high * Tile::edge + k;
        T residual = 0;
        if (row < d && column < d)
          residual = tile[m][n][r] - (second.data ? second.data[Index(row) * d + column] : T(0));
        sum += double(residual) * double(residual);
        out[i * Tile::edge + k] = as_factor<precision>(residual);
      }
  sum = block_sum(sum, dynamic_shared<double>());
  if (threadIdx.x == 0) norms(round, blockIdx.x) = low == high ? sum : 2 * sum;
}

/// products (+)= slices R over the window's tiles of R: block (c, j) has column block c and slice
/// block j. In each round c is in one tile, either as its columns or as its rows.
template <class Tile, Precision precision, class T>
__global__ void __launch_bounds__(Tile::threads, Tile::blocks_a_multiprocessor)
    multiply_tiles(View<const T, 2> plain, View<const T, 4> tiles, Window window,
                   View<T, 2> products) {
  constexpr int slabs_a_tile = Tile::edge / Tile::depth;
  using SlabOfSlices = OuterRows<Tile>;
  using Above = InnerRows<Tile>;
  using Mirrored = OuterRows<Tile>;
  const int block = static_cast<int>(blockIdx.x);
  const int stride = static_cast<int>(plain.extent(1));
  const Index first_slice = Index(blockIdx.y) * Tile::edge;
  const T* slices = plain.data + first_slice * stride;

  // Whom c meets in the window's rounds, and where their tile lies; not the empty block.
  struct Meeting {
    int partner, tile;
  };
  auto* meetings =
      reinterpret_cast<Meeting*>(dynamic_shared<unsigned char>() + tile_product_bytes<Tile, T>);
  int count = 0;
  for (int r = 0; r < window.round_count; ++r) {
    const int round = window.first_round + r, partner = window.rounds.partner(round, block);
    if (partner >= window.blocks) continue;
    const int tile = r * window.rounds.pairs_a_round() + window.rounds.place(round, block);
    if (threadIdx.x == 0) meetings[count] = {partner, tile};
    ++count;
  }
  __syncthreads();

  typename Tile::template Numbers<T> tile = {};
  for_each_slab<Tile, T>(
      count * slabs_a_tile,
      [&](int s, T* a, T* b) {
        const Meeting meeting = meetings[s / slabs_a_tile];
        const int inner = s % slabs_a_tile * Tile::depth;
        copy_slab<Tile, SlabOfSlices>(slices + meeting.partner * Tile::edge + inner, stride, a);
        const T* of_tile = tiles.data + Index(meeting.tile) * Tile::edge * Tile::edge;
        if (meeting.partner <= block)
          copy_slab<Tile, Above>(of_tile + inner * Tile::edge, Tile::edge, b);
        else
          copy_slab<Tile, Mirrored>(of_tile + inner, Tile::edge, b);
      },
      [&](int s, const T* a, const T* b) {
        if (meetings[s / slabs_a_tile].partner <= block)
          multiply_slab<Tile, precision, SlabOfSlices, Above>(a, b, tile);
        else
          multiply_slab<Tile, precision, SlabOfSlices, Mirrored>(a, b, tile);
      });

  const bool add = window.first_round > 0;
#pragma unroll
  for (int m = 0; m < Tile::tall; ++m)
#pragma unroll
    for (int n = 0; n < Tile::wide; ++n)
#pragma unroll
      for (int r = 0; r < 4; ++r) {
        const Index j = first_slice + Tile::row(m, r);
        const Index column = block * Tile::edge + Tile::column(n, r);
        if (j < products.extent(0) && column < products.extent(1)) {
          T& product = products(j, column);
          product = add ? product + tile[m][n][r] : tile[m][n][r];
        }
      }
}

constexpr int norm_threads = 256;

/// squared_norms = (||residual||^2, the sum of norms), by one block.
template <class T>
__global__ void add_norms(View<const T, 1> residual, View<const double, 1> norms,
                          View<double, 1> squared_norms) {
  double first = 0, second = 0;
  for (Index i = threadIdx.x; i < residual.extent(0); i += norm_threads)
    first += double(residual(i)) * double(residual(i));
  for (Index i = threadIdx.x; i < norms.extent(0); i += norm_threads) second += norms(i);
  first = block_sum(first, dynamic_shared<double>());
  second = block_sum(second, dynamic_shared<double>());
  if (threadIdx.x == 0) {
    squared_norms(0) = first;
    squared_norms(1) = second;
  }
}

/// A block finishes the gradients of one slice.
template <class T>
__global__ void finish_gradients(View<const T, 2> slices, View<const T, 1> weights,
                                 View<const T, 1> first_residual, View<const double, 1> factors,
                                 View<T, 2> products_to_dslices, View<T, 1> dweights) {
  const Index j = blockIdx.x, d = slices.extent(1);
  const T a = T(factors(0)), b = T(factors(1)), z = weights(j);
  T dweight = 0;
  for (Index i = threadIdx.x; i < d; i += norm_threads) {
    T& g = products_to_dslices(j, i);
    const T from_first = a * first_residual(i), from_second = b * g;
    dweight += slices(j, i) * (from_first + from_second);
    g = z * (from_first + 2 * from_second);
  }
  dweight = block_sum(dweight, dynamic_shared<T>());
  if (threadIdx.x == 0) dweights(j) = dweight;
}

template <class Tile, Precision precision, class T>
void residual_in_tiles(const Context& ctx, const MomentResidualProblem<T>& problem) {
  const Index slice_count = problem.slices.extent(0), d = problem.slices.extent(1);
  const Index blocks = blocks_for(d, Tile::edge),
              slice_blocks = blocks_for(slice_count, Tile::edge);
  const Index rows = slice_blocks * Tile::edge, columns = blocks * Tile::edge;

  // The target's factors, if it has any, lie behind the slices.
  const auto& [factors, strengths] = problem.factored;
  const Index factor_count = factors.extent(0);
  const Index factor_rows = parts_of(factor_count, share) * share, all = rows + factor_rows;
  PaddedSlices<T> padded{Tensor<T, 2>(ctx, all, columns), Tensor<T, 2>(ctx, all, columns)};
  Tensor<T, 2> partial(ctx, all / share, columns);
  const auto spread = [&](View<const T, 2> from, View<const T, 1> under, T sign, Index first_row,
                          Index count) {
    launch(ctx, "moment residual, slices", spread_slices<precision, T>,
           dim3(blocks_for(columns, spread_threads), static_cast<unsigned>(count / share)),
           dim3(spread_threads), 0, from, under, sign, padded.plain.view().rows(first_row, count),
           padded.weighted.view().rows(first_row, count),
           partial.view().rows(first_row / share, count / share));
  };
  spread(problem.slices, problem.weights, T(1), 0, rows);
  if (factor_count > 0) spread(factors, strengths, T(-1), rows, factor_rows);
  launch(ctx, "moment residual, first", subtract_first<T>, dim3(blocks_for(d, spread_threads)),
         dim3(spread_threads), 0, partial.view().rows(0, rows / share), problem.first,
         problem.first_residual);

  // As many tiles as a large GPU has blocks at work, and as fit into its L2 cache beside the
  // slices.
  constexpr int tiles_at_once = Tile::edge == 128 ? 288 : 128;
  const BlockRounds rounds(static_cast<int>(blocks));
  const int pairs = rounds.pairs_a_round();
  const int longest = std::clamp(tiles_at_once / pairs, 1, most_rounds);
  const int rounds_a_window =
      static_cast<int>(parts_of(rounds.count, parts_of(rounds.count, longest)));
  Tensor<T, 4> tiles(ctx, rounds_a_window, pairs, Tile::edge, Tile::edge);
  Tensor<double, 2> norms(ctx, rounds.count, pairs);
  constexpr std::size_t shared = tile_product_bytes<Tile, T>;
  constexpr std::size_t shared_with_meetings = shared + most_rounds * 2 * sizeof(int);
  for (int round = 0; round < rounds.count; round += rounds_a_window) {
    const Window window{rounds, static_cast<int>(d), static_cast<int>(blocks), round,
                        std::min(rounds_a_window, rounds.count - round)};
    launch(ctx, "moment residual, tiles", form_tiles<Tile, precision, T>,
           dim3(static_cast<unsigned>(pairs), static_cast<unsigned>(window.round_count)),
           dim3(Tile::threads), shared, padded.plain.view(), padded.weighted.view(), problem.second,
           window, tiles.view(), norms.view());
    launch(ctx, "moment residual, products", multiply_tiles<Tile, precision, T>,
           dim3(blocks, slice_blocks), dim3(Tile::threads), shared_with_meetings,
           padded.plain.view(), tiles.view(), window, problem.products);
  }
  launch(ctx, "moment residual, norms", add_norms<T>, dim3(1), dim3(norm_threads),
         block_combine_numbers(norm_threads) * sizeof(double), problem.first_residual,
         norms.view().flat(), problem.squared_norms);
}

template <Precision precision, class T>
void residual_in_precision(const Context& ctx, const MomentResidualProblem<T>& problem) {
  // Small matrices have too few large tiles to go round.
  constexpr Index small = 1024;
  if constexpr (sizeof(T) == sizeof(float))
    if (problem.slices.extent(1) > small)
      return residual_in_tiles<BlockTile<128>, precision>(ctx, problem);
  residual_in_tiles<BlockTile<64>, precision>(ctx, problem);
}

}  // namespace

template <class T>
void moment_residual(const Context& ctx, const MomentResidualProblem<T>& problem) {
  if constexpr (sizeof(T) == sizeof(double))
    residual_in_precision<Precision::fp32>(ctx, problem);
  else
    with_precision(ctx.precision(),
                   [&](auto precision) { residual_in_precision<precision>(ctx, problem); });
}

template <class T>
void moment_residual_gradients(const Context& ctx, View<const T, 2> slices,
                               View<const T, 1> weights, View<const T, 1> first_residual,
                               View<const double, 1> factors, View<T, 2> products_to_dslices,
                               View<T, 1> dweights) {
  if (slices.extent(0) == 0) return;
  launch(ctx, "moment residual, gradients", finish_gradients<T>,
         dim3(static_cast<unsigned>(slices.extent(0))), dim3(norm_threads),
         block_combine_numbers(norm_threads) * sizeof(T), slices, weights, first_residual, factors,
         products_to_dslices, dweights);
}

template void moment_residual(const Context&, const MomentResidualProblem<float>&);
template void moment_residual(const Context&, const MomentResidualProblem<double>&);
template void moment_residual_gradients<float>(const Context&, View<const float, 2>,
                                               View<const float, 1>, View<const float, 1>,
                                               View<const double, 1>, View<float, 2>,
                                               View<float, 1>);
template void moment_residual_gradients<double>(const Context&, View<const double, 2>,
                                                View<const double, 1>, View<const double, 1>,
                                                View<const double, 1>, View<double, 2>,
                                                View<double, 1>);

}  // namespace orrery::cuda
