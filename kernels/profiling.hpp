#pragma once

#include "kernels/context.hpp"

namespace orrery {

namespace cuda {
void begin_range(const char* name);
void end_range();
}  // namespace cuda

/// Names a phase of the program for NVIDIA's profilers, from here to the end of the scope: an NVTX
/// range, which holds those that launches of kernels open. Costs nothing worth mentioning where
/// nobody listens, and nothing in a build without CUDA.
class ProfilingRange {
 public:
  explicit ProfilingRange(const char* name) {
    if constexpr (built_with_cuda) cuda::begin_range(name);
  }
  ~ProfilingRange() {
    if constexpr (built_with_cuda) cuda::end_range();
  }
  ProfilingRange(const ProfilingRange&) = delete;
  ProfilingRange& operator=(const ProfilingRange&) = delete;
};

}  // namespace orrery
