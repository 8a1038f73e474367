#include "kernels/real_fourier.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <numbers>

#include "tests/support/compare.hpp"

namespace orrery {
namespace {

class RealFourierBasis : public testing::TestWithParam<Index> {};
INSTANTIATE_TEST_SUITE_P(Lengths, RealFourierBasis, testing::Values(1, 2, 3, 4, 7, 12, 41));

TEST_P(RealFourierBasis, IsOrthogonal) {
  const Index n = GetParam();
  const auto q = real_fourier_basis<double>(Context::cpu(1), n);
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j) {
      double product = 0;
      for (Index k = 0; k < n; ++k) product += q(i, k) * q(j, k);
      EXPECT_NEAR(product, i == j ? 1 : 0, 1e-13) << i << ", " << j;
    }
}

// The unitary transform x^(k) = n^(-1/2) sum_j x_j e^(-2 pi i k j / n) is (a - i b) / sqrt(2).
TEST_P(RealFourierBasis, HoldsRealAndImaginaryPartsOfTheUnitaryTransform) {
  const Index n = GetParam();
  const auto q = real_fourier_basis<double>(Context::cpu(1), n);
  const auto x = test::random_tensor<double>(5, n);
  auto coefficient = [&](Index i) {
    double c = 0;
    for (Index j = 0; j < n; ++j) c += q(i, j) * x(j);
    return c;
  };
  for (Index k = 0; 2 * k <= n; ++k) {
    std::complex<double> transform = 0;
    for (Index j = 0; j < n; ++j)
      transform += x(j) * std::polar(1.0, -2 * std::numbers::pi * double(k * j) / double(n));
    transform /= std::sqrt(double(n));
    if (k == 0 || 2 * k == n) {
      EXPECT_NEAR(coefficient(k == 0 ? 0 : n - 1), transform.real(), 1e-12);
    } else {
      EXPECT_NEAR(coefficient(2 * k - 1), std::sqrt(2.0) * transform.real(), 1e-12);
      EXPECT_NEAR(coefficient(2 * k), -std::sqrt(2.0) * transform.imag(), 1e-12);
    }
  }
}

TEST_P(RealFourierBasis, ShiftsByWholeSamplesAreRotations) {
  const Index n = GetParam();
  const auto q = real_fourier_basis<double>(Context::cpu(1), n);
  const auto x = test::random_tensor<double>(6, n);
  Tensor<double, 1> shifted(Context::cpu(1), n);
  for (const Index s : {Index{0}, n / 2, n - 1}) {
    shift_signal<double>(q, double(s), x, shifted);
    for (Index i = 0; i < n; ++i) EXPECT_NEAR(shifted((i + s) % n), x(i), 1e-12) << s;
  }
}

TEST(ShiftSignal, TurnsASineByItsAngle) {
  const Index n = 9;
  Tensor<double, 1> x(Context::cpu(1), n), shifted(Context::cpu(1), n);
  auto wave = [](double j) { return 2 + std::sin(2 * std::numbers::pi * 3 * j / 9); };
  for (Index j = 0; j < n; ++j) x(j) = wave(double(j));
  shift_signal<double>(real_fourier_basis<double>(Context::cpu(1), n), 0.4, x, shifted);
  for (Index j = 0; j < n; ++j) EXPECT_NEAR(shifted(j), wave(double(j) - 0.4), 1e-12);
}

TEST(RealFourierBasisShape, RefusesEmptySignals) {
  EXPECT_THROW(real_fourier_basis<float>(Context::cpu(1), 0), std::invalid_argument);
  Tensor<double, 1> three(Context::cpu(1), 3), four(Context::cpu(1), 4);
  const auto basis = real_fourier_basis<double>(Context::cpu(1), 3);
  EXPECT_THROW(shift_signal<double>(basis, 1, four, four), std::invalid_argument);
  EXPECT_THROW(shift_signal<double>(basis, 1, three, four), std::invalid_argument);
}

}  // namespace
}  // namespace orrery
