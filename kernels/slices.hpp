#pragma once

#include "kernels/context.hpp"
#include "kernels/view.hpp"

namespace orrery {

// Central slices on an odd n x n grid of centred frequencies. Grid index i = iy n + ix stands for
// (kx, ky) = (ix - h, iy - h), h = (n-1)/2; the origin is index c = (n^2-1)/2 and -k is index
// n^2-1-i. By Friedel's law the points p = 0 .. P-1, P = (n^2+1)/2, at indices c + p carry
// everything: that is the half plane below.

/// Points of the half plane on rotated slices: x[b,p] = scale R_b^T (kx, ky, 0).
/// Shapes   rotations (B,3,3) row-major matrices  x (B,P,3), P = (n^2+1)/2.
/// Throws   std::invalid_argument on even n or a shape mismatch.
/// Source   (R.v)(x) = v(R^T x), so the slice of R samples the volume's transform at R^T k.
template <class T>
void slice_coordinates(const Context& ctx, int n, T scale, View<const T, 3> rotations,
                       View<T, 3> x);

/// Hartley packing of Hermitian slices from their half plane:
///   h[b,c+p] = re - im,  h[b,c-p] = re + im   (at the origin the imaginary part is ignored).
/// An isometry: sums of squares over the full complex plane are kept.
/// Shapes   half (B,P,2) as (re, im)  h (B,n^2).
/// Throws   std::invalid_argument when n^2 is not 2P - 1.
template <class T>
void hartley_pack(const Context& ctx, View<const T, 3> half, View<T, 2> h);
/// Adjoint of hartley_pack: dhalf = pack^T dh (overwritten).
template <class T>
void hartley_pack_adjoint(const Context& ctx, View<const T, 2> dh, View<T, 3> dhalf);
/// Inverse of hartley_pack: re = (h[c+p] + h[c-p]) / 2, im = (h[c-p] - h[c+p]) / 2.
template <class T>
void hartley_unpack(const Context& ctx, View<const T, 2> h, View<T, 3> half);

/// Grid symmetries: copy g of a slice is its view turned by S_g, where S_g = Rz(90 g degrees) for
/// g < 4 and S_g = Rz(90 (g-4) degrees) diag(1,-1,-1) for g >= 4, the same plane seen from behind.
/// full[b*G+g, i] = base[b, index of S_g^T k_i]: a permutation of each row.
/// Shapes   base (B,n^2)  full (B G,n^2), G = 1, 4 or 8 copies.
/// Throws   std::invalid_argument on even n, other G or a shape mismatch.
template <class T>
void expand_copies(const Context& ctx, int n, int copies, View<const T, 2> base, View<T, 2> full);
/// Adjoint of expand_copies: dbase[b] = sum_g of the permuted back dfull[b*G+g] (overwritten).
template <class T>
void expand_copies_adjoint(const Context& ctx, int n, int copies, View<const T, 2> dfull,
                           View<T, 2> dbase);

/// h[b,i] *= weights[i]: its own adjoint. Weights that depend on |k| alone commute with all of the
/// above.
/// Shapes   weights (D)  h (B,D).
/// Throws   std::invalid_argument on a shape mismatch.
template <class T>
void weigh_coefficients(const Context& ctx, View<const T, 1> weights, View<T, 2> h);

/// Images moved by shifts[b] = (x, y) pixels, of which the box has n: transforms are multiplied by
/// exp(-i a), a = 2 pi k.shift / n, which turns each pair of opposite coefficients,
///   h'[c+p] = cos a h[c+p] + sin a h[c-p],   h'[c-p] = cos a h[c-p] - sin a h[c+p].
/// Shapes   shifts (B,2)  h (B,n^2), in place.
/// Throws   std::invalid_argument on even n or a shape mismatch.
template <class T>
void shift_slices(const Context& ctx, int n, View<const T, 2> shifts, View<T, 2> h);

}  // namespace orrery
