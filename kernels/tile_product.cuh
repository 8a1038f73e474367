#pragma once

// For CUDA sources only: how a block of threads multiplies two matrices that stream through shared
// memory, C (edge x edge) += A (edge x inner) B (inner x edge), on tensor cores or without them.
//
// A and B come in slabs of `depth` inner indices, by asynchronous copies some slabs ahead. Each
// warp owns a rectangle of C, in 16 x 8 tiles that lie in registers as the matrix instructions
// leave them (kernels/matrix_instructions.cuh), whatever the precision: what follows a product need
// not know.

#include "kernels/matrix_instructions.cuh"

namespace orrery {

/// Warps, and what each of them owns. 128: 8 warps of 64 x 32 numbers, 64 registers a thread, so
/// that two blocks share a multiprocessor and one computes while the other waits. 64: 4 warps of 32
/// x 32, for matrices that have few tiles of 128.
template <int edge_>
struct BlockTile {
  static constexpr int edge = edge_;
  static constexpr int warps_down = 2, warps_across = edge / 32;
  static constexpr int threads = 32 * warps_down * warps_across;
  static constexpr int blocks_a_multiprocessor = edge == 128 ? 2 : 4;
  static constexpr int tall = edge / warps_down / 16, wide = edge / warps_across / 8;
  static constexpr int depth = 16;
  static constexpr int stages = 3;

  /// A thread's numbers of C.
  template <class T>
  using Numbers = T[tall][wide][4];

  /// Row and column in C of number r of the warp's tile (m, n).
  static __device__ int row(int m, int r) {
    return (warp() / warps_across * tall + m) * 16 + lane() / 4 + r / 2 * 8;
  }
  static __device__ int column(int n, int r) {
    return (warp() % warps_across * wide + n) * 8 + lane() % 4 * 2 + r % 2;
  }

  static __device__ int warp() { return static_cast<int>(threadIdx.x) / 32; }
  static __device__ int lane() { return static_cast<int>(threadIdx.x) % 32; }
};

/// A slab whose rows in shared memory are inner indices. Rows are padded so that the 4 x 8 numbers
/// that a warp reads at once, inner by outer, lie in 32 different banks.
template <class Tile>
struct InnerRows {
  static constexpr int rows = Tile::depth, length = Tile::edge, pitch = length + 8;
  static __device__ int at(int inner, int outer) { return inner * pitch + outer; }
};

/// A slab whose rows are outer indices, padded to the same end.
template <class Tile>
struct OuterRows {
  static constexpr int rows = Tile::edge, length = Tile::depth, pitch = length + 4;
  static __device__ int at(int inner, int outer) { return outer * pitch + inner; }
};

/// Room for a slab of either kind, in numbers.
template <class Tile>
constexpr int slab_size =
    InnerRows<Tile>::rows* InnerRows<Tile>::pitch > OuterRows<Tile>::rows* OuterRows<Tile>::pitch
        ? InnerRows<Tile>::rows* InnerRows<Tile>::pitch
        : OuterRows<Tile>::rows* OuterRows<Tile>::pitch;

/// What a block needs in shared memory for its slabs, in bytes.
template <class Tile, class T>
constexpr int tile_product_bytes = 2 * Tile::stages* slab_size<Tile>* static_cast<int>(sizeof(T));

/// Starts to copy a slab. `from` is its first number in a row-major matrix with that row stride;
/// both are multiples of 16 bytes, and all of the slab lies inside the matrix. Neighbouring threads
/// copy neighbouring 16 bytes.
template <class Tile, class Slab, class T>
__device__ void copy_slab(const T* from, int stride, T* slab) {
  constexpr int packet = 16 / sizeof(T), packets = Slab::length / packet;
#pragma unroll
  for (int i = static_cast<int>(threadIdx.x); i < Slab::rows * packets; i += Tile::threads) {
    const int row = i / packets, first = i % packets * packet;
    copy_async<16>(slab + row * Slab::pitch + first, from + row * stride + first);
  }
}

/// c += A B over one slab. FP32 and double multiply without tensor cores, in the same places.
template <class Tile, Precision precision, class SlabA, class SlabB, class T>
__device__ void multiply_slab(const T* a, const T* b, typename Tile::template Numbers<T>& c) {
  if constexpr (precision == Precision::fp32) {
#pragma unroll 2
    for (int k = 0; k < Tile::depth; ++k) {
      T left[Tile::tall][2], right[Tile::wide][2];
#pragma unroll
      for (int m = 0; m < Tile::tall; ++m)
#pragma unroll
        for (int r = 0; r < 2; ++r) left[m][r] = a[SlabA::at(k, Tile::row(m, 2 * r))];
#pragma unroll
      for (int n = 0; n < Tile::wide; ++n)
#pragma unroll
        for (int r = 0; r < 2; ++r) right[n][r] = b[SlabB::at(k, Tile::column(n, r))];
#pragma unroll
      for (int m = 0; m < Tile::tall; ++m)
#pragma unroll
        for (int n = 0; n < Tile::wide; ++n)
#pragma unroll
          for (int r = 0; r < 4; ++r) c[m][n][r] += left[m][r / 2] * right[n][r % 2];
    }
  } else {
    using Number = typename Multiplier<precision>::Number;
    const int g = Tile::lane() / 4, t = Tile::lane() % 4;
    const int first_row = Tile::row(0, 0) - g, first_column = Tile::column(0, 0) - 2 * t;
#pragma unroll 1
    for (int k = 0; k < Tile::depth; k += 8) {
      Number right[Tile::wide][2];
#pragma unroll
      for (int n = 0; n < Tile::wide; ++n)
#pragma unroll
        for (int r = 0; r < 2; ++r)
          right[n][r] =
              Multiplier<precision>::of(b[SlabB::at(k + t + 4 * r, first_column + 8 * n + g)]);
#pragma unroll
      for (int m = 0; m < Tile::tall; ++m) {
        Number left[4];
#pragma unroll
        for (int r = 0; r < 4; ++r)
          left[r] = Multiplier<precision>::of(
              a[SlabA::at(k + t + r / 2 * 4, first_row + 16 * m + g + r % 2 * 8)]);
#pragma unroll
        for (int n = 0; n < Tile::wide; ++n) multiply_add(c[m][n], left, right[n]);
      }
    }
  }
}

/// Runs through the slabs s = 0 .. count - 1: `copy(s, a, b)` starts to copy slab s of both
/// matrices to a and b, `multiply(s, a, b)` uses them once they are there. One barrier a slab
/// serves both ends: it comes after the wait for this slab, and before the memory of the last one
/// is filled.
template <class Tile, class T, class Copy, class Multiply>
__device__ void for_each_slab(int count, Copy copy, Multiply multiply) {
  T* memory = dynamic_shared<T>();
  const auto a = [&](int s) { return memory + s % Tile::stages * 2 * slab_size<Tile>; };
  const auto b = [&](int s) { return a(s) + slab_size<Tile>; };
#pragma unroll
  for (int s = 0; s < Tile::stages - 1; ++s) {
    if (s < count) copy(s, a(s), b(s));
    commit_copies();
  }
  for (int s = 0; s < count; ++s) {
    wait_for_copies<Tile::stages - 2>();
    __syncthreads();
    const int ahead = s + Tile::stages - 1;
    if (ahead < count) copy(ahead, a(ahead), b(ahead));
    commit_copies();
    multiply(s, static_cast<const T*>(a(s)), static_cast<const T*>(b(s)));
  }
  __syncthreads();  // the memory may be used for something else
}

}  // namespace orrery
