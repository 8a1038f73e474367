#pragma once

#include "kernels/context.hpp"
#include "kernels/view.hpp"

namespace orrery {

// Sums over any number of rows that come block by block, kept in double precision. Both are
// deterministic for the same blocks, whatever the number of threads.

/// sums[i] += sum_r rows[r,i]
/// Shapes   rows (R,n)  sums (n)
/// Throws   std::invalid_argument on a shape mismatch.
void add_rows(const Context& ctx, View<const float, 2> rows, View<double, 1> sums);

/// sums[i,j] += sum_r rows[r,i] rows[r,j],  i <= j: the upper triangle, packed row by row, of a
/// symmetric n x n matrix. A block's own sums are formed in float, by matrix products.
/// Shapes   rows (R,n)  sums (n (n+1) / 2), see packed_index
/// Throws   std::invalid_argument on a shape mismatch.
/// Cost     n^2 R flop and one pass over the sums: from about a thousand rows a block on, the
///          products are what it costs. CPU: OpenBLAS on fixed tiles, added while they are in the
///          cache; or matrix tiles (AMX), where the processor has them and the context's precision
///          is less than fp32. CUDA: cuBLAS in FP32, band by band of rows of the triangle.
/// Error    of a block's sums as a whole (Frobenius), relative: 2e-7 in FP32, up to 5e-6 on matrix
///          tiles; see kernels/row_products_tiles.hpp.
void add_row_products(const Context& ctx, View<const float, 2> rows, View<double, 1> sums);

/// Where (i, j), i <= j, of an n x n matrix lies in its packed upper triangle.
ORRERY_HOST_DEVICE constexpr Index packed_index(Index n, Index i, Index j) {
  return i * (2 * n - i - 1) / 2 + j;
}
constexpr Index packed_size(Index n) { return n * (n + 1) / 2; }

}  // namespace orrery
