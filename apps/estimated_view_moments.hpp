#pragma once

#include <cmath>
#include <span>
#include <vector>

#include "apps/view_moments_file.hpp"
#include "moments/particle_moments.hpp"

namespace orrery {

/// The moments of all images and of either half, with standard errors, from the sums over one or
/// two halves of them; no halves where one is empty. `noise` is the variance of each coefficient.
/// The grid, and what else is known of noise and images, is left to the caller. Sums are given up
/// as soon as what comes of them is known, to spare memory.
ViewMoments view_moments_of(std::vector<ParticleMoments> halves, std::span<const double> noise);

/// Standard error of a moment as a whole over its norm, sqrt(sum error^2 / sum moment^2), of the
/// entries i for which counts(i).
template <class Counts>
double relative_standard_error(std::span<const float> moment, std::span<const float> error,
                               const Counts& counts) {
  double squares = 0, errors = 0;
  for (std::size_t i = 0; i < moment.size(); ++i) {
    if (!counts(i)) continue;
    squares += double(moment[i]) * double(moment[i]);
    errors += double(error[i]) * double(error[i]);
  }
  return squares > 0 ? std::sqrt(errors / squares) : INFINITY;
}

/// Of the entries that were observed.
inline double relative_standard_error(std::span<const float> moment, std::span<const float> error) {
  return relative_standard_error(moment, error,
                                 [&](std::size_t i) { return std::isfinite(error[i]); });
}

}  // namespace orrery
