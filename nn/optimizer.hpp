#pragma once

#include <functional>
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

  double operator()(Index step) const;
};

/// Adam over the parameter block: AMSGrad, one clip of the gradient's norm, and a rate multiplier
/// for each part (free logits learn faster than networks).
template <class T>
class Adam {
 public:
  Adam(const Context& ctx, Parameters<T>& parameters, const AdamSettings& settings,
       double largest_gradient_norm);  // 0: no clipping

  void set_rate_multiplier(Index part, double factor);

  /// One step with that rate from the parameters' gradients; returns the gradient's norm.
  /// Throws std::runtime_error when the gradient is not finite, leaving the weights as they were.
  double step(double learning_rate);

  /// All state for checkpoints: moments and step count.
  Index steps_taken() const { return steps_; }
  void set_steps_taken(Index steps) { steps_ = steps; }
  View<T, 1> first_moment() { return first_; }
  View<T, 1> second_moment() { return second_; }
  View<T, 1> largest_second_moment() { return largest_; }

 private:
  Context ctx_;
  Parameters<T>& parameters_;
  AdamSettings settings_;
  double clip_;
  std::vector<double> multipliers_;
  Index steps_ = 0;
  Tensor<T, 1> first_, second_, largest_;
};

struct LbfgsSettings {
  int history = 20;
  double sufficient_decrease = 1e-4;  // strong Wolfe
  double curvature = 0.9;
  int most_trials = 20;  // evaluations in one line search
};

/// Limited-memory BFGS with a strong-Wolfe line search (Nocedal and Wright, algorithms 3.5, 3.6 and
/// 7.4) over the parameter block. `evaluate` returns the loss at the block's current values and
/// fills its gradients; `progress` is called after each iteration with (iteration, loss) and may
/// return false to stop. The block ends at the best point seen.
struct LbfgsResult {
  double loss = 0;
  int iterations = 0;
  int evaluations = 0;
};
template <class T>
LbfgsResult minimise_lbfgs(const Context& ctx, Parameters<T>& parameters,
                           const std::function<double()>& evaluate, int most_evaluations,
                           const std::function<bool(int, double)>& progress,
                           const LbfgsSettings& settings = {});

}  // namespace orrery
