#pragma once

#include "kernels/context.hpp"
#include "kernels/view.hpp"

namespace orrery {

/// Moments of circularly shifted signals: an observation is v shifted by s samples, s being drawn
/// with probability p[s]. In real space, with indices mod n,
///   M1[i] = sum_s p[s] v[i-s],    M2[i,j] = sum_s p[s] v[i-s] v[j-s],
/// that is M1 = V p and M2 = V diag(p) V^T with V the circulant matrix of v. The Fourier transform
/// is unitary, so these are the paper's moments (6) with the same norms and no complex numbers.
/// Shapes   signal (B,n)  density (B,n)  first (B,n)  second (B,n,n).
/// Throws   std::invalid_argument on a shape mismatch.
/// Cost     2 B n^3 flop; deterministic on both backends. T is float or double.
/// Source   Khoo, Paul, Sharon 2023, section 3.1.
template <class T>
void shift_moments_forward(const Context& ctx, View<const T, 2> signal, View<const T, 2> density,
                           View<T, 2> first, View<T, 3> second);

/// Gradients of shift_moments_forward, both overwritten; dsecond need not be symmetric:
///   dv[k] = sum_s p[s] (dM1[k+s] + sum_j (dM2[k+s,j] + dM2[j,k+s]) v[j-s])
///   dp[s] = sum_i v[i-s] (dM1[i] + sum_j dM2[i,j] v[j-s])
template <class T>
void shift_moments_backward(const Context& ctx, View<const T, 2> signal, View<const T, 2> density,
                            View<const T, 2> dfirst, View<const T, 3> dsecond, View<T, 2> dsignal,
                            View<T, 2> ddensity);

/// The same moments in the real Fourier basis (kernels/real_fourier.hpp), M1 -> Q M1 and
/// M2 -> Q M2 Q^T, from the coefficients Q v and Q p. A shift is a phase there, so that each entry
/// is a product of two coefficients of v and one of p instead of a sum.
/// Shapes   as above, all in coefficients; n odd.
/// Throws   std::invalid_argument on a shape mismatch or even n.
/// Cost     about 15 B n^2 flop; deterministic on both backends. T is float or double.
template <class T>
void fourier_shift_moments(const Context& ctx, View<const T, 2> signal, View<const T, 2> density,
                           View<T, 2> first, View<T, 3> second);

}  // namespace orrery
