#include "kernels/transpose.hpp"

#include <algorithm>

#include "kernels/check.hpp"
#include "kernels/shares.hpp"

namespace orrery {

namespace cuda {
template <class T>
void transpose(const Context& ctx, View<const T, 2> from, View<T, 2> to);
}

namespace {

// Tiles whose rows are whole cache lines on both sides, and which fit into the first cache.
constexpr Index tile = 32;
constexpr Index worth_a_thread = 8192;  // numbers

template <class T>
void transpose_tile(View<const T, 2> from, View<T, 2> to, Index row, Index column) {
  const Index rows = std::min(tile, from.extent(0) - row);
  const Index columns = std::min(tile, from.extent(1) - column);
  for (Index j = column; j < column + columns; ++j)
    for (Index i = row; i < row + rows; ++i) to(j, i) = from(i, j);
}

}  // namespace

template <class T>
void transpose(const Context& ctx, View<const T, 2> from, View<T, 2> to) {
  const Index rows = from.extent(0), columns = from.extent(1);
  require_shape("transpose", "to", to, {columns, rows});
  if (from.size() == 0) return;
  if constexpr (built_with_cuda)
    if (ctx.backend() == Backend::cuda) return cuda::transpose<T>(ctx, from, to);
  const int threads = threads_for(ctx, from.size(), worth_a_thread);
#pragma omp parallel for collapse(2) schedule(static) num_threads(threads) if (threads > 1)
  for (Index column = 0; column < columns; column += tile)
    for (Index row = 0; row < rows; row += tile) transpose_tile(from, to, row, column);
}

template void transpose(const Context&, View<const float, 2>, View<float, 2>);
template void transpose(const Context&, View<const double, 2>, View<double, 2>);

}  // namespace orrery
