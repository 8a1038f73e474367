#pragma once

#include <vector>

#include "apps/reconstruct/objective.hpp"
#include "kernels/step_graph.hpp"
#include "nn/optimizer.hpp"

namespace orrery {

/// Steps of Adam during which the host waits for nothing: on a CUDA device each is one graph
/// (kernels/step_graph.hpp), and what it saw stays there until a group of them is done.
class RecordedSteps {
 public:
  /// Goes on after so many steps. What is referred to must outlive it.
  RecordedSteps(const Context& ctx, Objective& objective, const LossSettings& loss,
                Adam<float>& adam, const LearningRateSchedule& schedule, Index steps_taken);

  static constexpr Index most_together = 64;

  /// Takes so many steps, then waits for them; the objective before each. Throws std::runtime_error
  /// when one is not finite: the parameters are lost then.
  std::vector<ObjectiveValue> run(Index count);

 private:
  void step();

  Context ctx_;
  Objective& objective_;
  LossSettings loss_;
  Adam<float>& adam_;
  StepClock clock_;
  Tensor<double, 1> value_;   // (4) of the latest step
  Tensor<double, 2> values_;  // (most_together, 4): of step s in row s modulo most_together
  StepGraph graph_;
};

}  // namespace orrery
