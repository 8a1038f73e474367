#include "moments/loss.hpp"

#include <cmath>

#include "kernels/check.hpp"
#include "kernels/pointwise.hpp"
#include "kernels/reduce.hpp"
#include "kernels/second_moment.hpp"
#include "kernels/shift_blur.hpp"

namespace orrery {

template <class T>
TargetMoments<T> make_target(const Context& ctx, Tensor<T, 1> first, Tensor<T, 2> second) {
  const Index d = first.extent(0);
  require_shape("make_target", "second", second.view(), {d, d});
  TargetMoments<T> target{std::move(first), std::move(second)};
  target.first_norm = std::sqrt(squared_norm<T>(ctx, target.first));
  target.second_norm = std::sqrt(squared_norm<T>(ctx, target.second.view().flat()));
  if (!(target.first_norm > 0 && target.second_norm > 0 && std::isfinite(target.first_norm) &&
        std::isfinite(target.second_norm)))
    throw InputError("the target moments are zero or not finite; check the map and the views");
  return target;
}

template <class T>
MomentErrors moment_loss(const Context& ctx, const LossSettings& settings,
                         const TargetMoments<T>& target, View<const T, 2> slices,
                         View<const T, 1> weights, MomentScratch<T>& scratch, View<T, 2> dslices,
                         View<T, 1> dweights) {
  const Index d = slices.extent(1);
  require_shape("moment_loss", "target.first", target.first.view(), {d});
  if (scratch.first.size() != d) {
    scratch.first = Tensor<T, 1>(ctx, d);
    scratch.second = Tensor<T, 2>(ctx, d, d);
  }

  const bool blurred = target.blur.size() > 0;

  // The model's moments, then their residuals in the same memory.
  weighted_moments_forward<T>(ctx, slices, weights, scratch.first, scratch.second);
  if (blurred) blur_moments<T>(ctx, target.blur, scratch.first, scratch.second);
  add_scaled<T>(ctx, T(-1), target.first, scratch.first);
  add_scaled<T>(ctx, T(-1), target.second.view().flat(), scratch.second.view().flat());

  const double e1 = std::sqrt(squared_norm<T>(ctx, scratch.first)) / target.first_norm;
  const double e2 =
      std::sqrt(squared_norm<T>(ctx, scratch.second.view().flat())) / target.second_norm;

  // d loss / d residual = factor * residual, for each of the three losses.
  const double n1 = target.first_norm, n2 = target.second_norm, lambda = settings.lambda;
  double factor1 = 0, factor2 = 0, loss = 0;
  switch (settings.kind) {
    case LossKind::absolute:
      loss = n1 * e1 + lambda * n2 * e2;
      factor1 = e1 > 0 ? 1 / (e1 * n1) : 0;
      factor2 = e2 > 0 ? lambda / (e2 * n2) : 0;
      break;
    case LossKind::relative:
      loss = e1 + lambda * e2;
      factor1 = e1 > 0 ? 1 / (e1 * n1 * n1) : 0;
      factor2 = e2 > 0 ? lambda / (e2 * n2 * n2) : 0;
      break;
    case LossKind::squared:
      loss = e1 * e1 + lambda * e2 * e2;
      factor1 = 2 / (n1 * n1);
      factor2 = 2 * lambda / (n2 * n2);
      break;
  }
  // The blur is its own adjoint.
  if (blurred) blur_moments<T>(ctx, target.blur, scratch.first, scratch.second);
  weighted_moments_backward<T>(ctx, slices, weights, T(factor1), scratch.first, T(factor2),
                               scratch.second, dslices, dweights);
  return {e1, e2, loss};
}

#define ORRERY_INSTANTIATE(T)                                                           \
  template TargetMoments<T> make_target<T>(const Context&, Tensor<T, 1>, Tensor<T, 2>); \
  template MomentErrors moment_loss<T>(                                                 \
      const Context&, const LossSettings&, const TargetMoments<T>&, View<const T, 2>,   \
      View<const T, 1>, MomentScratch<T>&, View<T, 2>, View<T, 1>);
ORRERY_INSTANTIATE(float)
ORRERY_INSTANTIATE(double)
#undef ORRERY_INSTANTIATE

}  // namespace orrery
