#include "kernels/adam.hpp"

#include <cmath>

#include "kernels/check.hpp"
#include "kernels/parallel_for.hpp"
#include "kernels/tensor.hpp"

namespace orrery {
namespace {

/// The two numbers of a step that change with time.
template <class T>
struct Time {
  T rate;             // learning rate / (1 - beta1^step)
  T root_correction;  // 1 / sqrt(1 - beta2^step)
  ORRERY_HOST_DEVICE const Time& get() const { return *this; }
};

template <class T>
ORRERY_HOST_DEVICE Time<T> time_of_step(double beta1, double beta2, double learning_rate,
                                        double step) {
  return {static_cast<T>(learning_rate / (1 - std::pow(beta1, step))),
          static_cast<T>(1 / std::sqrt(1 - std::pow(beta2, step)))};
}

/// Numbers that were computed where they are read.
template <class T>
struct TimeInMemory {
  const Time<T>* time;
  ORRERY_HOST_DEVICE const Time<T>& get() const { return *time; }
};

template <class T>
struct ComputeTime {
  double beta1, beta2, rate_multiplier;
  const std::uint64_t* steps_taken;
  const double* learning_rate;
  Time<T>* time;

  ORRERY_HOST_DEVICE void operator()(Index) const {
    *time = time_of_step<T>(beta1, beta2, *learning_rate * rate_multiplier,
                            static_cast<double>(*steps_taken + 1));
  }
};

template <class T>
struct AdamState {
  const T* gradient;
  T *first, *second, *largest, *parameters;
};

template <class T, bool amsgrad, class TimeOfStep>
struct AdamStep {
  T beta1, beta2, epsilon, gradient_scale;
  TimeOfStep time;
  AdamState<T> state;

  ORRERY_HOST_DEVICE void operator()(Index i) const {
    const T g = gradient_scale * state.gradient[i];
    const T m = beta1 * state.first[i] + (1 - beta1) * g;
    const T v = beta2 * state.second[i] + (1 - beta2) * g * g;
    state.first[i] = m;
    state.second[i] = v;
    T s = v;
    if constexpr (amsgrad) {
      s = state.largest[i] > v ? state.largest[i] : v;
      state.largest[i] = s;
    }
    const Time<T> now = time.get();
    state.parameters[i] -= now.rate * m / (std::sqrt(s) * now.root_correction + epsilon);
  }
};

template <class T, class TimeOfStep>
void step_at(const Context& ctx, const AdamSettings& settings, const TimeOfStep& time,
             T gradient_scale, View<const T, 1> gradient, View<T, 1> first, View<T, 1> second,
             View<T, 1> largest, View<T, 1> parameters) {
  const Index count = parameters.extent(0);
  require_shape("adam_step", "gradient", gradient, {count});
  require_shape("adam_step", "first", first, {count});
  require_shape("adam_step", "second", second, {count});
  if (settings.amsgrad) require_shape("adam_step", "largest", largest, {count});

  auto update = [&]<bool amsgrad>() {
    const AdamStep<T, amsgrad, TimeOfStep> f{
        .beta1 = static_cast<T>(settings.beta1),
        .beta2 = static_cast<T>(settings.beta2),
        .epsilon = static_cast<T>(settings.epsilon),
        .gradient_scale = gradient_scale,
        .time = time,
        .state = {gradient.data, first.data, second.data, largest.data, parameters.data}};
    parallel_for(ctx, "adam step", count, f);
  };
  if (settings.amsgrad)
    update.template operator()<true>();
  else
    update.template operator()<false>();
}

template <class T>
struct ClipNorm {
  double largest;
  const double* squared_norm;
  T* x;

  ORRERY_HOST_DEVICE void operator()(Index i) const {
    const double norm = std::sqrt(*squared_norm);
    if (norm > largest) x[i] *= static_cast<T>(largest / norm);
  }
};

}  // namespace

template <class T>
void adam_step(const Context& ctx, const AdamSettings& settings, Index step, T gradient_scale,
               View<const T, 1> gradient, View<T, 1> first, View<T, 1> second, View<T, 1> largest,
               View<T, 1> parameters) {
  require(step >= 1, "adam_step", "steps count from 1");
  const Time<T> time = time_of_step<T>(settings.beta1, settings.beta2, settings.learning_rate,
                                       static_cast<double>(step));
  step_at<T>(ctx, settings, time, gradient_scale, gradient, first, second, largest, parameters);
}

template <class T>
void adam_step(const Context& ctx, const AdamSettings& settings,
               View<const std::uint64_t, 1> steps_taken, View<const double, 1> learning_rate,
               double rate_multiplier, View<const T, 1> gradient, View<T, 1> first,
               View<T, 1> second, View<T, 1> largest, View<T, 1> parameters) {
  require_shape("adam_step", "steps_taken", steps_taken, {1});
  require_shape("adam_step", "learning_rate", learning_rate, {1});
  Tensor<Time<T>, 1> time(ctx, 1);
  parallel_for(ctx, "adam time", 1,
               ComputeTime<T>{settings.beta1, settings.beta2, rate_multiplier, steps_taken.data,
                              learning_rate.data, time.data()});
  step_at<T>(ctx, settings, TimeInMemory<T>{time.data()}, T(1), gradient, first, second, largest,
             parameters);
}

template <class T>
void clip_norm(const Context& ctx, double largest, View<const double, 1> squared_norm,
               View<T, 1> x) {
  require_shape("clip_norm", "squared_norm", squared_norm, {1});
  require(largest > 0, "clip_norm", "the largest norm must be positive");
  parallel_for(ctx, "clip norm", x.size(), ClipNorm<T>{largest, squared_norm.data, x.data});
}

template void clip_norm(const Context&, double, View<const double, 1>, View<float, 1>);
template void clip_norm(const Context&, double, View<const double, 1>, View<double, 1>);
template void adam_step(const Context&, const AdamSettings&, Index, float, View<const float, 1>,
                        View<float, 1>, View<float, 1>, View<float, 1>, View<float, 1>);
template void adam_step(const Context&, const AdamSettings&, Index, double, View<const double, 1>,
                        View<double, 1>, View<double, 1>, View<double, 1>, View<double, 1>);
template void adam_step(const Context&, const AdamSettings&, View<const std::uint64_t, 1>,
                        View<const double, 1>, double, View<const float, 1>, View<float, 1>,
                        View<float, 1>, View<float, 1>, View<float, 1>);
template void adam_step(const Context&, const AdamSettings&, View<const std::uint64_t, 1>,
                        View<const double, 1>, double, View<const double, 1>, View<double, 1>,
                        View<double, 1>, View<double, 1>, View<double, 1>);

}  // namespace orrery
