#pragma once

#include <functional>
#include <memory>

#include "kernels/context.hpp"

namespace orrery {

namespace cuda {
struct Recording;
}

/// A step that is repeated: the same operations on the same memory every time, such as one of
/// training. On a CUDA device the second call records what the step queues on the context's stream
/// as a CUDA graph, and that and every later call replays it: hundreds of launches cost as much as
/// one. (The first call is an ordinary one, in which libraries make their plans; the second waits
/// for it.) What memory the step takes the graph keeps, and gives back with its owner. On the CPU
/// every call is the step itself.
///
/// What the step does on the host happens in its first two calls only. It must therefore read what
/// changes (a step number, a learning rate) from memory of the device, as nn/step_clock.hpp keeps
/// it, work on memory that outlives the graph, and wait for nothing: uploads, downloads and
/// operations that return a number to the host end in std::runtime_error.
class StepGraph {
 public:
  StepGraph(const Context& ctx, std::function<void()> step);

  void operator()();

 private:
  Context ctx_;
  std::function<void()> step_;
  bool has_run_ = false;
  std::shared_ptr<cuda::Recording> recording_;
};

}  // namespace orrery
