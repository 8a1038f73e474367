#pragma once

#include "kernels/view.hpp"

namespace orrery {

// Factorisations of small or narrow matrices on the host and one thread, by the LAPACK that comes
// with OpenBLAS. The same bits whatever the number of threads. They throw std::runtime_error where
// the BLAS library that was found has no LAPACK, or where it fails: numbers that are not finite.

/// The eigenvectors of a symmetric matrix, of length 1 and orthogonal:
///   A = sum_k values_k v_k v_k^T.
/// They overwrite the matrix as its rows, values ascending.
/// Shapes   a (n,n), symmetric  values (n).
/// Throws   std::invalid_argument on a shape mismatch.
/// Cost     about 9 n^3 flop and 2 n^2 numbers of scratch.
void symmetric_eigenvectors(View<double, 2> a, View<double, 1> values);

/// Replaces rows by as many of length 1, orthogonal to one another, that span what they spanned (or
/// more, where they depend on each other): Householder's QR.
/// Shapes   rows (k,n), k <= n. T is float or double.
/// Throws   std::invalid_argument for more rows than columns.
/// Cost     4 k^2 n flop.
template <class T>
void orthonormalise_rows(View<T, 2> rows);

}  // namespace orrery
