#include <algorithm>

#include "kernels/launch.hpp"
#include "kernels/second_moment.hpp"
#include "kernels/tensor.hpp"

// Both directions multiply tall matrices tile by tile. A block of 16 x 16 threads forms a tile of
// 64 x 64 numbers, 4 x 4 in the registers of each thread. It walks along the inner dimension in
// slabs of 16, which all threads bring to shared memory together: every number from there is then
// used by a whole row or column of threads, 64 times for one read of global memory.

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

// Forward. A second moment of 625 numbers squared has only 55 tiles on and above its diagonal,
// fewer than a large GPU has multiprocessors, so the slices are shared out as well: block (tile,
// share) sums the slices of its share, and a second kernel adds the shares in order.

/// partial_m2[share][tile] = sum of z_j h_j h_j^T over the share's slices, in the tile;
/// partial_m1[share] = sum of z_j h_j.
template <class T>
__global__ void __launch_bounds__(threads)
    weighted_moment_shares(View<const T, 2> slices, View<const T, 1> weights, Index share_length,
                           View<T, 2> partial_m1, View<T, 3> partial_m2) {
  T* left = dynamic_shared<T>();
  T* right = left + slab_size;
  const Index d = slices.extent(1), share = blockIdx.y;
  const auto [tile_row, tile_column] = upper_tile(blockIdx.x, (d + edge - 1) / edge);
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
  const auto [tile_row, tile_column] = upper_tile(blockIdx.x, (d + edge - 1) / edge);
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

// Backward. Each block forms a tile of g = b A dm2 (slices down, dimensions across) and finishes it
// in registers: gradients of its slices, and what its columns add to the gradients of the weights.

/// partial[tile_column][j] = sum of h_j (a dm1 + g_j) over the tile's columns.
template <class T>
__global__ void __launch_bounds__(threads)
    weighted_moment_gradients(View<const T, 2> slices, View<const T, 1> weights, T a,
                              View<const T, 1> dm1, T b, View<const T, 2> dm2, View<T, 2> dslices,
                              View<T, 2> partial) {
  T* left = dynamic_shared<T>();
  T* right = left + slab_size;
  const Index slice_count = slices.extent(0), d = slices.extent(1);
  const Index first_slice = Index(blockIdx.y) * edge, first_column = Index(blockIdx.x) * edge;
  const int thread = threadIdx.y * side + threadIdx.x;

  T tile[each][each] = {};
  for (Index slab = 0; slab < d; slab += depth) {
    // The left slab holds slices turned on their sides: 16 neighbouring threads read 16 numbers of
    // one slice, and the pitch spreads their writes over the banks.
    for (int i = thread; i < depth * edge; i += threads) {
      const int k = i % depth, e = i / depth;
      const Index j = first_slice + e, inner = slab + k;
      left[k * pitch + e] = j < slice_count && inner < d ? slices(j, inner) : T(0);
    }
    for (int i = thread; i < depth * edge; i += threads) {
      const int k = i / edge, e = i % edge;
      const Index inner = slab + k, column = first_column + e;
      right[k * pitch + e] = inner < d && column < d ? dm2(inner, column) : T(0);
    }
    __syncthreads();
    multiply_slabs(left, right, tile);
    __syncthreads();
  }

  // The slabs are done with: their memory takes, for each row, what each thread's columns add.
  T* added = left;
  constexpr int added_pitch = side + 1;
#pragma unroll
  for (int r = 0; r < each; ++r) {
    const int e = place<T>(threadIdx.y, r);
    const Index j = first_slice + e;
    T dweight = 0;
#pragma unroll
    for (int c = 0; c < each; ++c) {
      const Index column = first_column + place<T>(threadIdx.x, c);
      if (j < slice_count && column < d) {
        const T first = a * dm1(column), g = b * tile[r][c];
        dweight += slices(j, column) * (first + g);
        dslices(j, column) = weights(j) * (first + 2 * g);
      }
    }
    added[e * added_pitch + threadIdx.x] = dweight;
  }
  __syncthreads();
  if (thread < edge && first_slice + thread < slice_count) {
    T sum = 0;
    for (int x = 0; x < side; ++x) sum += added[thread * added_pitch + x];
    partial(blockIdx.x, first_slice + thread) = sum;
  }
}

/// sums[j] = the sum of column j of `partial`, in order.
template <class T>
__global__ void add_columns(View<const T, 2> partial, View<T, 1> sums) {
  const Index j = Index(blockIdx.x) * threads + threadIdx.x;
  if (j >= sums.extent(0)) return;
  T sum = 0;
  for (Index i = 0; i < partial.extent(0); ++i) sum += partial(i, j);
  sums(j) = sum;
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
  const Index share_length = std::max<Index>((slice_count + wanted - 1) / wanted, 1);
  const Index shares = blocks_for(slice_count, share_length);

  Tensor<T, 2> partial_m1(ctx, shares, d);
  Tensor<T, 3> partial_m2(ctx, shares, tiles, edge * edge);
  launch(ctx, "weighted moments, shares", weighted_moment_shares<T>, dim3(tiles, shares),
         dim3(side, side), 2 * slab_size * sizeof(T), slices, weights, share_length,
         partial_m1.view(), partial_m2.view());
  launch(ctx, "weighted moments, sum", add_moment_shares<T>, dim3(tiles), dim3(threads),
         edge * staged_pitch * sizeof(T), partial_m1.view(), partial_m2.view(), m1, m2);
}

template <class T>
void weighted_moments_backward(const Context& ctx, View<const T, 2> slices,
                               View<const T, 1> weights, T a, View<const T, 1> dm1, T b,
                               View<const T, 2> dm2, View<T, 2> dslices, View<T, 1> dweights) {
  const Index slice_count = slices.extent(0), d = slices.extent(1);
  if (slice_count == 0) return;
  const Index tiles = blocks_for(d, edge);
  Tensor<T, 2> partial(ctx, tiles, slice_count);
  launch(ctx, "weighted moments, gradients", weighted_moment_gradients<T>,
         dim3(tiles, blocks_for(slice_count, edge)), dim3(side, side), 2 * slab_size * sizeof(T),
         slices, weights, a, dm1, b, dm2, dslices, partial.view());
  launch(ctx, "weighted moments, weight gradients", add_columns<T>,
         dim3(blocks_for(slice_count, threads)), dim3(threads), 0, partial.view(), dweights);
}

#define ORRERY_INSTANTIATE(T)                                                                      \
  template void weighted_moments_forward<T>(const Context&, View<const T, 2>, View<const T, 1>,    \
                                            View<T, 1>, View<T, 2>);                               \
  template void weighted_moments_backward<T>(const Context&, View<const T, 2>, View<const T, 1>,   \
                                             T, View<const T, 1>, T, View<const T, 2>, View<T, 2>, \
                                             View<T, 1>);
ORRERY_INSTANTIATE(float)
ORRERY_INSTANTIATE(double)
#undef ORRERY_INSTANTIATE

}  // namespace orrery::cuda
