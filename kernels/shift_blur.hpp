#pragma once

#include "kernels/context.hpp"
#include "kernels/tensor.hpp"

namespace orrery {

// Images that are shifted by nobody knows how much blur every average over them. A shift by x turns
// the phase of a slice, s(k) -> s(k) exp(-2 pi i k.x); for shifts that are normal with standard
// deviation t along both axes (x and t in units of the box, k in cycles a box) the mean phase
// factor is phi(k) = exp(-2 pi^2 t^2 |k|^2).

/// The factor phi along one axis, f[d] = exp(-2 pi^2 t^2 d^2), d = 0 .. n-1:
///   phi(k) = f[|kx|] f[|ky|].
template <class T>
Tensor<T, 1> shift_blur_factors(const Context& ctx, int n, double deviation);

/// The moments of shifted slices from those of unshifted ones, in the Hartley basis and in place:
///   m1(k)    -> phi(k) m1(k)
///   m2(k,k') -> phi(k - k') (m2(k,k') + m2(-k,-k')) / 2 + phi(k + k') (m2(k,k') - m2(-k,-k')) / 2.
/// (With h = Re s - Im s, m2(k,k') = E Re(s(k) conj s(k')) - E Im(s(k) s(k')), of which the former
/// stays and the latter changes its sign when k and k' do.) Linear, and its own adjoint; what is
/// symmetric stays so.
/// Shapes   factors (n)  first (n^2)  second (n^2,n^2).
/// Throws   std::invalid_argument on even n or a shape mismatch.
/// Cost     about 10 n^4 flop, one pass over `second`; deterministic. T is float or double.
/// Source   docs/method.md, "Shifts that nobody knows".
template <class T>
void blur_moments(const Context& ctx, View<const T, 1> factors, View<T, 1> first,
                  View<T, 2> second);

}  // namespace orrery
