#include "nn/lbfgs.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/check.hpp"
#include "kernels/pointwise.hpp"
#include "kernels/reduce.hpp"
#include "nn/diverged.hpp"

namespace orrery {
namespace {

/// A point on the line of search: how far along the direction, and what was found there.
struct Trial {
  double step = 0, loss = 0, slope = 0;
};

/// Minimiser of the cubic with both trials' losses and slopes (Nocedal and Wright 3.59), brought
/// into [low, high]; their middle where the cubic has no minimum or a trial was not finite.
double cubic_step(const Trial& a, const Trial& b, double low, double high) {
  const double d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.step - b.step);
  const double d2 = std::copysign(std::sqrt(d1 * d1 - a.slope * b.slope), b.step - a.step);
  const double step =
      b.step - (b.step - a.step) * (b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2);
  return std::isfinite(step) ? std::clamp(step, low, high) : 0.5 * (low + high);
}

/// The last pairs of steps s = x' - x and gradient changes y = g' - g, and the inverse Hessian they
/// stand for.
template <class T>
class History {
 public:
  History(const Context& ctx, int capacity, Index count)
      : ctx_(ctx),
        capacity_(capacity),
        steps_(ctx, capacity, count),
        changes_(ctx, capacity, count) {}

  bool empty() const { return held_ == 0; }
  void forget() { held_ = 0; }

  void remember(View<const T, 1> from, View<const T, 1> to, View<const T, 1> gradient_from,
                View<const T, 1> gradient_to) {
    const int slot = next_;
    difference(to, from, steps(slot));
    difference(gradient_to, gradient_from, changes(slot));
    const double curvature = dot<T>(ctx_, steps(slot), changes(slot));
    const double change = squared_norm<T>(ctx_, changes(slot));
    // A pair without positive curvature would cost the inverse Hessian its positive definiteness.
    if (!(curvature > std::numeric_limits<double>::epsilon() * change)) return;
    inverse_curvature_[slot] = 1 / curvature;
    newest_scale_ = curvature / change;
    next_ = (next_ + 1) % capacity_;
    held_ = std::min(held_ + 1, capacity_);
  }

  /// q = H q: the two loops of algorithm 7.4.
  void apply_inverse_hessian(View<T, 1> q) {
    for (int age = 1; age <= held_; ++age) {
      const int i = slot(age);
      weight_[i] = inverse_curvature_[i] * dot<T>(ctx_, steps(i), q);
      add_scaled<T>(ctx_, static_cast<T>(-weight_[i]), changes(i), q);
    }
    if (held_ > 0) scale<T>(ctx_, static_cast<T>(newest_scale_), q);
    for (int age = held_; age >= 1; --age) {
      const int i = slot(age);
      const double beta = inverse_curvature_[i] * dot<T>(ctx_, changes(i), q);
      add_scaled<T>(ctx_, static_cast<T>(weight_[i] - beta), steps(i), q);
    }
  }

 private:
  int slot(int age) const { return (next_ - age + capacity_) % capacity_; }
  View<T, 1> steps(int i) { return steps_.view()[i]; }
  View<T, 1> changes(int i) { return changes_.view()[i]; }
  void difference(View<const T, 1> a, View<const T, 1> b, View<T, 1> result) {
    copy<T, 1>(ctx_, a, result);
    add_scaled<T>(ctx_, T(-1), b, result);
  }

  Context ctx_;
  int capacity_, held_ = 0, next_ = 0;
  double newest_scale_ = 1;
  Tensor<T, 2> steps_, changes_;
  std::vector<double> inverse_curvature_ = std::vector<double>(capacity_);
  std::vector<double> weight_ = std::vector<double>(capacity_);
};

template <class T>
class Minimiser {
 public:
  Minimiser(const Context& ctx, Parameters<T>& parameters, const std::function<double()>& evaluate,
            int most_evaluations, const LbfgsSettings& settings)
      : ctx_(ctx),
        parameters_(parameters),
        evaluate_(evaluate),
        most_evaluations_(most_evaluations),
        settings_(settings),
        history_(ctx, settings.history, parameters.count()),
        start_(ctx, parameters.count()),
        start_gradient_(ctx, parameters.count()),
        direction_(ctx, parameters.count()),
        best_(ctx, parameters.count()),
        best_gradient_(ctx, parameters.count()) {}

  LbfgsResult run(const std::function<bool(int, double)>& progress) {
    result_.loss = evaluate_here();
    keep_as_best();
    if (!std::isfinite(result_.loss) || !std::isfinite(squared_norm<T>(ctx_, best_gradient_)))
      throw Diverged("where L-BFGS starts");

    while (affordable()) {
      const double before = result_.loss;
      copy<T, 1>(ctx_, best_, start_);
      copy<T, 1>(ctx_, best_gradient_, start_gradient_);
      const double slope = choose_direction();
      if (slope == 0) break;
      // The history knows its scale; without it the first trial moves by at most one.
      const double first_step = history_.empty() ? std::min(1.0, 1 / std::sqrt(-slope)) : 1.0;
      search({0, before, slope}, first_step);

      if (!(result_.loss < before)) {
        if (history_.empty()) break;
        history_.forget();
        continue;
      }
      history_.remember(start_, best_, start_gradient_, best_gradient_);
      ++result_.iterations;
      if (progress && !progress(result_.iterations, result_.loss)) break;
    }
    copy<T, 1>(ctx_, best_, parameters_.values());
    copy<T, 1>(ctx_, best_gradient_, parameters_.gradients());
    return result_;
  }

