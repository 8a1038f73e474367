#pragma once

#include "kernels/context.hpp"
#include "kernels/view.hpp"

namespace orrery {

/// How far the moments of weighted slices are from a target, and the residuals times the slices,
/// which is all that a gradient takes from them. The second residual, R = sum_j z_j h_j h_j^T - M2,
/// is formed in tiles of its upper triangle, each of which is multiplied into the products of its
/// rows and of its columns and then forgotten: neither the model's second moment nor R is ever a
/// matrix in memory.
///   first_residual = sum_j z_j h_j - M1
///   products[j] = R h_j
///   squared_norms = (||first_residual||^2, ||R||^2)
/// All of them stay on ctx's backend: the call does not wait for the device. Gradients follow by
/// moment_residual_gradients, once the caller knows how its loss depends on the norms.
/// Shapes   slices (J,D)  weights (J)  first = M1 (D)  second = M2 (D,D), symmetric
///          first_residual (D)  products (J,D)  squared_norms (2).
/// Throws   std::invalid_argument on a shape mismatch, or without slices.
/// Cost     3 J D^2 flop. CPU: J D numbers of scratch, and D times the edge of a tile. CUDA: the
///          slices padded to whole tiles, and 20 MB of tiles, which stay in the L2 cache; floats
///          are multiplied in the context's precision. Sums have a fixed order on both, and the
///          norms are added in double.
template <class T>
void moment_residual(const Context& ctx, View<const T, 2> slices, View<const T, 1> weights,
                     View<const T, 1> first, View<const T, 2> second, View<T, 1> first_residual,
                     View<T, 2> products, View<double, 1> squared_norms);

/// A symmetric matrix as a sum of squares, sum_k strengths_k factors_k factors_k^T: its leading
/// eigenvectors under its eigenvalues, say, or the slices that it is the second moment of under
/// their weights.
template <class T>
struct FactoredMatrix {
  View<const T, 2> factors;    // (K,D)
  View<const T, 1> strengths;  // (K), of either sign
};

/// The same for a target that is given by factors, where D x D numbers are too many: they join the
/// slices under weights of the other sign, and no matrix is read either. What the factors leave of
/// a matrix M2, in the Frobenius norm, bounds how far ||R|| is from that of M2 itself.
/// Cost     (3 J + K) D^2 flop, and scratch for the factors as for as many slices.
template <class T>
void moment_residual(const Context& ctx, View<const T, 2> slices, View<const T, 1> weights,
                     View<const T, 1> first, FactoredMatrix<T> second, View<T, 1> first_residual,
                     View<T, 2> products, View<double, 1> squared_norms);

/// The gradients of a loss with respect to slices and weights from what moment_residual gave, a and
/// b being the loss's derivatives along the two residuals, per unit of residual:
///   dslices[j] = z_j (a first_residual + 2 b R h_j)
///   dweights[j] = h_j . (a first_residual + b R h_j)          (overwritten)
/// Shapes   slices (J,D)  weights (J)  first_residual (D)  factors = (a, b) (2)
///          products_to_dslices (J,D): R h_j before, dslices[j] afterwards  dweights (J).
/// Throws   std::invalid_argument on a shape mismatch.
/// Cost     one pass over slices and products; deterministic on both backends.
template <class T>
void moment_residual_gradients(const Context& ctx, View<const T, 2> slices,
                               View<const T, 1> weights, View<const T, 1> first_residual,
                               View<const double, 1> factors, View<T, 2> products_to_dslices,
                               View<T, 1> dweights);

}  // namespace orrery
