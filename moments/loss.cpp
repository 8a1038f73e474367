#include "moments/loss.hpp"

#include <cmath>

#include "kernels/check.hpp"
#include "kernels/gemm.hpp"
#include "kernels/moment_residual.hpp"
#include "kernels/parallel_for.hpp"
#include "kernels/pointwise.hpp"
#include "kernels/reduce.hpp"
#include "kernels/second_moment.hpp"
#include "kernels/shift_blur.hpp"
#include "moments/leading_eigenpairs.hpp"

namespace orrery {

namespace {

template <class T>
void require_numbers(const TargetMoments<T>& target) {
  if (!(target.first_norm > 0 && target.second_norm > 0 && std::isfinite(target.first_norm) &&
        std::isfinite(target.second_norm)))
    throw InputError("the target moments are zero or not finite; check the map and the views");
}

}  // namespace

template <class T>
TargetMoments<T> make_target(const Context& ctx, Tensor<T, 1> first, Tensor<T, 2> second) {
  const Index d = first.extent(0);
  require_shape("make_target", "second", second.view(), {d, d});
  TargetMoments<T> target{std::move(first), std::move(second)};
  target.first_norm = std::sqrt(squared_norm<T>(ctx, target.first));
  target.second_norm = std::sqrt(squared_norm<T>(ctx, target.second.view().flat()));
  require_numbers(target);
  return target;
}

template <class T>
TargetMoments<T> make_factored_target(const Context& ctx, Tensor<T, 1> first, Tensor<T, 2> factors,
                                      Tensor<T, 1> strengths, double remainder_norm) {
  const Index d = first.extent(0), count = strengths.extent(0);
  require_shape("make_factored_target", "factors", factors.view(), {count, d});
  TargetMoments<T> target{std::move(first), {}};
  target.factors = std::move(factors);
  target.strengths = std::move(strengths);
  target.remainder_norm = remainder_norm;
  target.first_norm = std::sqrt(squared_norm<T>(ctx, target.first));

  const double squared =
      squared_norm<T>(ctx, {target.factors, target.strengths}) + remainder_norm * remainder_norm;
  target.second_norm = std::sqrt(squared);
  require_numbers(target);
  return target;
}

template <class T>
Tensor<T, 1> second_diagonal(const Context& ctx, const TargetMoments<T>& target) {
  const Index d = target.first.extent(0);
  auto diagonal = Tensor<T, 1>::zeros(Context::cpu(1), d);
  if (target.factors.size() > 0) {
    const auto factors = download(ctx, target.factors);
    const auto strengths = download(ctx, target.strengths);
    for (Index k = 0; k < strengths.size(); ++k)
      for (Index i = 0; i < d; ++i) diagonal(i) += strengths(k) * factors(k, i) * factors(k, i);
  } else {
    const auto second = download(ctx, target.second);
    for (Index i = 0; i < d; ++i) diagonal(i) = second(i, i);
  }
  return diagonal;
}

namespace {

struct Judgement {
  MomentErrors errors;
  double factors[2];  // d loss / d residual = factor * residual
};

/// The loss and its derivatives from the residuals' squared norms.
struct Judge {
  LossSettings settings;
  double n1, n2;     // norms of the target
  double remainder;  // of its second moment, see TargetMoments

  ORRERY_HOST_DEVICE Judgement operator()(double squared1, double squared2) const {
    const double e1 = sqrt(squared1) / n1, e2 = sqrt(squared2 + remainder * remainder) / n2,
                 lambda = settings.lambda;
    switch (settings.kind) {
      case LossKind::absolute:
        return {{e1, e2, n1 * e1 + lambda * n2 * e2},
                {e1 > 0 ? 1 / (e1 * n1) : 0, e2 > 0 ? lambda / (e2 * n2) : 0}};
      case LossKind::relative:
        return {{e1, e2, e1 + lambda * e2},
                {e1 > 0 ? 1 / (e1 * n1 * n1) : 0, e2 > 0 ? lambda / (e2 * n2 * n2) : 0}};
      default:  // squared
        return {{e1, e2, e1 * e1 + lambda * e2 * e2}, {2 / (n1 * n1), 2 * lambda / (n2 * n2)}};
    }
  }
};

struct JudgeNorms {
  Judge judge;
  View<const double, 1> norms;
  View<double, 1> factors, errors;