 private:
  bool affordable() const { return result_.evaluations < most_evaluations_; }

  double evaluate_here() {
    ++result_.evaluations;
    parameters_.zero_gradients();
    return evaluate_();
  }

  void keep_as_best() {
    copy<T, 1>(ctx_, parameters_.values(), best_);
    copy<T, 1>(ctx_, parameters_.gradients(), best_gradient_);
  }

  /// direction = -H gradient; returns the slope along it. Rounding can leave a direction that does
  /// not descend: then the history is forgotten.
  double choose_direction() {
    auto set = [&] {
      copy<T, 1>(ctx_, start_gradient_, direction_);
      history_.apply_inverse_hessian(direction_);
      scale<T>(ctx_, T(-1), direction_);
      return dot<T>(ctx_, start_gradient_, direction_);
    };
    const double slope = set();
    if (slope < 0) return slope;
    history_.forget();
    return set();
  }

  Trial try_step(double step) {
    copy<T, 1>(ctx_, start_, parameters_.values());
    add_scaled<T>(ctx_, static_cast<T>(step), direction_, parameters_.values());
    const double loss = evaluate_here();
    const double slope = dot<T>(ctx_, parameters_.gradients(), direction_);
    if (!std::isfinite(loss) || !std::isfinite(slope)) return {step, INFINITY, NAN};
    if (loss < result_.loss) {
      result_.loss = loss;
      keep_as_best();
    }
    return {step, loss, slope};
  }

  bool decreases_enough(const Trial& start, const Trial& trial) const {
    return trial.loss <= start.loss + settings_.sufficient_decrease * trial.step * start.slope;
  }
  bool flat_enough(const Trial& start, const Trial& trial) const {
    return std::abs(trial.slope) <= -settings_.curvature * start.slope;
  }

  /// Algorithm 3.5: longer and longer steps until an interval brackets what is looked for. The
  /// search need not say which step it took: the best point is kept as it is seen.
  void search(const Trial& start, double step) {
    Trial previous = start;
    for (int trials = 0; trials < settings_.most_trials && affordable(); ++trials) {
      const Trial current = try_step(step);
      const bool went_up = trials > 0 && current.loss >= previous.loss;
      if (!decreases_enough(start, current) || went_up)
        return narrow(start, previous, current, trials + 1);
      if (flat_enough(start, current)) return;
      if (current.slope >= 0) return narrow(start, current, previous, trials + 1);
      const double nearest = 2 * current.step, farthest = 10 * current.step;
      step = cubic_step(previous, current, nearest, farthest);
      previous = current;
    }
  }

  /// Algorithm 3.6 ("zoom"): `low` has the lowest loss of the trials that decrease enough, and a
  /// point that satisfies both conditions lies between it and `high`.
  void narrow(const Trial& start, Trial low, Trial high, int trials) {
    for (; trials < settings_.most_trials && affordable(); ++trials) {
      // What could still be gained is lost in the rounding of the loss.
      const double width = std::abs(high.step - low.step);
      if (std::abs(low.slope) * width < std::numeric_limits<T>::epsilon() * std::abs(low.loss))
        return;
      const auto [left, right] = std::minmax(low.step, high.step);
      const double step = cubic_step(low, high, left + 0.1 * width, right - 0.1 * width);
      const Trial current = try_step(step);
      if (!decreases_enough(start, current) || current.loss >= low.loss) {
        high = current;
        continue;
      }
      if (flat_enough(start, current)) return;
      if (current.slope * (high.step - low.step) >= 0) high = low;
      low = current;
    }
  }

  Context ctx_;
  Parameters<T>& parameters_;
  const std::function<double()>& evaluate_;
  int most_evaluations_;
  LbfgsSettings settings_;
  LbfgsResult result_;
  History<T> history_;
  Tensor<T, 1> start_, start_gradient_, direction_, best_, best_gradient_;
};

}  // namespace

template <class T>
LbfgsResult minimise_lbfgs(const Context& ctx, Parameters<T>& parameters,
                           const std::function<double()>& evaluate, int most_evaluations,
                           const std::function<bool(int, double)>& progress,
                           const LbfgsSettings& settings) {
  const char* name = "minimise_lbfgs";
  require(parameters.values().extent(0) == parameters.count(), name,
          "the parameters must be allocated first");
  require(most_evaluations >= 1, name, "most_evaluations must be at least 1");
  require(settings.history >= 1, name, "history must be at least 1");
  require(settings.most_trials >= 1, name, "most_trials must be at least 1");
  require(0 < settings.sufficient_decrease && settings.sufficient_decrease < settings.curvature &&
              settings.curvature < 1,
          name, "0 < sufficient_decrease < curvature < 1 must hold");
  return Minimiser<T>(ctx, parameters, evaluate, most_evaluations, settings).run(progress);
}

template LbfgsResult minimise_lbfgs<float>(const Context&, Parameters<float>&,
                                           const std::function<double()>&, int,
                                           const std::function<bool(int, double)>&,
                                           const LbfgsSettings&);
template LbfgsResult minimise_lbfgs<double>(const Context&, Parameters<double>&,
                                            const std::function<double()>&, int,
                                            const std::function<bool(int, double)>&,
                                            const LbfgsSettings&);

}  // namespace orrery
