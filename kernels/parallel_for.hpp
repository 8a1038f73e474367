#pragma once

// Only for single-source files: the same file is compiled as C++ in a CPU build, as CUDA in a CUDA
// build, and as C++ against the emulation in its tests. Functors belong in anonymous namespaces.

#include "kernels/shares.hpp"

#if defined(__CUDACC__) || defined(ORRERY_EMULATED)
#include "kernels/launch.hpp"
#define ORRERY_HAS_DEVICE_CODE 1
#else
#define ORRERY_HAS_DEVICE_CODE 0
#endif

namespace orrery {

namespace detail {

#if ORRERY_HAS_DEVICE_CODE
template <class Functor>
__global__ void parallel_for_kernel(Index count, Functor f) {
  const Index stride = static_cast<Index>(gridDim.x) * blockDim.x;
  for (Index i = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += stride)
    f(i);
}
#endif

template <class Functor>
void parallel_for_host(const Context& ctx, Index count, Index work, const Functor& f) {
  const int used = threads_for(ctx, count * work, 4096);
  // Shares are whole vectors, so that what is left over, and may round differently, is the same
  // whatever the number of threads.
  constexpr Index longest_vector = 64;
  const Index round = used * longest_vector;
  const Index share = parts_of(count, round) * longest_vector;
#pragma omp parallel for schedule(static, 1) num_threads(used) if (used > 1)
  for (Index begin = 0; begin < count; begin += share) {
    const Index end = begin + share < count ? begin + share : count;
#pragma omp simd
    for (Index i = begin; i < end; ++i) f(i);
  }
}

}  // namespace detail

/// Calls f(i) once for each i in [0, count), in any order. f is a functor whose operator() is
/// ORRERY_HOST_DEVICE and const, and whose calls are independent of one another. `work` is about
/// how many numbers a call goes through: little work is not worth a thread.
template <class Functor>
void parallel_for(const Context& ctx, const char* name, Index count, const Functor& f,
                  Index work = 1) {
  if (count <= 0) return;
#if ORRERY_HAS_DEVICE_CODE
  if (ctx.backend() == Backend::cuda) {
    constexpr unsigned block = 256;
    constexpr unsigned most_blocks = 1u << 16;
    const unsigned needed = blocks_for(count, block);
    launch(ctx, name, detail::parallel_for_kernel<Functor>,
           dim3(needed < most_blocks ? needed : most_blocks), dim3(block), 0, count, f);
    return;
  }
#else
  (void)name;
#endif
  detail::parallel_for_host(ctx, count, work, f);
}

}  // namespace orrery
