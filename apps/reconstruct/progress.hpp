#pragma once

#include "apps/console.hpp"
#include "apps/reconstruct/reconstruction.hpp"
#include "apps/stopwatch.hpp"

namespace orrery {

/// The loop as the user sees it: step, both moment errors, rate and time left.
class Progress {
 public:
  Progress(Console& console, int restarts) : console_(console), restarts_(restarts) {}
  /// Called after each step.
  void show(const ProgressLine& line);

 private:
  Console& console_;
  int restarts_;
  Stopwatch stopwatch_;
  double began_ = 0, latest_ = 0;  // when the phase began, and the latest step was told
  Index first_ = 0;                // steps before the phase
  int phase_ = -1;
};

}  // namespace orrery
