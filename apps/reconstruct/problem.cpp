#include "apps/reconstruct/problem.hpp"

#include <cmath>

#include "apps/views.hpp"
#include "geometry/alignment.hpp"
#include "io/mrc.hpp"
#include "kernels/check.hpp"
#include "kernels/pointwise.hpp"
#include "kernels/reduce.hpp"
#include "kernels/second_moment.hpp"
#include "kernels/slices.hpp"

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

}  // namespace

Volume read_truth(const Context& ctx, const Options& options, std::vector<std::string>& notes) {
  if (options.volume.empty()) {
    const int n = options.box > 0 ? options.box : 25;
    return phantom(n);
  }
  io::MapReadOptions read;
  if (options.voxel_size > 0) read.voxel_size = options.voxel_size;
  auto map = io::read_map(options.volume, read);
  notes = map.notes;
  const int n = options.box > 0 ? options.box : odd_below(map.volume.n);
  if (n > map.volume.n)
    throw InputError("--box " + std::to_string(n) + ": " + options.volume + " has only " +
                     std::to_string(map.volume.n) + " voxels an edge; ask for at most " +
                     std::to_string(odd_below(map.volume.n)));
  if (n != map.volume.n) {
    notes.push_back("Fourier-cropped from " + std::to_string(map.volume.n) + " to " +
                    std::to_string(n) + " voxels an edge");
    map.volume = fourier_crop(ctx, map.volume, n);
  }
  return normalised(map.volume);
}

std::vector<double> true_view_weights(const Options& options, const Quadrature& quadrature) {
  return options.views.empty() ? view_weights(true_density(options), quadrature)
                               : tabled_view_weights(options, quadrature);
}

TargetMoments<float> moments_of(const Context& ctx, const Volume& volume,
                                const Quadrature& quadrature,
                                const std::vector<double>& view_weights) {
  const Index distinct = static_cast<Index>(quadrature.distinct.size());
  const Index pixels = Index{volume.n} * volume.n;
  const auto half = slices_of(ctx, volume, quadrature.distinct);
  Tensor<float, 2> base(ctx, distinct, pixels), slices(ctx, quadrature.view_count(), pixels);
  hartley_pack<float>(ctx, half, base);
  expand_copies<float>(ctx, volume.n, quadrature.copies, base, slices);

  const auto weights = upload_as<float>(ctx, view_weights);
  Tensor<float, 1> first(ctx, pixels);
  Tensor<float, 2> second(ctx, pixels, pixels);
  weighted_moments_forward<float>(ctx, slices, weights, first, second);
  return make_target<float>(ctx, std::move(first), std::move(second));
}

FinerRule finer_rule(int directions, int angles) {
  return {std::max(240, directions * 12 / 5 / 2 * 2), 2 * angles};
}

double quadrature_error_of(const Context& ctx, const Volume& volume, const ViewDensity& density,
                           const Quadrature& quadrature, const TargetMoments<float>& target) {
  const auto rule = finer_rule(quadrature.direction_count(), quadrature.angles);
  const auto fine = make_quadrature(spherical_design(rule.directions, true), rule.angles);
  const auto reference = moments_of(ctx, volume, fine, view_weights(density, fine));
  const double squared =
      squared_distance<float>(ctx, target.second.view().flat(), reference.second.view().flat());
  return std::sqrt(squared) / reference.second_norm;
}

Problem make_problem(const Context& ctx, const Options& options, Volume truth) {
  Problem problem;
  const auto design = spherical_design(options.directions, options.directions % 2 == 0);
  problem.quadrature = make_quadrature(design, options.angles);
  problem.view_weights = true_view_weights(options, problem.quadrature);

  problem.truth = std::move(truth);
  if (options.target == "neural") {
    auto neural = fit_neural_truth(ctx, problem.truth, options);
    problem.truth = std::move(neural.volume);
    problem.neural_truth_error = neural.relative_error;
  }
  problem.target = moments_of(ctx, problem.truth, problem.quadrature, problem.view_weights);
  if (options.views.empty())
    problem.quadrature_error = quadrature_error_of(ctx, problem.truth, true_density(options),
                                                   problem.quadrature, problem.target);
  return problem;
}

}  // namespace orrery
