#pragma once

// For CUDA sources only: a warp's tile of a matrix product, both factors in shared memory, in FP32,
// TF32 or three products of TF32. Every lane keeps its numbers of the sum in registers, where those
// of the tensor cores lie: with g = lane / 4 and t = lane % 4, rows 16 i + 8 h + g and columns 8 j
// + 2 t + {0, 1}.

#include "kernels/matrix_instructions.cuh"

namespace orrery {

/// Two neighbouring numbers, read or written at once; the first lies on 8 bytes.
__device__ __forceinline__ float2& pair_at(float* first) {
  return *reinterpret_cast<float2*>(first);
}
__device__ __forceinline__ const float2& pair_at(const float* first) {
  return *reinterpret_cast<const float2*>(first);
}

/// Calls use(row, column, first, second) for each two neighbouring numbers of the lane's.
template <int row_tiles, int column_tiles, class Use>
__device__ __forceinline__ void for_each_pair(const float (&sum)[row_tiles][column_tiles][4],
                                              Use use) {
  const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
  for (int i = 0; i < row_tiles; ++i)
#pragma unroll
    for (int j = 0; j < column_tiles; ++j)
#pragma unroll
      for (int h = 0; h < 2; ++h)
        use(16 * i + 8 * h + g, 8 * j + 2 * t, sum[i][j][2 * h], sum[i][j][2 * h + 1]);
}

/// The left factor, row r and inner index k: at numbers[r pitch + k]. Inner indices 2 t and 2 t + 1
/// of every eight are a lane's, which it reads at once. (The order of inner indices is free, as
/// long as it is the same for both factors.) No two lanes meet in a bank where the left pitch is
/// 8 and the right one is 4 or 12, modulo 32 and 16.
struct LeftByRows {
  const float* numbers;
  int pitch;

  static __device__ __forceinline__ int inner(int t, int which) { return 2 * t + which; }
  __device__ __forceinline__ float at(int row, int k) const { return numbers[row * pitch + k]; }
  __device__ __forceinline__ float2 pair(int row, int k, int t) const {
    return pair_at(numbers + row * pitch + k + 2 * t);
  }
};

/// The left factor at numbers[k pitch + r], its transpose as it lies in memory. Inner indices t and
/// t + 4 are a lane's. No two lanes meet in a bank where both pitches are 8 modulo 32.
struct LeftByColumns {
  const float* numbers;
  int pitch;

  static __device__ __forceinline__ int inner(int t, int which) { return t + 4 * which; }
  __device__ __forceinline__ float at(int row, int k) const { return numbers[k * pitch + row]; }
  __device__ __forceinline__ float2 pair(int row, int k, int t) const {
    return make_float2(at(row, k + t), at(row, k + t + 4));
  }
};

/// The right factor, inner index k and column c: at numbers[k pitch + c].
struct Right {
  const float* numbers;
  int pitch;

  __device__ __forceinline__ float at(int k, int column) const {
    return numbers[k * pitch + column];
  }
  __device__ __forceinline__ float2 pair(int k, int column) const {
    return pair_at(numbers + k * pitch + column);
  }
};

namespace detail {

template <Precision precision, int depth, class Left, int row_tiles, int column_tiles>
__device__ __forceinline__ void multiply_on_tensor_cores(const Left& left, const Right& right,
                                                         float (&sum)[row_tiles][column_tiles][4]) {
  using M = Multiplier<precision>;
  const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll 2
  for (int k = 0; k < depth; k += 8) {
    typename M::Number a[row_tiles][4];
#pragma unroll
    for (int i = 0; i < row_tiles; ++i) {
      const float2 upper = left.pair(16 * i + g, k, t), lower = left.pair(16 * i + g + 8, k, t);
      a[i][0] = M::of(upper.x);
      a[i][1] = M::of(lower.x);
      a[i][2] = M::of(upper.y);
      a[i][3] = M::of(lower.y);
    }
#pragma unroll
    for (int j = 0; j < column_tiles; ++j) {
      const typename M::Number b[2] = {M::of(right.at(k + Left::inner(t, 0), 8 * j + g)),
                                       M::of(right.at(k + Left::inner(t, 1), 8 * j + g))};
#pragma unroll
      for (int i = 0; i < row_tiles; ++i) multiply_add(sum[i][j], a[i], b);
    }
  }
}

template <int depth, class Left, int row_tiles, int column_tiles>
__device__ __forceinline__ void multiply_without_tensor_cores(
    const Left& left, const Right& right, float (&sum)[row_tiles][column_tiles][4]) {
  const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll 4
  for (int k = 0; k < depth; ++k) {
    float rows[row_tiles][2];
#pragma unroll
    for (int i = 0; i < row_tiles; ++i)
#pragma unroll
      for (int h = 0; h < 2; ++h) rows[i][h] = left.at(16 * i + 8 * h + g, k);
#pragma unroll
    for (int j = 0; j < column_tiles; ++j) {
      const float2 columns = right.pair(k, 8 * j + 2 * t);
#pragma unroll
      for (int i = 0; i < row_tiles; ++i)
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          sum[i][j][2 * h] += rows[i][h] * columns.x;
          sum[i][j][2 * h + 1] += rows[i][h] * columns.y;
        }
    }
  }
}

}  // namespace detail

/// sum += left right over `depth` inner indices, a multiple of 8. All lanes of the warp must take
/// part; the block is one-dimensional.
template <Precision precision, int depth, class Left, int row_tiles, int column_tiles>
__device__ __forceinline__ void multiply_tile(const Left& left, const Right& right,
                                              float (&sum)[row_tiles][column_tiles][4]) {
  if constexpr (precision == Precision::fp32)
    detail::multiply_without_tensor_cores<depth>(left, right, sum);
  else
    detail::multiply_on_tensor_cores<precision, depth>(left, right, sum);
}

}  // namespace orrery
