#include "apps/reconstruct/objective.hpp"

#include <algorithm>
#include <iterator>
#include <string>

#include "apps/reconstruct/central_band.hpp"
#include "kernels/check.hpp"
#include "kernels/profiling.hpp"
#include "kernels/slices.hpp"

namespace orrery {

Objective::Objective(const Context& ctx, const RealSpacePenaltySettings& penalty, int n, int band,
                     const Quadrature& quadrature, const TargetMoments<float>& target,
                     VolumePrior& volume, DensityPrior& density, Parameters<float>& parameters,
                     const Processes& processes)
    : ctx_(ctx),
      penalty_settings_(penalty),
      band_(band),
      quadrature_(quadrature),
      target_(target),
      volume_(volume),
      density_(density),
      parameters_(parameters),
      processes_(processes) {
  own_slices_ = processes.share_of(std::ssize(quadrature.distinct));
  if (std::ssize(quadrature.distinct) < processes.count())
    throw InputError("--directions: there are " + std::to_string(quadrature.distinct.size()) +
                     " slices to share among " + std::to_string(processes.count()) +
                     " processes; give more, or start fewer processes");
  const Index distinct = own_slices_.count, views = distinct * quadrature.copies;
  const Index pixels = Index{band} * band;
  const Index half_plane = (pixels + 1) / 2;
  slice_points_ = distinct * half_plane;
  if (penalty.weight > 0) grid_ = make_real_space_grid<float>(ctx, n);
  own_grid_ = processes.share_of(grid_.count());
  const Index grid_points = own_grid_.count;

  coordinates_ = Tensor<float, 2>(ctx, slice_points_ + grid_points, Index{3});
  values_ = Tensor<float, 2>(ctx, slice_points_ + grid_points, Index{2});
  dvalues_ = Tensor<float, 2>(ctx, slice_points_ + grid_points, Index{2});
  base_ = Tensor<float, 2>(ctx, distinct, pixels);
  slices_ = Tensor<float, 2>(ctx, views, pixels);
  dslices_ = Tensor<float, 2>(ctx, views, pixels);
  weights_ = Tensor<float, 1>(ctx, quadrature.view_count());
  dweights_ = Tensor<float, 1>::zeros(ctx, quadrature.view_count());

  penalty_ = Tensor<double, 1>::zeros(ctx, 1);

  const auto first = quadrature.distinct.begin() + own_slices_.first;
  const auto rotations = matrices_of<float>(ctx, {first, first + distinct});
  slice_coordinates<float>(ctx, band, 2.0f / static_cast<float>(n - 1), rotations,
                           coordinates_.view().reshaped(distinct, half_plane, Index{3}));
  if (grid_points > 0)
    copy<float, 2>(ctx, grid_.coordinates.view().rows(own_grid_.first, grid_points),
                   coordinates_.view().rows(slice_points_, grid_points));
  if (!processes.are_several()) return;
  grid_values_ = Tensor<float, 2>(ctx, grid_.count(), Index{2});
  dgrid_values_ = Tensor<float, 2>(ctx, grid_.count(), Index{2});
}

Index Objective::decoder_points() const {
  const Index half_plane = slice_points_ / own_slices_.count;
  return (std::ssize(quadrature_.distinct) * half_plane + grid_.count()) *
         volume_.evaluations_per_point();
}

/// Of numbers of all views, those of this process.
View<float, 1> Objective::own(Tensor<float, 1>& of_views) const {
  return of_views.view().rows(own_slices_.first * quadrature_.copies, slices_.extent(0));
}

/// The priors: the volume's slices and the views' probabilities.
Objective::ModelPullback Objective::form_model(const TargetMoments<float>& moments) {
  const ProfilingRange range("priors");
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
  return moment_loss<float>(ctx_, {}, moments, slices_, own(weights_), scratch_, dslices_,
                            own(dweights_), processes_);
}

/// What a density must not do: be negative, or lie outside the support.
void Objective::queue_penalty() {
  const Index points = grid_.count();
  if (points == 0) return;
  const ProfilingRange range("penalty");
  if (processes_.are_several()) return form_shared_penalty();
  real_space_penalty<float>(ctx_, grid_, penalty_settings_,
                            values_.view().rows(slice_points_, points),
                            dvalues_.view().rows(slice_points_, points), penalty_);
}

/// The penalty takes the transform of all values, which each process then has, and gives the
/// gradients of all of them, of which each keeps its own.
void Objective::form_shared_penalty() {
  const auto [first, count] = own_grid_;
  set_zero<float, 2>(ctx_, grid_values_);
  copy<float, 2>(ctx_, values_.view().rows(slice_points_, count),
                 grid_values_.view().rows(first, count));
  processes_.sum(ctx_, grid_values_.view().flat());
  real_space_penalty<float>(ctx_, grid_, penalty_settings_, grid_values_, dgrid_values_, penalty_);
  copy<float, 2>(ctx_, dgrid_values_.view().rows(first, count),
                 dvalues_.view().rows(slice_points_, count));
}

/// Back through slices and priors.
void Objective::gradients_of_priors(const ModelPullback& pullback) {
  const ProfilingRange range("gradients of the priors");
  const Index distinct = base_.extent(0);
  expand_copies_adjoint<float>(ctx_, band_, quadrature_.copies, dslices_, base_);
  if (target_.weights.size() > 0) weigh_coefficients<float>(ctx_, target_.weights, base_);
  hartley_pack_adjoint<float>(
      ctx_, base_, dvalues_.view().reshaped(distinct, slice_points_ / distinct, Index{2}));
  pullback.volume(dvalues_);
  pullback.density(dweights_);
}

ObjectiveValue Objective::value_and_gradient(const LossSettings& loss) {
  Tensor<double, 1> value(ctx_, value_numbers);
  queue_value_and_gradient(loss, value);
  // Processors that round differently must not take different ways from here.
  return processes_.from_first(value_from(download(ctx_, value).view()));
}

void Objective::queue_value_and_gradient(const LossSettings& loss, View<double, 1> value) {
  parameters_.zero_gradients();
  const auto pullback = form_model(target_);
  const auto errors = queue_moment_loss<float>(ctx_, loss, target_, slices_, own(weights_),
                                               scratch_, dslices_, own(dweights_), processes_);
  queue_penalty();
  gradients_of_priors(pullback);
  processes_.sum(ctx_, parameters_.gradients());
  copy<double, 1>(ctx_, errors, value.rows(0, 3));
  copy<double, 1>(ctx_, penalty_.view(), value.rows(3, 1));
}

ObjectiveValue Objective::value_from(View<const double, 1> value) {
  return {{value(0), value(1), value(2)}, value(3), value(2) + value(3)};
}

TargetMoments<float> restrict_to_band(const Context& ctx, const TargetMoments<float>& target, int n,
                                      int band) {
  require(band % 2 == 1 && band <= n, "restrict_to_band", "the band must be odd and at most n");
  const CentralBand inside{n, band};
  const auto vector = [&](const Tensor<float, 1>& whole) {
    return upload_as<float>(ctx, inside.of_vector(download(ctx, whole).data()));
  };
  TargetMoments<float> restricted;
  if (target.factors.size() > 0) {
    const auto factors = download(ctx, target.factors);
    Tensor<float, 2> central(Context::cpu(1), factors.extent(0), inside.count());
    for (Index k = 0; k < factors.extent(0); ++k)
      std::ranges::copy(inside.of_vector(factors.view()[k].data), central.view()[k].data);
    restricted = make_factored_target<float>(ctx, vector(target.first), upload(ctx, central),
                                             upload(ctx, download(ctx, target.strengths)));
  } else {
    Tensor<float, 2> central(Context::cpu(1), inside.count(), inside.count());
    std::ranges::copy(inside.of_matrix(download(ctx, target.second).data()), central.data());
    restricted = make_target<float>(ctx, vector(target.first), upload(ctx, central));
  }
  if (target.weights.size() > 0) restricted.weights = vector(target.weights);
  if (target.blur.size() > 0) {
    const auto factors = download(ctx, target.blur);
    restricted.blur =
        upload_as<float>(ctx, std::vector<float>(factors.data(), factors.data() + band));
  }
  return restricted;
}

}  // namespace orrery
