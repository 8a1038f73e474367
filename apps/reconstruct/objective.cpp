#include "apps/reconstruct/objective.hpp"

#include <algorithm>

#include "apps/reconstruct/central_band.hpp"
#include "kernels/check.hpp"
#include "kernels/profiling.hpp"
#include "kernels/slices.hpp"

namespace orrery {

Objective::Objective(const Context& ctx, const ObjectiveSettings& settings, int n, int band,
                     const Quadrature& quadrature, const TargetMoments<float>& target,
                     VolumePrior& volume, DensityPrior& density, Parameters<float>& parameters)
    : ctx_(ctx),
      settings_(settings),
      band_(band),
      quadrature_(quadrature),
      target_(target),
      volume_(volume),
      density_(density),
      parameters_(parameters) {
  const Index distinct = static_cast<Index>(quadrature.distinct.size());
  const Index pixels = Index{band} * band;
  const Index half_plane = (pixels + 1) / 2;
  slice_points_ = distinct * half_plane;
  if (settings.penalty.weight > 0) grid_ = make_real_space_grid<float>(ctx, n);
  const Index grid_points = grid_.count();

  coordinates_ = Tensor<float, 2>(ctx, slice_points_ + grid_points, Index{3});
  values_ = Tensor<float, 2>(ctx, slice_points_ + grid_points, Index{2});
  dvalues_ = Tensor<float, 2>(ctx, slice_points_ + grid_points, Index{2});
  base_ = Tensor<float, 2>(ctx, distinct, pixels);
  slices_ = Tensor<float, 2>(ctx, quadrature.view_count(), pixels);
  dslices_ = Tensor<float, 2>(ctx, quadrature.view_count(), pixels);
  weights_ = Tensor<float, 1>(ctx, quadrature.view_count());
  dweights_ = Tensor<float, 1>(ctx, quadrature.view_count());

  const auto rotations = matrices_of<float>(ctx, quadrature.distinct);
  slice_coordinates<float>(ctx, band, 2.0f / static_cast<float>(n - 1), rotations,
                           coordinates_.view().reshaped(distinct, half_plane, Index{3}));
  if (grid_points > 0)
    copy<float, 2>(ctx, grid_.coordinates, coordinates_.view().rows(slice_points_, grid_points));
}

Index Objective::decoder_points() const {
  return coordinates_.extent(0) * volume_.evaluations_per_point();
}

Objective::ModelPullback Objective::form_model(const TargetMoments<float>& moments) {
  ModelPullback pullback{volume_.evaluate(coordinates_, values_), density_.evaluate(weights_)};
  const Index distinct = base_.extent(0);
  const auto half = values_.view().reshaped(distinct, slice_points_ / distinct, Index{2});
  hartley_pack<float>(ctx_, half, base_);
  if (moments.weights.size() > 0) weigh_coefficients<float>(ctx_, moments.weights, base_);
  expand_copies<float>(ctx_, band_, quadrature_.copies, base_, slices_);
  return pullback;
}

MomentErrors Objective::errors_against(const TargetMoments<float>& moments) {
  form_model(moments);
  return moment_loss<float>(ctx_, {}, moments, slices_, weights_, scratch_, dslices_, dweights_);
}

ObjectiveValue Objective::value_and_gradient(const LossSettings& loss) {
  const Index distinct = base_.extent(0);
  const auto dhalf = dvalues_.view().reshaped(distinct, slice_points_ / distinct, Index{2});
  parameters_.zero_gradients();

  // Priors: the volume's slices and the views' probabilities.
  ProfilingRange phase("priors");
  const auto pullback = form_model(target_);

  // Moments and loss, with gradients of slices and probabilities.
  phase.next("moments and loss");
  ObjectiveValue value;
  value.errors =
      moment_loss<float>(ctx_, loss, target_, slices_, weights_, scratch_, dslices_, dweights_);
  value.total = value.errors.loss;

  // What a density must not do: be negative, or lie outside the support.
  phase.next("penalty");
  if (const Index points = grid_.count(); points > 0) {
    value.penalty = real_space_penalty<float>(ctx_, grid_, settings_.penalty,
                                              values_.view().rows(slice_points_, points),
                                              dvalues_.view().rows(slice_points_, points));
    value.total += value.penalty;
  }

  // And back through slices and priors.
  phase.next("gradients of the priors");
  expand_copies_adjoint<float>(ctx_, band_, quadrature_.copies, dslices_, base_);
  if (target_.weights.size() > 0) weigh_coefficients<float>(ctx_, target_.weights, base_);
  hartley_pack_adjoint<float>(ctx_, base_, dhalf);
  pullback.volume(dvalues_);
  pullback.density(dweights_);
  return value;
}

TargetMoments<float> restrict_to_band(const Context& ctx, const TargetMoments<float>& target, int n,
                                      int band) {
  require(band % 2 == 1 && band <= n, "restrict_to_band", "the band must be odd and at most n");
  const CentralBand inside{n, band};
  const auto vector = [&](const Tensor<float, 1>& whole) {
    return upload_as<float>(ctx, inside.of_vector(download(ctx, whole).data()));
  };
  Tensor<float, 2> second(Context::cpu(1), inside.count(), inside.count());
  std::ranges::copy(inside.of_matrix(download(ctx, target.second).data()), second.data());
  auto restricted = make_target<float>(ctx, vector(target.first), upload(ctx, second));
  if (target.weights.size() > 0) restricted.weights = vector(target.weights);
  if (target.blur.size() > 0) {
    const auto factors = download(ctx, target.blur);
    restricted.blur =
        upload_as<float>(ctx, std::vector<float>(factors.data(), factors.data() + band));
  }
  return restricted;
}

}  // namespace orrery
