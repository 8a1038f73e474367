#pragma once

#include <cstdint>
#include <vector>

#include "kernels/tensor.hpp"

namespace orrery::test {

/// A signal of norm 1 and a density of shifts that sums to 1, on the same n samples.
struct ShiftPair {
  std::vector<double> signal, density;
};

/// Mixtures of `components` wrapped Gaussians on the circle of length 1: centres uniform, standard
/// deviations in (0.03, 0.10), weights in (0.4, 1) before normalisation.
ShiftPair mixture_pair(Index n, int components, std::uint64_t seed);

struct ShiftMoments {
  Tensor<double, 1> first;   // (n)
  Tensor<double, 2> second;  // (n,n)
  double noise_variance = 0;
  double observations = 0;  // 0: exact
};

/// m1 = V p and C = V diag(p) V^T by plain loops.
ShiftMoments exact_moments(const ShiftPair& pair);

/// What averaging `observations` noisy shifted copies gives, drawn from the law of the averages
/// instead of copy by copy. The noise's sums and squares are exact (a normal sum for each shift and
/// Bartlett's form of the Wishart matrix), but that chi-squares and the counts of the shifts are
/// replaced by normal numbers of their mean and variance.
ShiftMoments noisy_moments(const ShiftPair& pair, double noise_deviation, double observations,
                           std::uint64_t seed);

/// The same, one copy after another.
ShiftMoments simulated_moments(const ShiftPair& pair, double noise_deviation, int observations,
                               std::uint64_t seed);

/// min_a |found(. - a) - truth| / |truth| over whole samples a, and over all a, `found` being moved
/// between samples by its Fourier coefficients (a in steps of 1/8 sample, refined round the best).
struct ShiftErrors {
  double on_grid = 0, continuous = 0;
};
ShiftErrors shift_errors(View<const double, 1> found, const std::vector<double>& truth);

}  // namespace orrery::test
