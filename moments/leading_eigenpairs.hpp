#pragma once

#include "kernels/context.hpp"
#include "kernels/moment_residual.hpp"
#include "kernels/tensor.hpp"

namespace orrery {

/// The leading part of a symmetric matrix A, the eigenpairs of largest magnitude, and the size of
/// what they leave out: what moments/loss.hpp: make_factored_target wants.
template <class T>
struct Eigenpairs {
  Tensor<T, 2> vectors;       // (K,D) v_k, of length 1 and orthogonal, on ctx's backend
  Tensor<T, 1> values;        // (K), falling in magnitude
  double remainder_norm = 0;  // ||A - sum_k values_k v_k v_k^T||, Frobenius
};

/// Of a matrix in host memory, which passes through ctx's backend a block of rows at a time.
/// Found by subspace iteration from random vectors: 4 times all of them are multiplied by A and
/// made orthogonal, then A is diagonalised in the space that they span (Rayleigh and Ritz). Some
/// vectors more than K are carried along. Exact to rounding where the rank is at most K + 16;
/// elsewhere pairs near the K-th mix with those that follow, but the remainder is measured of what
/// was found, is orthogonal to it in the Frobenius product, and is no more than a few percent above
/// the least there can be. The same vectors on every backend, to rounding. T is float or double.
/// Shapes   a (D,D), symmetric; 1 <= count <= D.
/// Throws   std::invalid_argument on a shape mismatch or a count out of range.
/// Cost     12 D^2 (K + 16) flop and 3 D (K + 16) numbers.
/// Source   Halko, Martinsson, Tropp 2011, section 5.
template <class T>
Eigenpairs<T> leading_eigenpairs(const Context& ctx, View<const T, 2> a, Index count);

/// Of a matrix that is given by factors on ctx's backend, such as slices under their weights: no
/// D x D number anywhere.
/// Shapes   factors (J,D)  strengths (J).
/// Cost     20 J D (K + 16) + J^2 D flop, and J D numbers on top. Deterministic, as above.
template <class T>
Eigenpairs<T> leading_eigenpairs(const Context& ctx, FactoredMatrix<T> a, Index count);

/// ||sum_k strengths_k factors_k factors_k^T||^2 = sum_kl strengths_k strengths_l (f_k . f_l)^2, in
/// the Frobenius norm: K^2 D flop, and 512 K numbers.
template <class T>
double squared_norm(const Context& ctx, FactoredMatrix<T> a);

}  // namespace orrery
