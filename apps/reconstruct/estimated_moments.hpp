#pragma once

#include <optional>
#include <vector>

#include "apps/view_moments_file.hpp"
#include "kernels/context.hpp"
#include "moments/loss.hpp"

namespace orrery {

/// The moments at n voxels an edge, their central frequencies, as if the images had been
/// Fourier-cropped to n pixels: densities keep values, so coefficients shrink by (n / m)^2.
ViewMoments cropped(const ViewMoments& moments, int n);

/// 1 for coefficients to compare a model's with, and 0 for the fewest rings of |k| that have to be
/// left out so that everything compared was observed; empty where nothing has to be.
std::vector<float> observed_weights(const ViewMoments& moments);

/// Weights w(k), functions of |k|, that bring the standard errors of w(k) w(k') M2(k,k') as near to
/// one another as a product can: the means over rings of the least-squares fit
/// log error(k,k') = -log w(k) - log w(k'), scaled to a mean square of 1; and 0 where
/// observed_weights is. Throws InputError where the moments have no standard errors.
std::vector<float> noise_weights(const ViewMoments& moments, const std::string& file);

/// Share of the coefficients in rings of |k| whose mean power is negative by more than five
/// standard errors, which no volume's is: too much noise was taken off. 0 where errors are unknown.
double negative_power_share(const ViewMoments& moments);

/// The moments with these weights (empty: all 1), as a model's are to be compared with them.
/// `first` and `second` are those of `moments` or of one of its halves. With a rank the second
/// stands there by so many of its leading eigenvectors (moments/leading_eigenpairs.hpp).
TargetMoments<float> target_of(const Context& ctx, const ViewMoments& moments,
                               const std::vector<float>& first, const std::vector<float>& second,
                               const std::vector<float>& weights, Index rank = 0);

/// The relative errors that the truth itself would have against the estimated moments, from their
/// standard errors: what the noise alone leaves. Nothing for exact moments.
struct NoiseLevel {
  double first = 0, second = 0;
  /// Whether errors are as small as the noise lets them be: within a fifth of its level. (A fit far
  /// below it follows the noise.)
  bool reached_by(const MomentErrors& errors) const {
    return errors.first < 1.2 * first && errors.second < 1.2 * second;
  }
};
std::optional<NoiseLevel> noise_level(const ViewMoments& moments);

}  // namespace orrery
