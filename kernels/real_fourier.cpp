#include "kernels/real_fourier.hpp"

#include <cmath>
#include <numbers>
#include <vector>

#include "kernels/check.hpp"

namespace orrery {

template <class T>
Tensor<T, 2> real_fourier_basis(const Context& ctx, Index n) {
  require(n >= 1, "real_fourier_basis", "a signal needs at least one number");
  Tensor<T, 2> basis(Context::cpu(1), n, n);
  const double size = static_cast<double>(n);
  for (Index row = 0; row < n; ++row) {
    const Index k = (row + 1) / 2;
    const bool alone = row == 0 || 2 * k == n;  // a frequency that has no sine
    const double height = std::sqrt((alone ? 1 : 2) / size);
    for (Index j = 0; j < n; ++j) {
      // The angle is reduced in whole numbers, so that long signals lose nothing.
      const double angle = 2 * std::numbers::pi * static_cast<double>(k * j % n) / size;
      basis(row, j) =
          static_cast<T>(height * (row % 2 == 1 || row == 0 ? std::cos(angle) : std::sin(angle)));
    }
  }
  return upload(ctx, basis);
}

template <class T>
void shift_signal(View<const T, 2> basis, double shift, View<const T, 1> signal,
                  View<T, 1> shifted) {
  const Index n = signal.extent(0);
  require_shape("shift_signal", "basis", basis, {n, n});
  require_shape("shift_signal", "shifted", shifted, {n});
  std::vector<T> c(n, 0);
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j) c[i] += basis(i, j) * signal(j);
  for (Index k = 1; 2 * k <= n; ++k) {
    const double angle =
        2 * std::numbers::pi * static_cast<double>(k) * shift / static_cast<double>(n);
    const T cosine = static_cast<T>(std::cos(angle)), sine = static_cast<T>(std::sin(angle));
    T& a = c[2 * k - 1];
    if (2 * k == n) {
      a *= cosine;
      continue;
    }
    T& b = c[2 * k];
    const T turned = cosine * a - sine * b;
    b = sine * a + cosine * b;
    a = turned;
  }
  for (Index j = 0; j < n; ++j) shifted(j) = 0;
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j) shifted(j) += basis(i, j) * c[i];
}

template void shift_signal(View<const float, 2>, double, View<const float, 1>, View<float, 1>);
template void shift_signal(View<const double, 2>, double, View<const double, 1>, View<double, 1>);
template Tensor<float, 2> real_fourier_basis(const Context&, Index);
template Tensor<double, 2> real_fourier_basis(const Context&, Index);

}  // namespace orrery
