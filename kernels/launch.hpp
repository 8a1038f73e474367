#pragma once

// For CUDA sources only (and for their emulation): the one way to start a kernel.

#include <cstddef>
#include <utility>

#include "kernels/context.hpp"

#if defined(ORRERY_EMULATED)
#include "tests/emulation/emulation.hpp"
#else
#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

#include "kernels/cuda_runtime.hpp"
#include "kernels/profiling.hpp"
#endif

namespace orrery {

#if defined(ORRERY_EMULATED)

/// Runs the kernel block by block, one fiber a thread, or keeps it for a recording; see
/// tests/emulation/emulation.hpp.
template <class... Parameters, class... Arguments>
void launch(const Context&, const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block,
            std::size_t shared_bytes, Arguments&&... arguments) {
  emulation::launch(
      name, grid, block, shared_bytes,
      [kernel, ... values = static_cast<Parameters>(arguments)] { kernel(values...); });
}

#else

/// Queues a kernel on the context's stream inside a profiling range of that name, and throws
/// std::runtime_error naming it when the launch is refused. `<<<>>>` appears nowhere else.
template <class... Parameters, class... Arguments>
void launch(const Context& ctx, const char* name, void (*kernel)(Parameters...), dim3 grid,
            dim3 block, std::size_t shared_bytes, Arguments&&... arguments) {
  const ProfilingRange range(name);
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = cuda::stream_of(ctx.device());  // attributes, too, are the current device's
  cudaError_t status = cudaSuccess;
  if (shared_bytes > 48 * 1024)
    status = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(shared_bytes));
  if (status == cudaSuccess)
    status = cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
  if (status == cudaSuccess) return;
  cudaGetLastError();  // forget errors that can be forgotten
  throw std::runtime_error(std::string("kernel '") + name +
                           "' could not be launched: " + cudaGetErrorString(status));
}

/// The block's dynamic shared memory as an array of T: the only accessor, so that the emulation can
/// hand out its own.
template <class T>
__device__ T* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char orrery_dynamic_shared[];
  return reinterpret_cast<T*>(orrery_dynamic_shared);
}

#endif

/// Blocks of `per_block` that cover `count`, at least one.
inline unsigned blocks_for(Index count, Index per_block) {
  return static_cast<unsigned>(count <= per_block ? 1 : (count + per_block - 1) / per_block);
}

}  // namespace orrery
