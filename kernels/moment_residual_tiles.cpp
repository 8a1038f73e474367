#include "kernels/moment_residual_tiles.hpp"

#include "kernels/matrix_tiles.hpp"

#if ORRERY_WITH_MATRIX_TILES

#include <omp.h>

#include "kernels/matrix_tile_products.hpp"

// The same rounds of tiles as in kernels/moment_residual.cpp, but a tile is made of patches. With H
// the slices, z their weights and R the residual, the products are
//   forming a tile     H_I^T diag(z) H_K      left H_I^T,  right z H_K: pairs of slices
//   its columns take   H_I R_IK               left H_I,    right R_IK: pairs of rows
//   its rows take      H_K R_IK^T             left H_K,    right R_IK^T: pairs of columns
// so that slices are packed three times, and each tile twice on its way from sums to a factor.

namespace orrery::tiles {
namespace {

constexpr int longest_edge = 25;  // of a tile, in patches: 800 numbers
constexpr int tile_part = 5;      // rows of a tile that one task forms, in patches
constexpr int slice_part = 10;    // slices that one task multiplies, in patches
constexpr int inner_part = 20;    // of the sum over slices, so that a tile's factors stay in cache

using Problem = MomentResidualProblem<float>;

int parts_of(Index length, Index part) { return static_cast<int>((length + part - 1) / part); }
Index smaller(Index a, Index b) { return a < b ? a : b; }

struct Layout {
  int slices, columns;  // J and D in patches
  int inner;            // slices and factors of the target, in patches
  BlockRounds rounds;
  int edge;  // of a tile, in patches

  explicit Layout(const Problem& problem)
      : slices(parts_of(problem.slices.extents[0], patch)),
        columns(parts_of(problem.slices.extents[1], patch)),
        inner(slices + parts_of(problem.factored.factors.extents[0], patch)),
        rounds(parts_of(columns, longest_edge)),
        edge(parts_of(columns, rounds.count)) {}

