#pragma once

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

/// Adds the sampling errors of N noisy observations to moments in an orthonormal basis, to leading
/// order: `deviation` u to each number of M1 and to each number off M2's diagonal, sqrt(2) times as
/// much on it, M2 staying symmetric; u is uniform in (0,1) and drawn anew for each sample, so that
/// networks meet every noise up to the largest. From (seed, set, batch(0)) alone.
/// Shapes   batch (1)  scratch_first, first (B,n)  scratch_second, second (B,n,n).
/// Throws   std::invalid_argument on a shape mismatch.
template <class T>
void add_moment_noise(const Context& ctx, T deviation, std::uint64_t seed, PairSet set,
                      View<const std::uint64_t, 1> batch, View<T, 2> scratch_first,
                      View<T, 3> scratch_second, View<T, 2> first, View<T, 3> second);

}  // namespace orrery
