#pragma once

#include <cstdint>

#include "kernels/tensor.hpp"
#include "nn/learning_rate_schedule.hpp"

namespace orrery {

/// What changes from step to step of a training run, kept where the work runs: how many steps were
/// taken, and the learning rate of the next. A step that reads both from here, for its random draws
/// and for Adam, is the same list of operations every time, and can be recorded and replayed
/// (kernels/step_graph.hpp).
class StepClock {
 public:
  StepClock(const Context& ctx, const LearningRateSchedule& schedule);

  /// One number each, on the context's backend.
  View<const std::uint64_t, 1> steps_taken() const { return steps_taken_; }
  View<const double, 1> learning_rate() const { return learning_rate_; }

  /// One step was taken: queued like any operation, the last of a step.
  void advance();

  /// For runs that are resumed.
  void set_steps_taken(Index steps);

 private:
  Context ctx_;
  LearningRateSchedule schedule_;
  Tensor<std::uint64_t, 1> steps_taken_;
  Tensor<double, 1> learning_rate_;
};

}  // namespace orrery