  int begin(int block) const { return block * edge; }
  int width(int block) const {
    const int left = columns - begin(block);
    return left < 0 ? 0 : left < edge ? left : edge;
  }
};

/// The factors of products that slices make, and behind them the target's factors under negative
/// weights: patches follow one another along the inner index.
struct PackedSlices {
  Half* rows;      // H (slices, columns)
  Half* turned;    // H^T (columns, inner)
  Half* weighted;  // z H, pairs of slices (columns, inner)
};

/// Fills a patch of a (count, d) matrix, and one of it times its rows' weights times `sign`.
void read_patch(View<const float, 2> numbers, View<const float, 1> weights, float sign, Index row,
                Index column, Patch& plain, Patch& weighted) {
  const Index count = numbers.extents[0], d = numbers.extents[1];
  const Index width = smaller(patch, d - column);
  for (Index r = 0; r < patch; ++r) {
    const bool inside = row + r < count;
    const float z = inside ? sign * weights.data[row + r] : 0;
    float *h = plain.row(r), *zh = weighted.row(r);
    if (!inside || width < patch) std::memset(h, 0, sizeof plain.numbers[0]);
    if (inside) std::memcpy(h, numbers.data + (row + r) * d + column, width * sizeof(float));
    for (Index c = 0; c < patch; ++c) zh[c] = z * h[c];
  }
}

/// Packs a column of patches, and sums its part of the first moment.
void pack_column(const Problem& problem, const Layout& layout, int column,
                 const PackedSlices& packed) {
  const Index d = problem.slices.extents[1], begin = column * patch;
  alignas(64) float sums[patch] = {};
  Patch plain, weighted;
  for (int s = 0; s < layout.inner; ++s) {
    const Index down = (Index{column} * layout.inner + s) * patch_halves;
    if (s < layout.slices) {
      read_patch(problem.slices, problem.weights, 1, s * patch, begin, plain, weighted);
      for (Index r = 0; r < patch; ++r)
        for (Index c = 0; c < patch; ++c) sums[c] += weighted.row(r)[c];
      pack_rows(plain, packed.rows + (Index{s} * layout.columns + column) * patch_halves);
    } else {
      read_patch(problem.factored.factors, problem.factored.strengths, -1,
                 (s - layout.slices) * patch, begin, plain, weighted);
    }
    pack_columns(plain, packed.turned + down);
    pack_pairs_of_rows(weighted, packed.weighted + down);
  }
  for (Index c = 0; c < smaller(patch, d - begin); ++c)
    problem.first_residual.data[begin + c] = sums[c] - problem.first.data[begin + c];
}

/// Both packings of the tile of one pair: patch (k, i) of `straight` is a patch of R_IK, pairs of
/// its rows, and patch (i, k) of `turned` the same, pairs of its columns. A block's tile with
/// itself has all it needs in `straight`.
struct PackedTile {
  Half *straight, *turned;
};

/// sums -= the target's matrix there, if it is one, and zero beyond its end; the sum of the
/// squares.
double subtract_target(const Problem& problem, Index row, Index column, Patch& sums) {
  const Index d = problem.slices.extents[1];
  const Index height = smaller(patch, d - row), width = smaller(patch, d - column);
  double total = 0;
  for (Index r = 0; r < patch; ++r) {
    float* numbers = sums.row(r);
    const Index count = r < height ? width : 0;
    if (problem.second.data && count > 0) {
      const float* target = problem.second.data + (row + r) * d + column;
      for (Index c = 0; c < count; ++c) numbers[c] -= target[c];
    }
    for (Index c = count; c < patch; ++c) numbers[c] = 0;
#pragma omp simd reduction(+ : total)
    for (Index c = 0; c < patch; ++c) total += double(numbers[c]) * double(numbers[c]);
  }
  return total;
}

/// Rows [begin, end) of a pair's tile, in patches; returns their share of ||R||^2. `sums` has room
/// for tile_part x longest_edge patches.
double form_tile(const Problem& problem, const Layout& layout, BlockRounds::Pair pair, int begin,
                 int end, const PackedSlices& packed, const PackedTile& tile, Patch* sums) {
  const int first_row = layout.begin(pair.low), first_column = layout.begin(pair.high);
  const int width = layout.width(pair.high), inner = layout.inner;
  const bool on_diagonal = pair.low == pair.high;
  const auto first_of = [&](int i) { return on_diagonal ? i : 0; };

  for (int s = 0; s < inner; s += inner_part) {
    const Index count = smaller(inner_part, inner - s);
    for (int i = begin; i < end; ++i)
      for (int k = first_of(i); k < width; ++k) {
        float* sum = sums[(i - begin) * longest_edge + k].row(0);
        if (s == 0)
          clear_sums();
        else
          load_sums(sum);
        add_products(packed.turned + (Index{first_row + i} * inner + s) * patch_halves,
                     packed.weighted + (Index{first_column + k} * inner + s) * patch_halves, count);
        store_sums(sum);
      }
  }

  double norm = 0;
  for (int i = begin; i < end; ++i)
    for (int k = first_of(i); k < width; ++k) {
      Patch& r = sums[(i - begin) * longest_edge + k];
      const bool mirrored = !on_diagonal || i < k;
      norm += (mirrored ? 2 : 1) *
              subtract_target(problem, (first_row + i) * patch, (first_column + k) * patch, r);
      pack_pairs_of_rows(r, tile.straight + (Index{k} * layout.edge + i) * patch_halves);
      if (mirrored)
        pack_pairs_of_columns(r, (on_diagonal ? tile.straight : tile.turned) +
                                     (Index{i} * layout.edge + k) * patch_halves);
    }
  return norm;
}

/// products (=, +=) H R for patches [begin, end) of slices: inner indices in block `from`, columns
/// in block `to`.
void multiply_tile(const Problem& problem, const Layout& layout, int from, int to, int begin,
                   int end, const Half* rows, const Half* tile, bool add) {
  const Index d = problem.slices.extents[1];
  Patch sums;
  for (int k = 0; k < layout.width(to); ++k)
    for (int s = begin; s < end; ++s) {
      clear_sums();
      add_products(rows + (Index{s} * layout.columns + layout.begin(from)) * patch_halves,
                   tile + Index{k} * layout.edge * patch_halves, layout.width(from));
      store_sums(sums.row(0));
      const Index column = (layout.begin(to) + k) * patch, width = smaller(patch, d - column);
      const Index height = smaller(patch, problem.slices.extents[0] - s * patch);
      for (Index r = 0; r < height; ++r) {
        float* out = problem.products.data + (s * patch + r) * d + column;
        const float* sum = sums.row(r);
        if (add)
          for (Index c = 0; c < width; ++c) out[c] += sum[c];
        else
          for (Index c = 0; c < width; ++c) out[c] = sum[c];
      }
    }
}

/// How the scratch is shared out, in halves.
struct ScratchSizes {
  Index rows, turned, tile, all;

