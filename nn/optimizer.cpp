#include "nn/optimizer.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/check.hpp"
#include "kernels/reduce.hpp"

namespace orrery {

double LearningRateSchedule::operator()(Index step) const {
  const Index last = std::max<Index>(total_steps - 1, 0);
  const Index now = std::clamp<Index>(step, 0, last);
  switch (kind) {
    case Kind::constant:
      break;
    case Kind::cosine: {
      const double phase = last > 0 ? std::numbers::pi * double(now) / double(last) : 0.0;
      return initial * (final_fraction + (1 - final_fraction) * 0.5 * (1 + std::cos(phase)));
    }
    case Kind::steps: {
      const Index passed = total_steps > 0 ? now * (drops + 1) / total_steps : 0;
      return initial * std::pow(drop, double(passed));
    }
  }
  return initial;
}

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
  if (!std::isfinite(norm))
    throw std::runtime_error("Adam: the gradient is not finite at step " + std::to_string(steps_) +
                             "; lower the learning rate");
  const bool clips = largest_gradient_norm_ > 0 && norm > largest_gradient_norm_;
  const double gradient_scale = clips ? largest_gradient_norm_ / norm : 1.0;
  ++steps_;

  // Neighbouring parts with one rate are one call.
  const auto& parts = parameters_.parts();
  for (std::size_t first = 0; first < parts.size();) {
    std::size_t end = first;
    Index count = 0;
    for (; end < parts.size() && multipliers_[end] == multipliers_[first]; ++end)
      count += parts[end].count;
    const Index offset = parts[first].offset;
    auto range = [&](auto block) { return block.rows(offset, count); };

    AdamSettings settings = settings_;
    settings.learning_rate = learning_rate * multipliers_[first];
    adam_step<T>(ctx_, settings, steps_, static_cast<T>(gradient_scale), range(gradient),
                 range(first_moment()), range(second_moment()),
                 settings.amsgrad ? range(largest_second_moment()) : View<T, 1>(),
                 range(parameters_.values()));
    first = end;
  }
  return norm;
}

template class Adam<float>;
template class Adam<double>;

}  // namespace orrery
