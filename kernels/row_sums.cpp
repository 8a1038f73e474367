#include "kernels/row_sums.hpp"

#include <omp.h>

#include <algorithm>
#include <vector>

#include "kernels/check.hpp"
#include "kernels/cuda_runtime.hpp"
#include "kernels/gemm.hpp"
#include "kernels/large_tensor.hpp"
#include "kernels/matrix_tiles.hpp"
#include "kernels/parallel_for.hpp"
#include "kernels/row_products_tiles.hpp"
#include "kernels/shares.hpp"
#include "kernels/tensor.hpp"

namespace orrery {
namespace {

constexpr Index rows_a_share = 128;

/// The sum of a share of the rows in a strip of `width` neighbouring columns. On the host a strip
/// is what fits into vector registers; on a device neighbouring threads take neighbouring columns.
template <int width>
struct SumShare {
  const float* rows;
  Index count, n, strips;
  double* shares;  // (shares, n)

  ORRERY_HOST_DEVICE void operator()(Index task) const {
    const Index share = task / strips, first = task % strips * width;
    const Index begin = share * rows_a_share;
    const Index end = begin + rows_a_share < count ? begin + rows_a_share : count;
    const Index columns = width < n - first ? width : n - first;
    double sum[width] = {};
    for (Index r = begin; r < end; ++r)
      for (Index i = 0; i < columns; ++i) sum[i] += static_cast<double>(rows[r * n + first + i]);
    for (Index i = 0; i < columns; ++i) shares[share * n + first + i] = sum[i];
  }
};

struct AddShares {
  const double* shares;
  Index count, n;
  double* sums;

  ORRERY_HOST_DEVICE void operator()(Index i) const {
    double sum = 0;
    for (Index share = 0; share < count; ++share) sum += shares[share * n + i];
    sums[i] += sum;
  }
};

template <int width>
void add_shares(const Context& ctx, View<const float, 2> rows, View<double, 1> sums) {
  const Index count = rows.extent(0), n = rows.extent(1);
  const Index shares = parts_of(count, rows_a_share), strips = parts_of(n, width);
  Tensor<double, 2> partial(ctx, shares, n);
  parallel_for(ctx, "sums of shares of rows", shares * strips,
               SumShare<width>{rows.data, count, n, strips, partial.data()}, rows_a_share * width);
  parallel_for(ctx, "sums of rows", n, AddShares{partial.data(), shares, n, sums.data}, shares);
}

// Tiles large enough that multiplying them costs more than packing them, and small enough that a
// tile of products is still in the cache when it is added.
constexpr Index longest_tile = 512, shortest_tile = 128, enough_tasks = 24;

/// Depends on the size alone: the sums do not depend on the number of threads.
Index tile_of(Index n) {
  const auto tasks = [n](Index tile) {
    const Index tiles = parts_of(n, tile);
    return tiles * (tiles + 1) / 2;
  };
  Index tile = longest_tile;
  while (tile > shortest_tile && tasks(tile) < enough_tasks) tile /= 2;
  return tile;
}

/// Adds the products of columns [i, i + height) with columns [j, j + width), on the diagonal the
/// upper half of them.
void add_rectangle(const float* rows, Index count, Index n, Index i, Index j, Index height,
                   Index width, float* products, double* sums) {
  blas::gemm<float>(Transpose::yes, Transpose::no, height, width, count, 1, rows + i, n, rows + j,
                    n, 0, products, width);
  for (Index r = 0; r < height; ++r) {
    const Index first = i == j ? r : 0;
    const float* from = products + r * width;
    double* to = sums + packed_index(n, i + r, j);
#pragma omp simd
    for (Index q = first; q < width; ++q) to[q] += static_cast<double>(from[q]);
  }
}

/// A tile of the triangle. One on the diagonal is cut into bands, of which each begins at the
/// diagonal: little is multiplied in vain.
void add_tile(const float* rows, Index count, Index n, Index i, Index j, Index height, Index width,
              float* products, double* sums) {
  if (i != j) return add_rectangle(rows, count, n, i, j, height, width, products, sums);
  for (Index band = 0; band < height; band += shortest_tile)
    add_rectangle(rows, count, n, i + band, i + band, std::min(shortest_tile, height - band),
                  width - band, products, sums);
}

void add_tiles(const Context& ctx, View<const float, 2> rows, View<double, 1> sums) {
  blas::load();
  const Index count = rows.extent(0), n = rows.extent(1), tile = tile_of(n);
  struct Corner {
    Index i, j;
  };
  std::vector<Corner> corners;
  for (Index i = 0; i < n; i += tile)
    for (Index j = i; j < n; j += tile) corners.push_back({i, j});

  Tensor<float, 3> products(ctx, ctx.threads(), tile, tile);
#pragma omp parallel for schedule(dynamic) num_threads(ctx.threads()) if (ctx.threads() > 1)
  for (std::size_t task = 0; task < corners.size(); ++task) {
    const auto [i, j] = corners[task];
    add_tile(rows.data, count, n, i, j, std::min(tile, n - i), std::min(tile, n - j),
             products.view()[omp_get_thread_num()].data, sums.data);
  }
}

/// Adds rows [first, first + height) of the products, from column `first` on.
struct AddBand {
  const float* band;
  Index n, first;
  double* sums;

  ORRERY_HOST_DEVICE void operator()(Index task) const {
    const Index width = n - first;
    const Index r = task / width, q = task % width;
    if (q >= r) sums[packed_index(n, first + r, first + q)] += static_cast<double>(band[task]);
  }
};

void add_bands(const Context& ctx, View<const float, 2> rows, View<double, 1> sums) {
  const Index count = rows.extent(0), n = rows.extent(1);
  // Bands that keep the multiplication busy, and their products few.
  constexpr Index tallest = 1024;
  Tensor<float, 2> band(ctx, std::min(tallest, n), n);
  for (Index first = 0; first < n; first += tallest) {
    const Index height = std::min(tallest, n - first), width = n - first;
    cuda::gemm<float>(ctx.device(), true, false, height, width, count, 1, rows.data + first, n,
                      rows.data + first, n, 0, band.data(), width);
    parallel_for(ctx, "add a band of products", height * width,
                 AddBand{band.data(), n, first, sums.data});
  }
}

}  // namespace

void add_rows(const Context& ctx, View<const float, 2> rows, View<double, 1> sums) {
  require_shape("add_rows", "sums", sums, {rows.extent(1)});
  if (rows.size() == 0) return;
  if (ctx.backend() == Backend::cuda)
    add_shares<1>(ctx, rows, sums);
  else
    add_shares<16>(ctx, rows, sums);
}

void add_row_products(const Context& ctx, View<const float, 2> rows, View<double, 1> sums) {
  require_shape("add_row_products", "sums", sums, {packed_size(rows.extent(1))});
  if (rows.size() == 0) return;
  if constexpr (built_with_cuda)
    if (ctx.backend() == Backend::cuda) return add_bands(ctx, rows, sums);
  constexpr Index worth_packing = 200;  // columns
  const Index count = rows.extent(0), n = rows.extent(1);
  if constexpr (built_with_matrix_tiles)
    if (ctx.precision() != Precision::fp32 && n >= worth_packing && tiles::available()) {
      auto scratch =
          large_tensor<unsigned char, 1>(ctx, tiles::row_products_scratch_bytes(count, n));
      return tiles::add_row_products(ctx.threads(), rows.data, count, n, sums.data, scratch.data());
    }
  add_tiles(ctx, rows, sums);
}

}  // namespace orrery
