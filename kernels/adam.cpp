#include "kernels/adam.hpp"

#include <cmath>

#include "kernels/check.hpp"
#include "kernels/parallel_for.hpp"

namespace orrery {
namespace {

template <class T, bool amsgrad>
struct AdamStep {
  T beta1, beta2, epsilon, gradient_scale;
  T rate;             // learning rate / (1 - beta1^step)
  T root_correction;  // 1 / sqrt(1 - beta2^step)
  const T* gradient;
  T *first, *second, *largest, *parameters;

  ORRERY_HOST_DEVICE void operator()(Index i) const {
    const T g = gradient_scale * gradient[i];
    const T m = beta1 * first[i] + (1 - beta1) * g;
    const T v = beta2 * second[i] + (1 - beta2) * g * g;
    first[i] = m;
    second[i] = v;
    T s = v;
    if constexpr (amsgrad) {
      s = largest[i] > v ? largest[i] : v;
      largest[i] = s;
    }
    parameters[i] -= rate * m / (std::sqrt(s) * root_correction + epsilon);
  }
};

}  // namespace

template <class T>
void adam_step(const Context& ctx, const AdamSettings& settings, Index step, T gradient_scale,
               View<const T, 1> gradient, View<T, 1> first, View<T, 1> second, View<T, 1> largest,
               View<T, 1> parameters) {
  const Index count = parameters.extent(0);
  require(step >= 1, "adam_step", "steps count from 1");
  require_shape("adam_step", "gradient", gradient, {count});
  require_shape("adam_step", "first", first, {count});
  require_shape("adam_step", "second", second, {count});
  if (settings.amsgrad) require_shape("adam_step", "largest", largest, {count});

  auto update = [&]<bool amsgrad>() {
    const double time = static_cast<double>(step);
    const AdamStep<T, amsgrad> f{
        .beta1 = static_cast<T>(settings.beta1),
        .beta2 = static_cast<T>(settings.beta2),
        .epsilon = static_cast<T>(settings.epsilon),
        .gradient_scale = gradient_scale,
        .rate = static_cast<T>(settings.learning_rate / (1 - std::pow(settings.beta1, time))),
        .root_correction = static_cast<T>(1 / std::sqrt(1 - std::pow(settings.beta2, time))),
        .gradient = gradient.data,
        .first = first.data,
        .second = second.data,
        .largest = largest.data,
        .parameters = parameters.data};
    parallel_for(ctx, "adam step", count, f);
  };
  if (settings.amsgrad)
    update.template operator()<true>();
  else
    update.template operator()<false>();
}

template void adam_step(const Context&, const AdamSettings&, Index, float, View<const float, 1>,
                        View<float, 1>, View<float, 1>, View<float, 1>, View<float, 1>);
template void adam_step(const Context&, const AdamSettings&, Index, double, View<const double, 1>,
                        View<double, 1>, View<double, 1>, View<double, 1>, View<double, 1>);

}  // namespace orrery
