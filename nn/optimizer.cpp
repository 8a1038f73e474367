#include "nn/optimizer.hpp"

#include <cmath>
#include <string>
#include <utility>

#include "kernels/check.hpp"
#include "kernels/reduce.hpp"
#include "nn/diverged.hpp"

namespace orrery {

template <class T>
Adam<T>::Adam(const Context& ctx, Parameters<T>& parameters, const AdamSettings& settings,
              double largest_gradient_norm)
    : ctx_(ctx),
      parameters_(parameters),
      settings_(settings),
      largest_gradient_norm_(largest_gradient_norm),
      multipliers_(parameters.parts().size(), 1.0),
      first_(Tensor<T, 1>::zeros(ctx, parameters.count())),
      second_(Tensor<T, 1>::zeros(ctx, parameters.count())) {
  require(parameters.values().extent(0) == parameters.count(), "Adam",
          "the parameters must be allocated first");
  require(largest_gradient_norm >= 0, "Adam", "the largest gradient norm cannot be negative");
  if (largest_gradient_norm > 0) squared_norm_ = Tensor<double, 1>(ctx, Index{1});
  if (settings.amsgrad) largest_ = Tensor<T, 1>::zeros(ctx, parameters.count());
}

template <class T>
void Adam<T>::set_rate_multiplier(Index part, double factor) {
  require(part >= 0 && part < static_cast<Index>(multipliers_.size()), "Adam::set_rate_multiplier",
          "no such part");
  multipliers_[part] = factor;
}

template <class T>
double Adam<T>::step(double learning_rate) {
  const View<const T, 1> gradient = parameters_.gradients();
  const double norm = std::sqrt(squared_norm<T>(ctx_, gradient));
  if (!std::isfinite(norm)) throw Diverged("at step " + std::to_string(steps_));
  const bool clips = largest_gradient_norm_ > 0 && norm > largest_gradient_norm_;
  const double gradient_scale = clips ? largest_gradient_norm_ / norm : 1.0;
  ++steps_;

  for_each_rate([&](double multiplier, auto range) {
    AdamSettings settings = settings_;
    settings.learning_rate = learning_rate * multiplier;
    adam_step<T>(ctx_, settings, steps_, static_cast<T>(gradient_scale), range(gradient),
                 range(first_moment()), range(second_moment()),
                 settings.amsgrad ? range(largest_second_moment()) : View<T, 1>(),
                 range(parameters_.values()));
  });
  return norm;
}

template <class T>
void Adam<T>::step(const StepClock& clock) {
  if (largest_gradient_norm_ > 0) {
    const View<T, 1> gradient = parameters_.gradients();
    squared_norm<T>(ctx_, gradient, squared_norm_);
    clip_norm<T>(ctx_, largest_gradient_norm_, squared_norm_, gradient);
  }
  for_each_rate([&](double multiplier, auto range) {
    adam_step<T>(ctx_, settings_, clock.steps_taken(), clock.learning_rate(), multiplier,
                 range(std::as_const(parameters_).gradients()), range(first_moment()),
                 range(second_moment()),
                 settings_.amsgrad ? range(largest_second_moment()) : View<T, 1>(),
                 range(parameters_.values()));
  });
}

/// Calls f(multiplier, range) for neighbouring parts with one rate at a time; range(block) is their
/// share of a block.
template <class T>
template <class F>
void Adam<T>::for_each_rate(const F& f) {
  const auto& parts = parameters_.parts();
  for (std::size_t first = 0; first < parts.size();) {
    std::size_t end = first;
    Index count = 0;
    for (; end < parts.size() && multipliers_[end] == multipliers_[first]; ++end)
      count += parts[end].count;
    const Index offset = parts[first].offset;
    f(multipliers_[first], [&](auto block) { return block.rows(offset, count); });
    first = end;
  }
}

template class Adam<float>;
template class Adam<double>;

}  // namespace orrery
