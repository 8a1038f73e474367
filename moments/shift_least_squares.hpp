#pragma once

#include <cstdint>
#include <vector>

#include "kernels/context.hpp"
#include "kernels/tensor.hpp"

namespace orrery {

/// The first two moments of observations of a signal v at unknown circular shifts: estimates of
/// m1 = V p and C = V diag(p) V^T, V(i,s) = v(i - s) mod n, free of the noise's own share. Host
/// memory.
struct ShiftMomentsView {
  View<const double, 1> first;   // m1 (n)
  View<const double, 2> second;  // C (n,n), symmetric
  // The moments are exact where either is 0.
  double noise_variance = 0;  // of one sample of one observation
  double observations = 0;    // how many were averaged
};

struct ShiftLeastSquaresSettings {
  int starts = 1;              // the solution of lowest objective is kept
  bool spectral_start = true;  // the first start comes from the moments; all others are random
  std::uint64_t seed = 0;      // of the random starts
  int most_iterations = 200;   // with p free, and as many again with p >= 0
};

struct ShiftSolution {
  Tensor<double, 1> signal;   // v (n)
  Tensor<double, 1> density;  // p (n), not negative, sums to 1
  double objective = 0;       // what was minimised: about n^2 / 2 where noise alone is left
  int iterations = 0;
};

/// The signal and the density of shifts with those moments, by least squares: the minimum of
///
///   |V p - m1|^2 / var1  +  |V diag(p) V^T - C|_F^2 / (2 var2)
///     + sum_k |v^(k)|^2 / S_v(k)  +  sum_{k > 0} |p^(k)|^2 / S_p(k)
///
/// over v and p >= 0 with sum 1. var1 and var2 are the noise's variances in the mean and in an
/// off-diagonal number of C, that in C growing with the signal's own mean square:
///   var1 = s^2 / N,   var2 = (s^4 + 2 s^2 tr C / n) / N.
/// The two Wiener priors' spectra come from the moments (moments/shift_spectra.hpp). Exact moments
/// are fitted as ones of very many observations, so that the priors have next to no say.
///
/// Levenberg and Marquardt's method on the normal equations of moments/shift_normal_equations.hpp:
/// first with p free, then with p >= 0 by a projected active set. (v shifted by a, p by -a) has the
/// same moments: the pair is returned as it was found. Any n >= 3, odd or even.
///
/// A tiny dense problem in double precision on the host and one thread: about 11 n^3 flop an
/// iteration and some hundred iterations, n = 41 in about 10 ms. Deterministic.
/// Throws   std::invalid_argument on shapes that do not fit, InputError when the moments hold no
///          signal or are not finite.
ShiftSolution solve_shift_moments(const ShiftMomentsView& target,
                                  const ShiftLeastSquaresSettings& settings = {});

/// The same for many targets at once, which the context's threads share. The results do not depend
/// on the number of threads.
std::vector<ShiftSolution> solve_shift_moments(const Context& ctx,
                                               const std::vector<ShiftMomentsView>& targets,
                                               const ShiftLeastSquaresSettings& settings = {});

/// The same from a given pair, such as a network's answer, instead of the settings' starts. The
/// density is first shifted against the signal to where the two fit best.
ShiftSolution refine_shift_solution(const ShiftMomentsView& target, View<const double, 1> signal,
                                    View<const double, 1> density,
                                    const ShiftLeastSquaresSettings& settings = {});

}  // namespace orrery
