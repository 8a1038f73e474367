#pragma once

#include "kernels/view.hpp"

namespace orrery {

/// Seconds that a step of a run takes. The first two are left out where there are more: in those a
/// device loads its kernels and makes its plans, and what they do is recorded
/// (kernels/step_graph.hpp).
class StepTime {
 public:
  static constexpr Index left_out = 2;

  /// So many steps of the run had been done after so many seconds.
  void done(Index steps, double seconds) {
    latest_ = {steps, seconds};
    if (first_.steps < left_out) first_ = latest_;
  }

  /// 0 before the first.
  double seconds() const {
    const Point from = latest_.steps > first_.steps ? first_ : Point{};
    const Index steps = latest_.steps - from.steps;
    return steps > 0 ? (latest_.seconds - from.seconds) / static_cast<double>(steps) : 0;
  }

 private:
  struct Point {
    Index steps = 0;
    double seconds = 0;
  };
  Point first_, latest_;
};

}  // namespace orrery
