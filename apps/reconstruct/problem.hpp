#pragma once

#include <string>
#include <vector>

#include "apps/reconstruct/options.hpp"
#include "geometry/quadrature.hpp"
#include "geometry/view_density.hpp"
#include "geometry/volume.hpp"
#include "moments/loss.hpp"

namespace orrery {

/// What a run is given: the ground truth and the moments that are all the reconstruction may see.
struct Problem {
  Volume truth;  // odd n, Frobenius norm 1, exactly as used
  Quadrature quadrature;
  std::vector<double> view_weights;  // of the truth, on the quadrature's views
  TargetMoments<float> target;
  double neural_truth_error = 0;  // --target neural: relative error of the fitted network
  double quadrature_error = 0;    // relative, of M2 against a finer rule
};

/// The map at the box asked for, normalised, or the phantom; `notes` takes what the user should be
/// told. Throws InputError for unusable input.
Volume read_truth(const Context& ctx, const Options& options, std::vector<std::string>& notes);

/// Forms the moments of the truth. Throws InputError for unusable views.
Problem make_problem(const Context& ctx, const Options& options, Volume truth);

/// The truth's density on the views of any quadrature.
std::vector<double> true_view_weights(const Options& options, const Quadrature& quadrature);

/// Moments of a volume under weights on the quadrature's views.
TargetMoments<float> moments_of(const Context& ctx, const Volume& volume,
                                const Quadrature& quadrature,
                                const std::vector<double>& view_weights);

/// A finer rule than this many directions and angles: twice the angles, 2.4 times the directions
/// (at least 240, and even).
struct FinerRule {
  int directions = 0, angles = 0;
  std::int64_t views() const { return std::int64_t{directions} * angles; }
};
FinerRule finer_rule(int directions, int angles);

/// Relative difference of the second moments under this quadrature and under the finer one.
double quadrature_error_of(const Context& ctx, const Volume& volume, const ViewDensity& density,
                           const Quadrature& quadrature, const TargetMoments<float>& target);

/// The FourierNet fitted to a volume and sampled on its grid again (the paper's neural ground
/// truth), with the relative error of the fit.
struct NeuralTruth {
  Volume volume;
  double relative_error = 0;
};
NeuralTruth fit_neural_truth(const Context& ctx, const Volume& volume, const Options& options);

}  // namespace orrery
