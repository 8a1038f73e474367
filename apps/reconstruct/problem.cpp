#include "apps/reconstruct/problem.hpp"

#include <fmt/format.h>

#include <cmath>

#include "apps/reconstruct/estimated_moments.hpp"
#include "apps/reconstruct/neural_truth.hpp"
#include "apps/views.hpp"
#include "geometry/alignment.hpp"
#include "io/mrc.hpp"
#include "kernels/check.hpp"
#include "kernels/gemm.hpp"
#include "kernels/pointwise.hpp"
#include "kernels/reduce.hpp"
#include "kernels/second_moment.hpp"
#include "kernels/slices.hpp"
#include "moments/leading_eigenpairs.hpp"
#include "nn/diverged.hpp"

namespace orrery {

namespace {

/// The truth's views from a table, on the quadrature.
std::vector<double> tabled_view_weights(const Options& options, const Quadrature& quadrature) {
  const ViewTable table = read_views(options.views);
  constexpr double width_degrees = 12;  // the spacing of 100 directions is about 20 degrees
  return view_weights(table.views, table.weights, width_degrees, quadrature);
}

ViewDensity true_density(const Options& options) {
  return view_mixture(options.view_mixture, options.in_plane, options.seed);
}

/// Of the frequencies: from there on the noise that was taken off was not the images' noise.
constexpr double too_much_negative_power = 0.05;

ViewMoments read_moments(const Options& options, std::vector<std::string>& notes) {
  auto moments = read_view_moments(options.moments);
  if (options.half_maps && moments.halves.empty())
    throw InputError(options.moments +
                     ": has no moments of two halves of the images; form them with moments, or "
                     "leave out --half-maps");
  if (options.box > moments.n)
    throw InputError(fmt::format("--box {}: {} has moments of {} voxels an edge; give at most {}",
                                 options.box, options.moments, moments.n, moments.n));
  if (const double share = negative_power_share(moments); share > too_much_negative_power)
    notes.push_back(
        fmt::format("{}: at {:.0f} % of the frequencies the power is negative by over five "
                    "standard errors, so too much noise was taken off; form the moments again with "
                    "--noise-sigma, or a --diameter that leaves some background around particles",
                    options.moments, 100 * share));
  if (options.box == 0 || options.box == moments.n) return moments;
  notes.push_back(fmt::format("{}: restricted from {} to {} frequencies an edge", options.moments,
                              moments.n, options.box));
  return cropped(moments, options.box);
}

/// The map at the box asked for, or at that of the moments it is compared with.
Volume read_map(const Context& ctx, const Options& options, const ViewMoments* moments,
                std::vector<std::string>& notes) {
  io::MapReadOptions read;
  if (options.voxel_size > 0) read.voxel_size = options.voxel_size;
  auto map = io::read_map(options.volume, read);
  for (const auto& note : map.notes) notes.push_back(options.volume + ": " + note);
  const int n = moments ? moments->n : options.box > 0 ? options.box : odd_below(map.volume.n);
  if (n > map.volume.n)
    throw InputError(fmt::format("--box {}: {} has only {} voxels an edge; give at most {}", n,
                                 options.volume, map.volume.n, odd_below(map.volume.n)));
  constexpr double tolerance = 0.01;
  const double box = moments ? moments->n * moments->voxel_size : map.volume.box();
  if (std::abs(map.volume.box() - box) > tolerance * box)
    throw InputError(fmt::format(
        "{}: its box is {:.4g} A an edge and that of {} {:.4g} A; give --voxel-size, or a map of "
        "the same box",
        options.volume, map.volume.box(), options.moments, box));
  if (n != map.volume.n) {
    notes.push_back(fmt::format("{}: Fourier-cropped from {} to {} voxels an edge", options.volume,
                                map.volume.n, n));
    map.volume = fourier_crop(ctx, map.volume, n);
  }
  return normalised(map.volume);
}

Volume phantom_of(const Options& options) {
  Volume volume = phantom(options.box > 0 ? options.box : 25);
  if (options.voxel_size > 0) volume.voxel_size = options.voxel_size;
  return volume;
}

/// The slices on all views of a quadrature, (J,D).
Tensor<float, 2> all_slices(const Context& ctx, const Volume& volume,
                            const Quadrature& quadrature) {
  const Index distinct = static_cast<Index>(quadrature.distinct.size());
  const Index pixels = Index{volume.n} * volume.n;
  const auto half = slices_of(ctx, volume, quadrature.distinct);
  Tensor<float, 2> base(ctx, distinct, pixels), slices(ctx, quadrature.view_count(), pixels);
  hartley_pack<float>(ctx, half, base);
  expand_copies<float>(ctx, volume.n, quadrature.copies, base, slices);
  return slices;
}

/// Exact moments of a map, as a file would hold them.
ViewMoments on_host(const Context& ctx, const TargetMoments<float>& exact, const Volume& map) {
  const auto first = download(ctx, exact.first);
  ViewMoments moments;
  moments.n = map.n;
  moments.voxel_size = map.voxel_size;
  moments.first.assign(first.view().begin(), first.view().end());
  if (exact.second.size() == 0) return moments;
  const auto second = download(ctx, exact.second);
  moments.second.assign(second.view().flat().begin(), second.view().flat().end());
  return moments;
}

/// What the leading eigenvectors of a second moment given by slices leave of a target.
TargetMoments<float> leading_part(const Context& ctx, const TargetMoments<float>& by_slices,
                                  Index rank) {
  auto pairs = leading_eigenpairs<float>(ctx, {by_slices.factors, by_slices.strengths}, rank);
  auto first = tensor_like<float>(ctx, by_slices.first.view());
  copy<float, 1>(ctx, by_slices.first, first);
  return make_factored_target<float>(ctx, std::move(first), std::move(pairs.vectors),
                                     std::move(pairs.values), pairs.remainder_norm);
}

NeuralTruth neural_truth(const Context& ctx, const Volume& volume, const Options& options) {
  try {
    return fit_neural_truth(ctx, volume, options);
  } catch (const Diverged& error) {
    throw InputError(
        std::string("--target neural: ") + error.what() +
        "; lower --modulant-frequency or --envelope-frequency, or give --target exact");
  }
}

void form_moments(const Context& ctx, const Options& options, Problem& problem) {
  Reference& reference = problem.reference.value();
  reference.view_weights = true_view_weights(options, problem.quadrature);
  if (options.target == "neural") {
    auto neural = neural_truth(ctx, reference.volume, options);
    reference.volume = std::move(neural.volume);
    reference.neural_truth_error = neural.relative_error;
  }
  const bool by_slices = options.target_rank > 0;
  auto exact = (by_slices ? moments_by_slices : moments_of)(
      ctx, reference.volume, problem.quadrature, reference.view_weights);
  if (options.views.empty())
    problem.quadrature_error = quadrature_error_of(ctx, reference.volume, true_density(options),
                                                   problem.quadrature, exact);
  if (by_slices) {
    problem.target = leading_part(ctx, exact, options.target_rank);
    problem.exact = std::move(exact);
  } else {
    problem.target = std::move(exact);
  }
  problem.moments = on_host(ctx, problem.target, reference.volume);
  problem.moments.source = options.volume.empty() ? "phantom" : options.volume;
}

void take_moments(const Context& ctx, const Options& options, ViewMoments moments,
                  Problem& problem) {
  problem.moments = std::move(moments);
  if (problem.reference) problem.reference->same_scale = false;
  const bool errors_can_be_trusted =
      !problem.moments.second_error.empty() &&
      negative_power_share(problem.moments) <= too_much_negative_power;
  const bool by_noise =
      options.weighting == "noise" || (options.weighting == "auto" && errors_can_be_trusted);
  problem.weights = by_noise ? noise_weights(problem.moments, options.moments)
                             : observed_weights(problem.moments);
  if (options.target_rank > 0 && problem.moments.shift_deviation > 0)
    throw InputError("--target-rank: the images of " + options.moments +
                     " have unknown shifts, whose model takes the second moment as a matrix; leave "
                     "the option out");
  problem.target = target_of(ctx, problem.moments, problem.moments.first, problem.moments.second,
                             problem.weights, options.target_rank);
}

}  // namespace

Input read_input(const Context& ctx, const Options& options, std::vector<std::string>& notes) {
  Input input;
  if (!options.moments.empty()) input.moments = read_moments(options, notes);
  if (!options.volume.empty())
    input.map = read_map(ctx, options, input.moments ? &*input.moments : nullptr, notes);
  else if (!input.moments)
    input.map = phantom_of(options);
  return input;
}

std::vector<double> true_view_weights(const Options& options, const Quadrature& quadrature) {
  return options.views.empty() ? view_weights(true_density(options), quadrature)
                               : tabled_view_weights(options, quadrature);
}

TargetMoments<float> moments_of(const Context& ctx, const Volume& volume,
                                const Quadrature& quadrature,
                                const std::vector<double>& view_weights) {
  const auto slices = all_slices(ctx, volume, quadrature);
  const auto weights = upload_as<float>(ctx, view_weights);
  const Index pixels = slices.extent(1);
  Tensor<float, 1> first(ctx, pixels);
  Tensor<float, 2> second(ctx, pixels, pixels);
  weighted_moments_forward<float>(ctx, slices, weights, first, second);
  return make_target<float>(ctx, std::move(first), std::move(second));
}

TargetMoments<float> moments_by_slices(const Context& ctx, const Volume& volume,
                                       const Quadrature& quadrature,
                                       const std::vector<double>& view_weights) {
  auto slices = all_slices(ctx, volume, quadrature);
  auto weights = upload_as<float>(ctx, view_weights);
  Tensor<float, 1> first(ctx, slices.extent(1));
  gemm<float>(ctx, Transpose::no, Transpose::no, 1.0f,
              weights.view().reshaped(Index{1}, weights.size()), slices, 0.0f,
              first.view().reshaped(Index{1}, first.size()));
  return make_factored_target<float>(ctx, std::move(first), std::move(slices), std::move(weights));
}

FinerRule finer_rule(int directions, int angles) {
  return {std::max(240, directions * 12 / 5 / 2 * 2), 2 * angles};
}

double quadrature_error_of(const Context& ctx, const Volume& volume, const ViewDensity& density,
                           const Quadrature& quadrature, const TargetMoments<float>& target) {
  const auto rule = finer_rule(quadrature.direction_count(), quadrature.angles);
  const auto fine = make_quadrature(spherical_design(rule.directions, true), rule.angles);
  if (target.factors.size() > 0) {
    const auto reference = moments_by_slices(ctx, volume, fine, view_weights(density, fine));
    MomentScratch<float> scratch;
    auto dslices = tensor_like<float>(ctx, target.factors.view());
    auto dweights = tensor_like<float>(ctx, target.strengths.view());
    return moment_loss<float>(ctx, {}, reference, target.factors, target.strengths, scratch,
                              dslices, dweights)
        .second;
  }
  const auto reference = moments_of(ctx, volume, fine, view_weights(density, fine));
  const double squared =
      squared_distance<float>(ctx, target.second.view().flat(), reference.second.view().flat());
  return std::sqrt(squared) / reference.second_norm;
}

Problem make_problem(const Context& ctx, const Options& options, Input input) {
  Problem problem;
  const auto design = spherical_design(options.directions, options.directions % 2 == 0);
  problem.quadrature = make_quadrature(design, options.angles);
  if (input.map) problem.reference = Reference{.volume = std::move(*input.map)};
  if (input.moments)
    take_moments(ctx, options, std::move(*input.moments), problem);
  else
    form_moments(ctx, options, problem);
  return problem;
}

}  // namespace orrery
