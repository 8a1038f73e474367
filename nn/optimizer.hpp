#pragma once

#include <vector>

#include "kernels/adam.hpp"
#include "nn/parameters.hpp"

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
  double operator()(Index step) const;
};

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
  /// Throws std::runtime_error when the gradient is not finite, leaving the weights as they were.
  double step(double learning_rate);

  /// All state for checkpoints: moments and step count. `largest_second_moment` is empty without
  /// AMSGrad.
  Index steps_taken() const { return steps_; }
  void set_steps_taken(Index steps) { steps_ = steps; }
  View<T, 1> first_moment() { return first_; }
  View<T, 1> second_moment() { return second_; }
  View<T, 1> largest_second_moment() { return largest_; }

 private:
  Context ctx_;
  Parameters<T>& parameters_;
  AdamSettings settings_;
  double largest_gradient_norm_;
  std::vector<double> multipliers_;
  Index steps_ = 0;
  Tensor<T, 1> first_, second_, largest_;
};

}  // namespace orrery
