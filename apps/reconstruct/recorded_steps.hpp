#pragma once

#include <array>
#include <deque>
#include <vector>

#include "apps/reconstruct/objective.hpp"
#include "kernels/readback.hpp"
#include "kernels/step_graph.hpp"
#include "nn/optimizer.hpp"

namespace orrery {

/// Steps of Adam during which the host waits for nothing: on a CUDA device each is one graph
/// (kernels/step_graph.hpp), and what it saw stays there until its group is taken.
class RecordedSteps {
 public:
  /// Goes on after so many steps. What is referred to must outlive it.
  RecordedSteps(const Context& ctx, Objective& objective, const LossSettings& loss,
                Adam<float>& adam, const LearningRateSchedule& schedule, Index steps_taken);

  static constexpr Index most_together = 64;  // in a group

  /// Queues a group of steps. Two groups can be under way, so that one is done while what the other
  /// saw is looked at. Throws std::invalid_argument for a third, and for a group of none or too
  /// many.
  void queue(Index count);
  bool has_room() const { return groups_.size() < readbacks_.size(); }
  /// Steps queued and not taken.
  Index under_way() const;

  /// Waits for the group that was queued first, and for no other; the objective before each of its
  /// steps. Throws Diverged when one is not finite: the parameters are lost then.
  std::vector<ObjectiveValue> take();

 private:
  struct Group {
    Index first, count;  // steps
    Readback& values;
  };
  void step();

  Context ctx_;
  Objective& objective_;
  LossSettings loss_;
  Adam<float>& adam_;
  StepClock clock_;
  Tensor<double, 1> value_;   // (4) of the latest step
  Tensor<double, 2> values_;  // (most_together, 4): of step s in row s modulo most_together
  StepGraph graph_;
  Index queued_;                       // steps, of all there ever were
  std::array<Readback, 2> readbacks_;  // of values_, in turns
  int turn_ = 0;
  std::deque<Group> groups_;
};

}  // namespace orrery
