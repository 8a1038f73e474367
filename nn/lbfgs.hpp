#pragma once

#include <functional>

#include "nn/parameters.hpp"

namespace orrery {

struct LbfgsSettings {
  int history = 100;                  // pairs of steps and gradient changes
  double sufficient_decrease = 1e-4;  // strong Wolfe: loss <= start + c1 step slope ...
  double curvature = 0.9;             // ... and |slope| <= c2 |slope at the start|
  int most_trials = 20;               // evaluations in one line search
};

struct LbfgsResult {
  double loss = 0;      // at the best point, where the block ends
  int iterations = 0;   // line searches that lowered the loss
  int evaluations = 0;  // calls of evaluate
};

/// Limited-memory BFGS with a strong-Wolfe line search (Nocedal and Wright, Numerical Optimization,
/// algorithms 3.5, 3.6 and 7.4) over the parameter block. Inner products are sums in double.
///
/// `evaluate` returns the loss at the block's current values and adds its gradient to the block's
/// gradients, which are zero when it is called. A loss that is not finite is a step too far, except
/// at the start. `progress` (may be empty) is called after each iteration with (iteration, loss)
/// and returns false to stop. Stops also when `most_evaluations` are spent, when the gradient is
/// zero, or when rounding leaves nothing to gain: a line search that lowers nothing is repeated
/// once, down the gradient with the history forgotten.
///
/// The block ends at the best point seen, with the gradient there.
/// Throws   std::invalid_argument when most_evaluations < 1 or a setting is out of range,
///          Diverged when loss or gradient are not finite at the start.
/// Memory   2 history + 7 blocks. T is float or double.
/// Cost     beside the evaluations, 16 history flop a parameter and iteration, in three passes over
///          the history; how often it waits for a device does not depend on the history's length.
template <class T>
LbfgsResult minimise_lbfgs(const Context& ctx, Parameters<T>& parameters,
                           const std::function<double()>& evaluate, int most_evaluations,
                           const std::function<bool(int, double)>& progress,
                           const LbfgsSettings& settings = {});

}  // namespace orrery