  explicit ScratchSizes(const Layout& layout)
      : rows(Index{layout.slices} * layout.columns * patch_halves),
        turned(Index{layout.inner} * layout.columns * patch_halves),
        tile(Index{layout.edge} * layout.edge * patch_halves),
        all(rows + 2 * turned + layout.rounds.pairs_a_round() * 2 * tile) {}
};

}  // namespace

Index moment_residual_scratch_bytes(const Problem& problem) {
  return ScratchSizes(Layout(problem)).all * static_cast<Index>(sizeof(Half));
}

void moment_residual(int threads, const Problem& problem, void* scratch) {
  const Layout layout(problem);
  const int pairs = layout.rounds.pairs_a_round();
  const int tile_parts = parts_of(layout.edge, tile_part);
  const int slice_parts = parts_of(layout.slices, slice_part);
  const ScratchSizes sizes(layout);
  Half* const first = static_cast<Half*>(scratch);
  const PackedSlices packed{first, first + sizes.rows, first + sizes.rows + sizes.turned};
  Half* const tiles = packed.weighted + sizes.turned;
  Aligned<double> norms(Index{layout.rounds.count} * pairs * tile_parts);
  norms.clear();
  Aligned<Patch> sums_of_each(threads * tile_part * longest_edge);
  const auto tile_of = [&](int i) {
    return PackedTile{tiles + 2 * i * sizes.tile, tiles + (2 * i + 1) * sizes.tile};
  };
  const auto form = [&](const RoundTask& task) {
    const int begin = task.part * tile_part, height = layout.width(task.pair.low);
    const int end = begin + tile_part < height ? begin + tile_part : height;
    norms[(task.round * pairs + task.place) * tile_parts + task.part] =
        form_tile(problem, layout, task.pair, begin, end, packed, tile_of(task.place),
                  sums_of_each + omp_get_thread_num() * tile_part * longest_edge);
  };
  const auto multiply = [&](const RoundTask& task, int from, int to) {
    const int begin = task.part * slice_part;
    const int end = begin + slice_part < layout.slices ? begin + slice_part : layout.slices;
    const PackedTile tile = tile_of(task.place);
    multiply_tile(problem, layout, from, to, begin, end, packed.rows,
                  from > to ? tile.turned : tile.straight, task.round > 0);
  };

#pragma omp parallel num_threads(threads)
  {
    const Tiles configured;
#pragma omp for schedule(dynamic)
    for (int column = 0; column < layout.columns; ++column)
      pack_column(problem, layout, column, packed);
    for_each_round(layout.rounds, tile_parts, slice_parts, form, multiply);
  }

  double* const squared_norms = problem.squared_norms.data;
  squared_norms[0] = squared_norms[1] = 0;
  for (Index i = 0; i < problem.slices.extents[1]; ++i)
    squared_norms[0] += double(problem.first_residual.data[i]) * problem.first_residual.data[i];
  for (int i = 0; i < layout.rounds.count * pairs * tile_parts; ++i) squared_norms[1] += norms[i];
}

}  // namespace orrery::tiles

#endif
