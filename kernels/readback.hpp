#pragma once

#include <memory>

#include "kernels/tensor.hpp"

namespace orrery {

namespace cuda {
struct Readback;
}

/// Numbers on their way from a backend to the host. `begin` queues a copy behind the work before it
/// and returns; work that is queued afterwards may overwrite them. So a loop can queue its next
/// steps before it reads what the last ones saw, and the device never stands still for it. On the
/// CPU a copy is made at once.
class Readback {
 public:
  Readback(const Context& ctx, Index count);

  /// Throws std::invalid_argument unless there are `count` numbers. What came before is lost.
  void begin(View<const double, 1> numbers);

  /// Waits for the copy begun last; its numbers, in host memory until the next begins. Throws
  /// std::invalid_argument when none was begun.
  View<const double, 1> wait();

 private:
  Context ctx_;
  Index count_;
  bool begun_ = false;
  Tensor<double, 1> host_;                // CPU
  std::shared_ptr<cuda::Readback> copy_;  // CUDA
};

}  // namespace orrery
