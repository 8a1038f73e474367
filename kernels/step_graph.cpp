#include "kernels/step_graph.hpp"

#include "kernels/cuda_runtime.hpp"

namespace orrery {

StepGraph::StepGraph(const Context& ctx, std::function<void()> step)
    : ctx_(ctx), step_(std::move(step)) {}

void StepGraph::operator()() {
  if constexpr (built_with_cuda) {
    if (ctx_.backend() == Backend::cuda && has_run_) {
      if (!recording_) recording_ = cuda::record(ctx_.device(), step_);
      return cuda::replay(ctx_.device(), *recording_);
    }
  }
  step_();
  has_run_ = true;
}

}  // namespace orrery
