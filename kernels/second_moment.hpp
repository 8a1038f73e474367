#pragma once

#include "kernels/context.hpp"
#include "kernels/view.hpp"

namespace orrery {

/// First and second moments of weighted slices: m1 = sum_j z_j h_j,  m2 = sum_j z_j h_j h_j^T.
/// Shapes   slices (J,D)  weights (J), z >= 0 (not checked)  m1 (D)  m2 (D,D), both triangles
///          written.
/// Throws   std::invalid_argument on a shape mismatch.
/// Cost     J D^2 flop (symmetric half) and J D scratch; deterministic on both backends.
/// Source   Khoo, Paul, Sharon 2023, formula (21).
template <class T>
void weighted_moments_forward(const Context& ctx, View<const T, 2> slices, View<const T, 1> weights,
                              View<T, 1> m1, View<T, 2> m2);

/// Gradients of weighted_moments_forward for a symmetric dm2, scaled by two factors kept apart so
/// that residuals can be passed as they are:
///   dslices[j] = z_j (a dm1 + 2 b dm2 h_j)             (overwritten)
///   dweights[j] = a dm1 . h_j + b h_j^T dm2 h_j        (overwritten)
/// Shapes   slices, dslices (J,D)  weights, dweights (J)  dm1 (D)  dm2 (D,D) symmetric.
/// Throws   std::invalid_argument on a shape mismatch.
/// Cost     2 J D^2 flop; deterministic on both backends.
template <class T>
void weighted_moments_backward(const Context& ctx, View<const T, 2> slices,
                               View<const T, 1> weights, T a, View<const T, 1> dm1, T b,
                               View<const T, 2> dm2, View<T, 2> dslices, View<T, 1> dweights);

}  // namespace orrery
