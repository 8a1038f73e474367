#pragma once

// For CUDA sources only: reductions over one block, in a fixed order.

#include "kernels/launch.hpp"

namespace orrery {

/// What a block of so many threads needs in shared memory for block_combine, in numbers.
inline constexpr unsigned block_combine_numbers(unsigned threads) { return threads / 32; }

/// Combines one number from each thread; every thread gets the result. The block is one-dimensional
/// and made of whole warps. Warps combine by shuffles; their results meet in `scratch`, where every
/// thread reads all of them, which costs no more than one thread reading and the others waiting.
template <class T, class Combine>
__device__ T block_combine(T mine, T* scratch, Combine combine) {
  for (int distance = 16; distance > 0; distance /= 2)
    mine = combine(mine, __shfl_xor_sync(0xffffffffu, mine, distance));
  if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = mine;
  __syncthreads();
  T total = scratch[0];
  for (unsigned w = 1; w < blockDim.x / 32; ++w) total = combine(total, scratch[w]);
  __syncthreads();  // the scratch may be used again
  return total;
}

struct Plus {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};

struct Larger {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a < b ? b : a;
  }
};

template <class T>
__device__ T block_sum(T mine, T* scratch) {
  return block_combine(mine, scratch, Plus{});
}
template <class T>
__device__ T block_max(T mine, T* scratch) {
  return block_combine(mine, scratch, Larger{});
}

}  // namespace orrery
