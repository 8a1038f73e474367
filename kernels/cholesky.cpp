#include "kernels/cholesky.hpp"

#include <cmath>

#include "kernels/check.hpp"

namespace orrery {

bool cholesky_factor(View<double, 2> a) {
  const Index n = a.extent(0);
  require_shape("cholesky_factor", "A", a, {n, n});
  // Row by row of U, each taken at once from all rows below: the inner loop runs along memory.
  for (Index k = 0; k < n; ++k) {
    if (!(a(k, k) > 0) || !std::isfinite(a(k, k))) return false;
    const double root = std::sqrt(a(k, k));
    double* pivot = &a(k, 0);
    for (Index j = k; j < n; ++j) pivot[j] /= root;
    for (Index i = k + 1; i < n; ++i) {
      double* row = &a(i, 0);
      const double factor = pivot[i];
#pragma omp simd
      for (Index j = i; j < n; ++j) row[j] -= factor * pivot[j];
    }
  }
  return true;
}

void cholesky_solve(View<const double, 2> factor, View<double, 1> b) {
  const Index n = b.extent(0);
  require_shape("cholesky_solve", "U", factor, {n, n});
  for (Index k = 0; k < n; ++k) {
    b(k) /= factor(k, k);
    for (Index j = k + 1; j < n; ++j) b(j) -= factor(k, j) * b(k);
  }
  for (Index k = n - 1; k >= 0; --k) {
    for (Index j = k + 1; j < n; ++j) b(k) -= factor(k, j) * b(j);
    b(k) /= factor(k, k);
  }
}

}  // namespace orrery
