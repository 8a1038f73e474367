#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/reconstruct/options.hpp"
#include "apps/view_moments_file.hpp"
#include "geometry/quadrature.hpp"
#include "geometry/view_density.hpp"
#include "geometry/volume.hpp"
#include "moments/loss.hpp"

namespace orrery {

/// What a run is given: a map to take moments of, or moments, then perhaps with the map that they
/// should come from.
struct Input {
  std::optional<Volume> map;  // odd n, Frobenius norm 1
  std::optional<ViewMoments> moments;

  int n() const { return moments ? moments->n : map->n; }
};

/// Reads what the options name, at the box asked for; without moments and a map that is the
/// phantom. `notes` takes what the user should be told. Throws InputError for unusable input.
Input read_input(const Context& ctx, const Options& options, std::vector<std::string>& notes);

/// The truth, where it is known: what results are aligned to and scored against.
struct Reference {
  Volume volume;                          // exactly as used
  std::vector<double> view_weights = {};  // on the quadrature's views; empty: unknown
  bool same_scale = true;                 // false: images may have it times any factor
  double neural_truth_error = 0;          // --target neural: relative error of the fitted network
};

/// The moments, which are all that the reconstruction may see, and what it does not see.
struct Problem {
  ViewMoments moments;          // of a map under --target-rank without the second
  std::vector<float> weights;   // of coefficients; empty: all 1
  TargetMoments<float> target;  // the moments with these weights
  /// Of a map under --target-rank: the moments without an approximation, by the map's slices.
  std::optional<TargetMoments<float>> exact;
  Quadrature quadrature;
  std::optional<Reference> reference;
  std::optional<double> quadrature_error;  // relative, of M2 against a finer rule
};

/// Takes the moments as they are given, or forms those of the map. Throws InputError for unusable
/// views, or weights that the moments do not tell.
Problem make_problem(const Context& ctx, const Options& options, Input input);

/// The truth's density on the views of any quadrature.
std::vector<double> true_view_weights(const Options& options, const Quadrature& quadrature);

/// Moments of a volume under weights on the quadrature's views.
TargetMoments<float> moments_of(const Context& ctx, const Volume& volume,
                                const Quadrature& quadrature,
                                const std::vector<double>& view_weights);
/// The same without a matrix: the slices under their weights are the second moment's factors.
TargetMoments<float> moments_by_slices(const Context& ctx, const Volume& volume,
                                       const Quadrature& quadrature,
                                       const std::vector<double>& view_weights);

/// A finer rule than this many directions and angles: twice the angles, 2.4 times the directions
/// (at least 240, and even).
struct FinerRule {
  int directions = 0, angles = 0;
  std::int64_t views() const { return std::int64_t{directions} * angles; }
};
FinerRule finer_rule(int directions, int angles);

/// Relative difference of the second moments under this quadrature, as a matrix or by slices, and
/// under the finer one.
double quadrature_error_of(const Context& ctx, const Volume& volume, const ViewDensity& density,
                           const Quadrature& quadrature, const TargetMoments<float>& target);

}  // namespace orrery
