#pragma once

// For CUDA sources only (and for their emulation): the one way to start a kernel.

#include <cstddef>
#include <utility>

#include "kernels/context.hpp"

#if defined(ORRERY_EMULATED)
#include "tests/emulation/emulation.hpp"
#else
#include <cuda_runtime.h>
#include <nvtx3/nvToolsExt.h>

#include <stdexcept>
#include <string>
#endif

namespace orrery {

#if defined(ORRERY_EMULATED)

/// Runs the kernel block by block, one fiber a thread; see tests/emulation/emulation.hpp.
template <class... Parameters, class... Arguments>
void launch(const Context&, const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block,
            std::size_t shared_bytes, Arguments&&... arguments) {
  emulation::run(name, grid, block, shared_bytes,
                 [&] { kernel(static_cast<Parameters>(arguments)...); });
}

#else

cudaStream_t stream_of(const Context& ctx);

/// Queues a kernel on the context's stream inside an NVTX range of that name, and throws
/// std::runtime_error naming it when the launch is refused. `<<<>>>` appears nowhere else.
template <class... Parameters, class... Arguments>
void launch(const Context& ctx, const char* name, void (*kernel)(Parameters...), dim3 grid,
            dim3 block, std::size_t shared_bytes, Arguments&&... arguments) {
  nvtxRangePushA(name);
  cudaError_t status = cudaSuccess;
  if (shared_bytes > 48 * 1024)
    status = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(shared_bytes));
  if (status == cudaSuccess) {
    cudaLaunchConfig_t config{};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared_bytes;
    config.stream = stream_of(ctx);
    status = cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
  }
  nvtxRangePop();
  if (status != cudaSuccess)
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
