#include "kernels/launch.hpp"

namespace orrery::cuda {
namespace {

constexpr unsigned tile = 32;
constexpr unsigned block_rows = 8;

// A block turns a tile of 32 x 32 in shared memory, so that a warp reads a row of the one matrix
// and writes a row of the other. The pitch of 33 spreads a column over all banks.
template <class T>
__global__ void __launch_bounds__(tile* block_rows)
    transpose_kernel(Index rows, Index columns, const T* from, T* to) {
  T* staged = dynamic_shared<T>();
  const Index row = static_cast<Index>(blockIdx.x) * tile;
  const Index column = static_cast<Index>(blockIdx.y) * tile;
  const Index x = threadIdx.x;
  for (Index y = threadIdx.y; y < tile; y += block_rows)
    if (row + y < rows && column + x < columns)
      staged[y * (tile + 1) + x] = from[(row + y) * columns + column + x];
  __syncthreads();
  for (Index y = threadIdx.y; y < tile; y += block_rows)
    if (column + y < columns && row + x < rows)
      to[(column + y) * rows + row + x] = staged[x * (tile + 1) + y];
}

}  // namespace

template <class T>
void transpose(const Context& ctx, View<const T, 2> from, View<T, 2> to) {
  const Index rows = from.extent(0), columns = from.extent(1);
  launch(ctx, "transpose", transpose_kernel<T>,
         dim3(blocks_for(rows, tile), blocks_for(columns, tile)), dim3(tile, block_rows),
         tile * (tile + 1) * sizeof(T), rows, columns, from.data, to.data);
}

template void transpose(const Context&, View<const float, 2>, View<float, 2>);
template void transpose(const Context&, View<const double, 2>, View<double, 2>);

}  // namespace orrery::cuda
