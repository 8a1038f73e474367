#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/random.hpp"

namespace orrery {

/// The law of the paper's random signals and densities (section 5.1): mixtures of Gaussians wrapped
/// around the interval [0, 1). Centres are uniform, widths and weights uniform between their ends,
/// and the weights then sum to 1. Only the figures are ours: the paper does not give them.
struct MixtureLaw {
  int components = 2;
  double least_width = 0.03, largest_width = 0.10;
  double least_weight = 0.4;     // the largest is 1
  bool centres_on_grid = false;  // of n points
};

/// One draw of the law.
struct Mixture {
  static constexpr int most_components = 8;

  int components;
  double centre[most_components], width[most_components], weight[most_components];

  /// The mixture's density at x.
  template <class T>
  ORRERY_HOST_DEVICE T operator()(T x) const {
    T total = 0;
    for (int c = 0; c < components; ++c) {
      const T inverse_width = 1 / static_cast<T>(width[c]);
      T distance = x - static_cast<T>(centre[c]);
      distance -= std::rint(distance);
      T wrapped = 0;  // neighbours further away are below 1e-10 at widths up to 0.2
      for (int turn = -1; turn <= 1; ++turn) {
        const T z = (distance + static_cast<T>(turn)) * inverse_width;
        wrapped += std::exp(T(-0.5) * z * z);
      }
      total += static_cast<T>(weight[c]) * inverse_width * wrapped;
    }
    return total * static_cast<T>(0.39894228040143267794);  // 1 / sqrt(2 pi)
  }
};

/// The mixture number `index` of a seed and stream; any can be drawn anywhere, in any order.
ORRERY_HOST_DEVICE inline Mixture draw_mixture(const MixtureLaw& law, Index n, std::uint64_t seed,
                                               std::uint64_t stream, std::uint64_t index) {
  Mixture mixture;
  mixture.components = law.components;
  double sum = 0;
  for (int c = 0; c < law.components; ++c) {
    const PhiloxWords words = philox(seed, stream, index * Mixture::most_components + c);
    const double centre = open_unit_interval(words.word[0]);
    const double points = static_cast<double>(n);
    mixture.centre[c] = law.centres_on_grid ? std::rint(centre * points) / points : centre;
    mixture.width[c] =
        law.least_width + (law.largest_width - law.least_width) * open_unit_interval(words.word[1]);
    mixture.weight[c] =
        law.least_weight + (1 - law.least_weight) * open_unit_interval(words.word[2]);
    sum += mixture.weight[c];
  }
  for (int c = 0; c < law.components; ++c) mixture.weight[c] /= sum;
  return mixture;
}

}  // namespace orrery
