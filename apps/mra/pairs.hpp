#pragma once

#include <cmath>

#include "apps/mra/mixtures.hpp"
#include "kernels/context.hpp"
#include "kernels/view.hpp"

namespace orrery {

/// Pairs of different sets are independent for the same seed, so that nothing is tested on what it
/// was trained on.
enum class PairSet : std::uint64_t { training, test };

/// Pairs number B k, B k + 1, ... of a seed and set (apps/mra/mixtures.hpp), k = batch(0) being
/// read where the work is done: each a signal of norm 1 and a density of sum 1 at the points j / n.
/// `set_size` pairs are all there are, one of them being taken at random each time; 0 is no end of
/// them.
/// Shapes   batch (1)  signal (B,n)  density (B,n).
/// Throws   std::invalid_argument on a shape mismatch or a law of no or too many components.
/// Cost     6 B n exponentials a component. The same on both backends to rounding. T is float or
///          double.
/// Source   Khoo, Paul, Sharon 2023, section 5.1.1.
template <class T>
void draw_pairs(const Context& ctx, const MixtureLaw& law, std::uint64_t seed, PairSet set,
                View<const std::uint64_t, 1> batch, std::uint64_t set_size, View<T, 2> signal,
                View<T, 2> density);

/// Standard deviations of the sampling errors of moments, to leading order: of each number of M1,
/// and of each off M2's diagonal; on it the square is twice that. For N observations at noise sigma
/// they are sigma / sqrt(N) and sigma^2 / sqrt(N).
struct MomentNoise {
  double first = 0, second = 0;

  static MomentNoise of(double sigma, double observations) {
    return {sigma / std::sqrt(observations), sigma * sigma / std::sqrt(observations)};
  }
};

/// Adds such errors to moments in an orthonormal basis, M2 staying symmetric. The noise's variance
/// is drawn anew for each sample, uniform up to the one given, so that networks meet every noise up
/// to the largest. From (seed, set, batch(0)) alone.
/// Shapes   batch (1)  scratch_first, first (B,n)  scratch_second, second (B,n,n).
/// Throws   std::invalid_argument on a shape mismatch.
template <class T>
void add_moment_noise(const Context& ctx, const MomentNoise& noise, std::uint64_t seed, PairSet set,
                      View<const std::uint64_t, 1> batch, View<T, 2> scratch_first,
                      View<T, 3> scratch_second, View<T, 2> first, View<T, 3> second);

}  // namespace orrery
