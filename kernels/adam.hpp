#pragma once

#include <cstdint>

#include "kernels/context.hpp"
#include "kernels/view.hpp"

namespace orrery {

struct AdamSettings {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  bool amsgrad = true;
};

/// One Adam step at time `step` (1, 2, ...) over a block of parameters, in place:
///   m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;  s = amsgrad ? max(s, v) : v
///   x -= rate (m / (1 - b1^step)) / (sqrt(s / (1 - b2^step)) + epsilon),  g scaled by
///   gradient_scale.
/// Shapes   all (count); largest (the running maximum s) may be empty when amsgrad is off.
/// Throws   std::invalid_argument on a shape mismatch or step < 1.
/// Source   Kingma and Ba 2015; AMSGrad: Reddi, Kale, Kumar 2018. T is float or double.
template <class T>
void adam_step(const Context& ctx, const AdamSettings& settings, Index step, T gradient_scale,
               View<const T, 1> gradient, View<T, 1> first, View<T, 1> second, View<T, 1> largest,
               View<T, 1> parameters);

/// The same step, unscaled, at a time that only the backend knows: so many steps were taken before
/// it, and its rate is `learning_rate` times `rate_multiplier`. Nothing of it depends on the host,
/// so that it can be recorded (kernels/step_graph.hpp). settings.learning_rate is not used.
/// Shapes   steps_taken (1)  learning_rate (1), on ctx's backend; the others as above.
template <class T>
void adam_step(const Context& ctx, const AdamSettings& settings,
               View<const std::uint64_t, 1> steps_taken, View<const double, 1> learning_rate,
               double rate_multiplier, View<const T, 1> gradient, View<T, 1> first,
               View<T, 1> second, View<T, 1> largest, View<T, 1> parameters);

/// Clips a gradient's norm where only the backend knows it: x *= min(1, largest / norm), norm^2
/// being squared_norm(0). Numbers that are not finite stay what they are.
/// Shapes   squared_norm (1), on ctx's backend  x (count), in place.
/// Throws   std::invalid_argument on a shape mismatch or a largest norm that is not positive.
template <class T>
void clip_norm(const Context& ctx, double largest, View<const double, 1> squared_norm,
               View<T, 1> x);

}  // namespace orrery
