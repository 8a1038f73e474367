#pragma once

#include <string>
#include <vector>

#include "kernels/view.hpp"

namespace orrery {

/// The noise variance of a sample, from moments out of which no noise has been taken.
///
/// A shift changes phases alone, so the mean power at frequency k is |v^(k)|^2 + sigma^2 whatever
/// the density of shifts (unitary transforms). The estimate is the mean power over the highest
/// quarter of the frequencies: unbiased where the signal has no power there, else too large by the
/// signal's mean power in that band.
struct NoiseEstimate {
  double variance = 0;
  double standard_error = 0;  // sampling alone
  /// Why this is no estimate; empty where nothing speaks against it. The signal shows in the band
  /// by power that is not the same at all its frequencies, or by a mean that is not zero there,
  /// each beyond four standard errors. A signal of flat spectrum under uniform shifts shows in
  /// neither.
  std::string doubt = {};
};
/// first (n), second (n,n), of that many observations. Throws std::invalid_argument on a shape
/// mismatch.
NoiseEstimate estimate_noise(View<const double, 1> first, View<const double, 2> second,
                             Index observations);

}  // namespace orrery
