#pragma once

#include "kernels/view.hpp"

namespace orrery {

/// Cholesky's factorisation A = U^T U of a symmetric positive definite matrix, on the host and one
/// thread: for the small dense systems of least squares.
/// Shapes   A (n,n). Only its upper triangle is read; U overwrites it.
/// Returns  false, with the triangle half overwritten, when A is not positive definite (or holds
///          numbers that are not finite): a caller then damps more.
/// Throws   std::invalid_argument on a shape mismatch.
/// Cost     n^3 / 3 flop, in a fixed order: the same bits everywhere.
[[nodiscard]] bool cholesky_factor(View<double, 2> a);

/// Solves U^T U x = b for a factor from above; b becomes x.
/// Shapes   U (n,n), upper triangle read  b (n).
/// Throws   std::invalid_argument on a shape mismatch.
/// Cost     2 n^2 flop.
void cholesky_solve(View<const double, 2> factor, View<double, 1> b);

}  // namespace orrery
