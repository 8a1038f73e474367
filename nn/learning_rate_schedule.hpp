#pragma once

#include <cmath>

#include "kernels/view.hpp"

namespace orrery {

/// Learning rate as a function of the step (0, 1, ...).
struct LearningRateSchedule {
  enum class Kind { constant, cosine, steps } kind = Kind::cosine;
  double initial = 1e-3;
  double final_fraction = 0.01;  // cosine: the last step's rate over the first's
  Index total_steps = 1000;      // cosine: length of the half wave; steps: length of the run
  double drop = 0.1;             // steps: factor at each of ...
  int drops = 1;                 // ... this many equally spaced steps (the paper: one, half way)

  /// Steps past the end of the run keep its last rate.
  ORRERY_HOST_DEVICE double operator()(Index step) const {
    constexpr double pi = 3.14159265358979323846;
    const Index last = total_steps > 1 ? total_steps - 1 : 0;
    const Index now = step < 0 ? 0 : step < last ? step : last;
    if (kind == Kind::cosine) {
      const double phase = last > 0 ? pi * double(now) / double(last) : 0.0;
      return initial * (final_fraction + (1 - final_fraction) * 0.5 * (1 + std::cos(phase)));
    }
    if (kind == Kind::steps) {
      const Index passed = total_steps > 0 ? now * (drops + 1) / total_steps : 0;
      return initial * std::pow(drop, double(passed));
    }
    return initial;
  }
};

}  // namespace orrery
