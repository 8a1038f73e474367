#pragma once

#include <vector>

#include "kernels/adam.hpp"
#include "nn/parameters.hpp"
#include "nn/step_clock.hpp"

namespace orrery {

/// Adam over the parameter block: AMSGrad, one clip of the whole gradient's norm, and a rate
/// multiplier for each part (free logits learn faster than networks). Memory: three times the
/// block with AMSGrad, twice without.
template <class T>
class Adam {
 public:
  /// The parameters must be allocated, and must outlive the optimiser. No rate is taken from
  /// `settings`: each step is given its own.
  Adam(const Context& ctx, Parameters<T>& parameters, const AdamSettings& settings,
       double largest_gradient_norm);  // 0: no clipping

  void set_rate_multiplier(Index part, double factor);

  /// One step with that rate from the parameters' gradients; returns the gradient's norm.
  /// Throws Diverged when the gradient is not finite, leaving the weights as they were.
  double step(double learning_rate);

  /// One step at the clock's rate and time, which does not wait for the device, so that a whole
  /// training step can be recorded (kernels/step_graph.hpp). The gradient is clipped in place, and
  /// nobody sees whether it is finite. steps_taken() is the clock's business.
  void step(const StepClock& clock);

  /// All state for checkpoints: moments and step count. `largest_second_moment` is empty without
  /// AMSGrad.
  Index steps_taken() const { return steps_; }
  void set_steps_taken(Index steps) { steps_ = steps; }
  View<T, 1> first_moment() { return first_; }
  View<T, 1> second_moment() { return second_; }
  View<T, 1> largest_second_moment() { return largest_; }

 private:
  template <class F>
  void for_each_rate(const F& f);

  Context ctx_;
  Parameters<T>& parameters_;
  AdamSettings settings_;
  double largest_gradient_norm_;
  std::vector<double> multipliers_;
  Index steps_ = 0;
  Tensor<T, 1> first_, second_, largest_;
  Tensor<double, 1> squared_norm_;  // of the gradient, where it is clipped
};

}  // namespace orrery
