#pragma once

#include "kernels/context.hpp"
#include "kernels/view.hpp"

namespace orrery {

/// Channels of an encoder's two inputs, for signals of odd length n.
inline constexpr Index first_channels = 5;
constexpr Index second_channels(Index n) { return n - 1; }

/// What an encoder sees of the moments of shifted signals: fields over the frequency
/// k = -(n-1)/2 .. (n-1)/2, at index k + (n-1)/2. With P(k) = M2^(k,k), the power of the signal,
/// and the whitening W = sqrt(max(P, 0)) / (max(P, 0) + floor),
///   from_first[b]    Re, Im of M1^(k) W(k);  sqrt(max(P(k), 0));  Re, Im of M1^(k)
///   from_second[b]   Re of M2^(k,k+d) W(k) W(k+d) at channel d - 1, Im at channel d - 1 + (n-1)/2
/// for the diagonals d = 1 .. (n-1)/2, frequencies mod n. Whitened, a diagonal is the density's
/// coefficient at d times the phase between the signal's coefficients at k and k + d: numbers of
/// order one whatever the signal's spectrum. The other diagonals repeat these.
/// Shapes   first (B,n)  second (B,n,n), both in the real Fourier basis (kernels/real_fourier.hpp);
///          from_first (B,5,n)  from_second (B,n-1,n).
/// Throws   std::invalid_argument on a shape mismatch or even n.
/// Cost     about 15 B n^2 flop; deterministic on both backends. T is float or double.
template <class T>
void encoder_channels(const Context& ctx, T floor, View<const T, 2> first, View<const T, 3> second,
                      View<T, 3> from_first, View<T, 3> from_second);

}  // namespace orrery
