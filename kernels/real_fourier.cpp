#include "kernels/real_fourier.hpp"

#include <cmath>
#include <numbers>

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

template Tensor<float, 2> real_fourier_basis(const Context&, Index);
template Tensor<double, 2> real_fourier_basis(const Context&, Index);

}  // namespace orrery
