#include <algorithm>

#include "kernels/launch.hpp"
#include "kernels/second_moment.hpp"
#include "kernels/shares.hpp"
#include "kernels/tensor.hpp"

// A tall matrix is multiplied by itself tile by tile. A block of 16 x 16 threads forms a tile of
// 64 x 64 numbers, 4 x 4 in the registers of each thread. It walks along the inner dimension in
// slabs of 16, which all threads bring to shared memory together: every number from there is then
// used by a whole row or column of threads, 64 times for one read of global memory.
//
// A second moment of 625 numbers squared has only 55 tiles on and above its diagonal, fewer than a
// large GPU has multiprocessors, so the slices are shared out as well: block (tile, share) sums the
// slices of its share, and a second kernel adds the shares in order.

namespace orrery::cuda {
namespace {

constexpr int side = 16;              // threads along an edge of the tile
constexpr int edge = 64;              // numbers along an edge of the tile
constexpr int each = edge / side;     // numbers of a thread along an edge
constexpr int depth = 16;             // inner indices in a slab
constexpr int threads = side * side;  // in a block
constexpr int pitch = edge + 4;       // of a slab's rows: shifts the banks of successive rows
constexpr int slab_size = depth * pitch;
constexpr int staged_pitch = edge + 1;  // of a tile read by columns: no two rows share a bank

/// 16 bytes, which a thread reads or writes at once: a quarter of the instructions.
template <class T>
struct alignas(16) Packet {
  static constexpr int length = 16 / sizeof(T);
  T number[length];
};

/// Where a thread's i-th number lies along an edge. Packets of neighbouring threads lie side by
/// side, so that a row of threads reads one unbroken stretch of the slab.
template <class T>
__device__ int place(int thread, int i) {
  constexpr int length = Packet<T>::length;
  return (i / length * side + thread) * length + i % length;
}

/// The thread's numbers from one row of a slab.
template <class T>
__device__ void load_row(const T* row, int thread, T (&numbers)[each]) {
  constexpr int length = Packet<T>::length;
#pragma unroll
  for (int i = 0; i < each; i += length) {
    const auto packet = *reinterpret_cast<const Packet<T>*>(row + place<T>(thread, i));
#pragma unroll
    for (int l = 0; l < length; ++l) numbers[i + l] = packet.number[l];
  }
}

template <class T>
__device__ void store_row(const T (&numbers)[each], T* row, int thread) {
  constexpr int length = Packet<T>::length;
#pragma unroll
  for (int i = 0; i < each; i += length) {
    Packet<T> packet;
#pragma unroll
    for (int l = 0; l < length; ++l) packet.number[l] = numbers[i + l];
    *reinterpret_cast<Packet<T>*>(row + place<T>(thread, i)) = packet;
  }
}

/// tile += left^T right over one slab; thread (x, y) owns columns place(x, .) and rows place(y, .).
template <class T>
__device__ void multiply_slabs(const T* left, const T* right, T (&tile)[each][each]) {
#pragma unroll
  for (int k = 0; k < depth; ++k) {
    T row[each], column[each];
    load_row(left + k * pitch, threadIdx.y, row);
    load_row(right + k * pitch, threadIdx.x, column);
#pragma unroll
    for (int r = 0; r < each; ++r)
#pragma unroll
      for (int c = 0; c < each; ++c) tile[r][c] += row[r] * column[c];
  }
}

struct TilePlace {
  Index row, column;
};

/// The tile-th tile of the upper triangle, counted along its rows.
__device__ TilePlace upper_tile(Index tile, Index tiles_a_side) {
  Index row = 0;
  for (; tile >= tiles_a_side - row; ++row) tile -= tiles_a_side - row;
  return {row, row + tile};
}

/// partial_m2[share][tile] = sum of z_j h_j h_j^T over the share's slices, in the tile;
/// partial_m1[share] = sum of z_j h_j.
template <class T>
__global__ void __launch_bounds__(threads)
    weighted_moment_shares(View<const T, 2> slices, View<const T, 1> weights, Index share_length,
                           View<T, 2> partial_m1, View<T, 3> partial_m2) {
  T* left = dynamic_shared<T>();
  T* right = left + slab_size;
  const Index d = slices.extent(1), share = blockIdx.y;
  const auto [tile_row, tile_column] = upper_tile(blockIdx.x, parts_of(d, edge));
  const Index begin = share * share_length;
  const Index end = std::min(begin + share_length, slices.extent(0));
  const int thread = threadIdx.y * side + threadIdx.x;
  const bool on_diagonal = tile_row == tile_column;

  T tile[each][each] = {};
  T first = 0;
  for (Index slab = begin; slab < end; slab += depth) {
    // Neighbouring threads take neighbouring numbers of a slice, in global and in shared memory.
    for (int i = thread; i < depth * edge; i += threads) {
      const int k = i / edge, e = i % edge;
      const Index j = slab + k, row = tile_row * edge + e, column = tile_column * edge + e;
      left[k * pitch + e] = j < end && row < d ? slices(j, row) : T(0);
      right[k * pitch + e] = j < end && column < d ? weights(j) * slices(j, column) : T(0);
    }
    __syncthreads();
    multiply_slabs(left, right, tile);
    // Tiles on the diagonal see each column once: they sum the first moment on the way.
    if (on_diagonal && thread < edge)
      for (int k = 0; k < depth; ++k) first += right[k * pitch + thread];
    __syncthreads();
  }

  const Index column = tile_column * edge + thread;
  if (on_diagonal && thread < edge && column < d) partial_m1(share, column) = first;
  T* out = &partial_m2(share, blockIdx.x, 0);
#pragma unroll
  for (int r = 0; r < each; ++r)
    store_row(tile[r], out + place<T>(threadIdx.y, r) * edge, threadIdx.x);
}

/// Adds the shares of a tile and writes it on both sides of the diagonal. The tile passes through
/// shared memory, so that its mirror image too is written along rows.
template <class T>
__global__ void __launch_bounds__(threads)
    add_moment_shares(View<const T, 2> partial_m1, View<const T, 3> partial_m2, View<T, 1> m1,
                      View<T, 2> m2) {
  T* staged = dynamic_shared<T>();
  const Index d = m1.extent(0), shares = partial_m1.extent(0);
  const auto [tile_row, tile_column] = upper_tile(blockIdx.x, parts_of(d, edge));
  const int thread = threadIdx.x;

  for (int i = thread; i < edge * edge; i += threads) {
    T sum = 0;
    for (Index share = 0; share < shares; ++share) sum += partial_m2(share, blockIdx.x, i);
    staged[i / edge * staged_pitch + i % edge] = sum;
  }
  __syncthreads();
  for (int i = thread; i < edge * edge; i += threads) {
    const int r = i / edge, c = i % edge;
    const Index row = tile_row * edge + r, column = tile_column * edge + c;
    if (row <= column && column < d) m2(row, column) = staged[r * staged_pitch + c];
    const Index mirror_row = tile_column * edge + r, mirror_column = tile_row * edge + c;
    if (mirror_row > mirror_column && mirror_row < d)
      m2(mirror_row, mirror_column) = staged[c * staged_pitch + r];
  }

  const Index column = tile_column * edge + thread;
  if (tile_row == tile_column && thread < edge && column < d) {
    T sum = 0;
    for (Index share = 0; share < shares; ++share) sum += partial_m1(share, column);
    m1(column) = sum;
  }
}

}  // namespace

template <class T>
void weighted_moments_forward(const Context& ctx, View<const T, 2> slices, View<const T, 1> weights,
                              View<T, 1> m1, View<T, 2> m2) {
  // As many shares as give a large GPU work for every multiprocessor, yet 64 slices or more in
  // each. Shapes alone decide, so that results do not depend on the device.
  constexpr Index enough_blocks = 512, shortest_share = 64;
  const Index slice_count = slices.extent(0), d = slices.extent(1);
  if (d == 0) return;
  const Index tiles_a_side = blocks_for(d, edge), tiles = tiles_a_side * (tiles_a_side + 1) / 2;
  const Index wanted =
      std::clamp<Index>(enough_blocks / tiles, 1, blocks_for(slice_count, shortest_share));
  const Index share_length = std::max<Index>(parts_of(slice_count, wanted), 1);
  const Index shares = blocks_for(slice_count, share_length);

  Tensor<T, 2> partial_m1(ctx, shares, d);
  Tensor<T, 3> partial_m2(ctx, shares, tiles, edge * edge);
  launch(ctx, "weighted moments, shares", weighted_moment_shares<T>, dim3(tiles, shares),
         dim3(side, side), 2 * slab_size * sizeof(T), slices, weights, share_length,
         partial_m1.view(), partial_m2.view());
  launch(ctx, "weighted moments, sum", add_moment_shares<T>, dim3(tiles), dim3(threads),
         edge * staged_pitch * sizeof(T), partial_m1.view(), partial_m2.view(), m1, m2);
}

template void weighted_moments_forward(const Context&, View<const float, 2>, View<const float, 1>,
                                       View<float, 1>, View<float, 2>);
template void weighted_moments_forward(const Context&, View<const double, 2>, View<const double, 1>,
                                       View<double, 1>, View<double, 2>);

}  // namespace orrery::cuda
