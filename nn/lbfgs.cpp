#include "nn/lbfgs.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/check.hpp"
#include "kernels/gemm.hpp"
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

/// The last pairs of steps s = x' - x and gradient changes y = g' - g, and the inverse Hessian H
/// they stand for. H g is a sum of g and of these vectors, whose coefficients follow from their
/// inner products: a device is asked twice for all of those that are needed at once, instead of
/// twice for each pair, one after the other.
template <class T>
class History {
 public:
  /// One pair more than `capacity` has a place, so that one can be looked at before the oldest
  /// goes.
  History(const Context& ctx, int capacity, Index count)
      : ctx_(ctx),
        places_(capacity + 1),
        vectors_(ctx, 2 * places_, count),
        products_(Context::cpu(1), 2 * places_, 2 * places_) {}

  bool empty() const { return held_ == 0; }
  void forget() { held_ = filled_ = next_ = 0; }

  void remember(View<const T, 1> from, View<const T, 1> to, View<const T, 1> gradient_from,
                View<const T, 1> gradient_to) {
    const Index s = step(next_), y = change(next_);
    filled_ = std::max(filled_, next_ + 1);
    difference(to, from, vectors_.view()[s]);
    difference(gradient_to, gradient_from, vectors_.view()[y]);
    const auto newest = inner_products<T>(ctx_, filled(), vectors_.view().rows(s, 2));
    for (Index i = 0; i < newest.extent(0); ++i) {
      products_(i, s) = products_(s, i) = newest(i, 0);
      products_(i, y) = products_(y, i) = newest(i, 1);
    }
    // A pair without positive curvature would cost the inverse Hessian its positive definiteness.
    if (!(products_(s, y) > std::numeric_limits<double>::epsilon() * products_(y, y))) return;
    next_ = (next_ + 1) % places_;
    held_ = std::min(held_ + 1, places_ - 1);
  }

  /// direction = -H gradient
  void descend(View<const T, 1> gradient, View<T, 1> direction) const {
    copy<T, 1>(ctx_, gradient, direction);
    if (empty()) return scale<T>(ctx_, T(-1), direction);

    const Index count = gradient.size(), rows = 2 * filled_;
    const auto with_gradient =
        inner_products<T>(ctx_, filled(), View<const T, 2>(gradient.data, 1, count));
    // q = share gradient + sum_i coefficients_i vectors_i goes through the two loops of algorithm
    // 7.4.
    double share = 1;
    std::vector<double> coefficients(rows), weights(places_);
    const auto times_q = [&](Index row) {
      double product = share * with_gradient(row, 0);
      for (Index i = 0; i < rows; ++i) product += coefficients[i] * products_(row, i);
      return product;
    };
    for (int age = 1; age <= held_; ++age) {
      const int pair = aged(age);
      weights[pair] = times_q(step(pair)) / curvature(pair);
      coefficients[change(pair)] -= weights[pair];
    }
    const int newest = aged(1);
    share = curvature(newest) / products_(change(newest), change(newest));
    for (double& coefficient : coefficients) coefficient *= share;
    for (int age = held_; age >= 1; --age) {
      const int pair = aged(age);
      coefficients[step(pair)] += weights[pair] - times_q(change(pair)) / curvature(pair);
    }

    const auto factors = upload_as<T>(ctx_, coefficients);
    gemm<T>(ctx_, Transpose::no, Transpose::no, T(-1), factors.view().reshaped(Index{1}, rows),
            filled(), static_cast<T>(-share), View<T, 2>(direction.data, 1, count));
  }

 private:
  static Index step(int pair) { return 2 * Index{pair}; }
  static Index change(int pair) { return 2 * Index{pair} + 1; }
  int aged(int age) const { return (next_ - age + places_) % places_; }
  double curvature(int pair) const { return products_(step(pair), change(pair)); }
  View<const T, 2> filled() const { return vectors_.view().rows(0, 2 * filled_); }
  void difference(View<const T, 1> a, View<const T, 1> b, View<T, 1> result) {
    copy<T, 1>(ctx_, a, result);
    add_scaled<T>(ctx_, T(-1), b, result);
  }

  Context ctx_;
  int places_, held_ = 0, next_ = 0;
  int filled_ = 0;              // places that a pair was ever put in
  Tensor<T, 2> vectors_;        // (2 places, count): a step, its change, a step, ...
  Tensor<double, 2> products_;  // host: of any two vectors in filled places
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
      history_.descend(start_gradient_, direction_);
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