  ORRERY_HOST_DEVICE void operator()(Index) const {
    const Judgement judgement = judge(norms(0), norms(1));
    factors(0) = judgement.factors[0];
    factors(1) = judgement.factors[1];
    errors(0) = judgement.errors.first;
    errors(1) = judgement.errors.second;
    errors(2) = judgement.errors.loss;
  }
};

/// What moment_residual gives, for a model whose second moment has to be formed as a matrix before
/// it is compared: a blur mixes numbers of it that lie far apart, and that of several processes is
/// a sum over them.
template <class T>
void formed_moment_residual(const Context& ctx, const Processes& processes,
                            const TargetMoments<T>& target, View<const T, 2> slices,
                            View<const T, 1> weights, Tensor<T, 2>& second,
                            View<T, 1> first_residual, View<T, 2> products,
                            View<double, 1> squared_norms) {
  const Index d = slices.extent(1);
  require(target.factors.size() == 0, "moment_loss",
          "a target that is given by factors cannot be compared as a matrix");
  if (second.size() != d * d) second = Tensor<T, 2>(ctx, d, d);
  const auto blur = [&] {
    if (target.blur.size() > 0) blur_moments<T>(ctx, target.blur, first_residual, second);
  };
  // The model's moments, then their residuals in the same memory.
  weighted_moments_forward<T>(ctx, slices, weights, first_residual, second);
  processes.sum(ctx, first_residual);
  processes.sum(ctx, second.view().flat());
  blur();
  add_scaled<T>(ctx, T(-1), target.first, first_residual);
  add_scaled<T>(ctx, T(-1), target.second.view().flat(), second.view().flat());
  squared_norm<T>(ctx, first_residual, squared_norms.rows(0, 1));
  squared_norm<T>(ctx, second.view().flat(), squared_norms.rows(1, 1));
  blur();  // which is its own adjoint
  gemm<T>(ctx, Transpose::no, Transpose::no, T(1), slices, second, T(0), products);
}

}  // namespace

template <class T>
View<const double, 1> queue_moment_loss(const Context& ctx, const LossSettings& settings,
                                        const TargetMoments<T>& target, View<const T, 2> slices,
                                        View<const T, 1> weights, MomentScratch<T>& scratch,
                                        View<T, 2> dslices, View<T, 1> dweights,
                                        const Processes& processes) {
  const Index d = slices.extent(1);
  require_shape("moment_loss", "target.first", target.first.view(), {d});
  if (scratch.first.size() != d) scratch.first = Tensor<T, 1>(ctx, d);
  if (scratch.errors.size() == 0) {
    scratch.norms = Tensor<double, 1>(ctx, Index{2});
    scratch.factors = Tensor<double, 1>(ctx, Index{2});
    scratch.errors = Tensor<double, 1>(ctx, Index{3});
  }
  if (target.blur.size() > 0 || processes.are_several())
    formed_moment_residual<T>(ctx, processes, target, slices, weights, scratch.second,
                              scratch.first, dslices, scratch.norms);
  else if (target.factors.size() > 0)
    moment_residual<T>(ctx, slices, weights, target.first,
                       FactoredMatrix<T>{target.factors, target.strengths}, scratch.first, dslices,
                       scratch.norms);
  else
    moment_residual<T>(ctx, slices, weights, target.first, target.second, scratch.first, dslices,
                       scratch.norms);
  const Judge judge{settings, target.first_norm, target.second_norm, target.remainder_norm};
  parallel_for(ctx, "moment loss", 1,
               JudgeNorms{judge, scratch.norms, scratch.factors, scratch.errors});
  moment_residual_gradients<T>(ctx, slices, weights, scratch.first, scratch.factors, dslices,
                               dweights);
  return scratch.errors;
}

template <class T>
MomentErrors moment_loss(const Context& ctx, const LossSettings& settings,
                         const TargetMoments<T>& target, View<const T, 2> slices,
                         View<const T, 1> weights, MomentScratch<T>& scratch, View<T, 2> dslices,
                         View<T, 1> dweights, const Processes& processes) {
  const auto errors = download(ctx, queue_moment_loss<T>(ctx, settings, target, slices, weights,
                                                         scratch, dslices, dweights, processes));
  return {errors(0), errors(1), errors(2)};
}

#define ORRERY_INSTANTIATE(T)                                                                   \
  template TargetMoments<T> make_target<T>(const Context&, Tensor<T, 1>, Tensor<T, 2>);         \
  template TargetMoments<T> make_factored_target<T>(const Context&, Tensor<T, 1>, Tensor<T, 2>, \
                                                    Tensor<T, 1>, double);                      \
  template Tensor<T, 1> second_diagonal<T>(const Context&, const TargetMoments<T>&);            \
  template MomentErrors moment_loss<T>(                                                         \
      const Context&, const LossSettings&, const TargetMoments<T>&, View<const T, 2>,           \
      View<const T, 1>, MomentScratch<T>&, View<T, 2>, View<T, 1>, const Processes&);           \
  template View<const double, 1> queue_moment_loss<T>(                                          \
      const Context&, const LossSettings&, const TargetMoments<T>&, View<const T, 2>,           \
      View<const T, 1>, MomentScratch<T>&, View<T, 2>, View<T, 1>, const Processes&);
ORRERY_INSTANTIATE(float)
ORRERY_INSTANTIATE(double)
#undef ORRERY_INSTANTIATE

}  // namespace orrery
