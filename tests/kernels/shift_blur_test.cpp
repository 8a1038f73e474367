#include "kernels/shift_blur.hpp"

#include <cmath>
#include <complex>
#include <numbers>

#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery::test {
namespace {

const Context cpu = Context::cpu(1);
using Complex = std::complex<double>;

/// A slice, as complex numbers with s(-k) = conj s(k), on the n x n grid.
std::vector<Complex> some_slice(std::uint64_t seed, int n) {
  const Index grid = Index{n} * n;
  const auto numbers = random_tensor<double>(seed, grid, 2);
  std::vector<Complex> s(grid);
  for (Index i = 0; i < grid; ++i) {
    const Complex a(numbers(i, 0), numbers(i, 1));
    const Complex b(numbers(grid - 1 - i, 0), numbers(grid - 1 - i, 1));
    s[i] = a + std::conj(b);
  }
  return s;
}

double hartley(Complex s) { return s.real() - s.imag(); }

struct Moments {
  Tensor<double, 1> first;
  Tensor<double, 2> second;
};

/// Moments of slices given with weights: sums of h and h h^T.
struct Average {
  Moments sum;
  explicit Average(Index grid)
      : sum{Tensor<double, 1>::zeros(cpu, grid), Tensor<double, 2>::zeros(cpu, grid, grid)} {}
  void add(const std::vector<Complex>& s, double weight) {
    for (std::size_t i = 0; i < s.size(); ++i) {
      sum.first(i) += weight * hartley(s[i]);
      for (std::size_t j = 0; j < s.size(); ++j)
        sum.second(i, j) += weight * hartley(s[i]) * hartley(s[j]);
    }
  }
};

/// s(k) exp(-2 pi i k.x)
std::vector<Complex> shifted(std::vector<Complex> s, int n, double x, double y) {
  const int h = n / 2;
  for (int i = 0; i < n * n; ++i)
    s[i] *= std::polar(1.0, -2 * std::numbers::pi * ((i % n - h) * x + (i / n - h) * y));
  return s;
}

/// Shifts on a fine grid of +-7 standard deviations, weighted by the normal density: an integral
/// that is exact to rounding, whatever the formula in the kernel.
TEST(ShiftBlur, IsTheAverageOverShifts) {
  const int n = 5;
  for (const double t : {0.03, 0.11}) {
    Average plain(n * n), moved(n * n);
    for (std::uint64_t seed : {1, 2, 3}) {
      const auto slice = some_slice(seed, n);
      plain.add(slice, 0.2 + seed);
      constexpr int steps = 28;
      double total = 0;
      for (int a = -steps; a <= steps; ++a) total += std::exp(-0.5 * std::pow(a * 7.0 / steps, 2));
      for (int a = -steps; a <= steps; ++a)
        for (int b = -steps; b <= steps; ++b) {
          const double x = a * 7.0 / steps, y = b * 7.0 / steps;
          const double weight = std::exp(-0.5 * (x * x + y * y)) / (total * total);
          moved.add(shifted(slice, n, t * x, t * y), (0.2 + seed) * weight);
        }
    }
    Moments& found = plain.sum;
    blur_moments<double>(cpu, shift_blur_factors<double>(cpu, n, t), found.first, found.second);
    EXPECT_LT(relative_difference(found.first, moved.sum.first), 1e-9);
    EXPECT_LT(relative_difference(found.second, moved.sum.second), 1e-9);
  }
}

/// Images drawn one by one, as a microscope would: within four standard errors.
TEST(ShiftBlur, IsWhatShiftedImagesAverageTo) {
  const int n = 5;
  const double t = 0.06;
  const auto slice = some_slice(4, n);
  Average plain(n * n), moved(n * n);
  plain.add(slice, 1);
  RandomSequence random(5, 0);
  constexpr int images = 20000;
  Tensor<double, 2> squares = Tensor<double, 2>::zeros(cpu, n * n, n * n);
  for (int image = 0; image < images; ++image) {
    const double x = t * random.normal(), y = t * random.normal();
    const auto s = shifted(slice, n, x, y);
    moved.add(s, 1.0 / images);
    for (int i = 0; i < n * n; ++i)
      for (int j = 0; j < n * n; ++j)
        squares(i, j) += std::pow(hartley(s[i]) * hartley(s[j]), 2) / images;
  }
  Moments& found = plain.sum;
  blur_moments<double>(cpu, shift_blur_factors<double>(cpu, n, t), found.first, found.second);
  double squared_error = 0, expected = 0;
  for (int i = 0; i < n * n; ++i)
    for (int j = 0; j < n * n; ++j) {
      const double mean = moved.sum.second(i, j);
      squared_error += std::pow(found.second(i, j) - mean, 2);
      expected += (squares(i, j) - mean * mean) / images;
    }
  EXPECT_LT(squared_error, 4 * expected);
  EXPECT_GT(squared_error, 0.25 * expected);
}

TEST(ShiftBlur, LeavesUnshiftedMomentsAlone) {
  auto first = random_tensor<double>(1, 49);
  auto second = random_tensor<double>(2, 49, 49);
  const auto factors = shift_blur_factors<double>(cpu, 7, 0);
  blur_moments<double>(cpu, factors, first, second);
  EXPECT_LT(relative_difference(first, random_tensor<double>(1, 49)), 1e-15);
  EXPECT_LT(relative_difference(second, random_tensor<double>(2, 49, 49)), 1e-15);
}

TEST(ShiftBlur, IsItsOwnAdjoint) {
  const int n = 7;
  const auto factors = shift_blur_factors<double>(cpu, n, 0.05);
  const auto x1 = random_tensor<double>(1, n * n), y1 = random_tensor<double>(2, n * n);
  const auto x2 = random_tensor<double>(3, n * n, n * n),
             y2 = random_tensor<double>(4, n * n, n * n);
  auto ax1 = random_tensor<double>(1, n * n), ay1 = random_tensor<double>(2, n * n);
  auto ax2 = random_tensor<double>(3, n * n, n * n), ay2 = random_tensor<double>(4, n * n, n * n);
  blur_moments<double>(cpu, factors, ax1, ax2);
  blur_moments<double>(cpu, factors, ay1, ay2);
  EXPECT_NEAR(inner_product(ax1.view(), y1.view()), inner_product(x1.view(), ay1.view()), 1e-12);
  EXPECT_NEAR(inner_product(ax2.view().flat(), y2.view().flat()),
              inner_product(x2.view().flat(), ay2.view().flat()), 1e-10);
}

TEST(ShiftBlur, RejectsWhatDoesNotFit) {
  Tensor<float, 1> first(cpu, 9), even(cpu, 16);
  Tensor<float, 2> second(cpu, 9, 9), even_second(cpu, 16, 16);
  Tensor<float, 1> three(cpu, 3), four(cpu, 4), five(cpu, 5);
  EXPECT_THROW(blur_moments<float>(cpu, four, even, even_second), std::invalid_argument);
  EXPECT_THROW(blur_moments<float>(cpu, five, first, second), std::invalid_argument);
  EXPECT_THROW(blur_moments<float>(cpu, three, first, even_second), std::invalid_argument);
  EXPECT_THROW(shift_blur_factors<float>(cpu, 4, 0.1), std::invalid_argument);
}

class ShiftBlurParity : public testing::TestWithParam<BackendUnderTest> {
 protected:
  template <class T>
  void expect_parity(double tolerance) {
    ORRERY_REQUIRE_BACKEND(GetParam());
    const Context device = make_context(GetParam());
    for (const int n : {1, 3, 9, 13}) {
      auto all = [&](const Context& ctx) {
        auto first = upload(ctx, random_tensor<T>(1, n * n));
        auto second = upload(ctx, random_tensor<T>(2, n * n, n * n));
        blur_moments<T>(ctx, shift_blur_factors<T>(ctx, n, 0.04), first, second);
        return std::pair(download(ctx, first), download(ctx, second));
      };
      const auto expected = all(cpu), found = all(device);
      EXPECT_LT(relative_difference(found.first, expected.first), tolerance) << "n " << n;
      EXPECT_LT(relative_difference(found.second, expected.second), tolerance) << "n " << n;
    }
  }
};

TEST_P(ShiftBlurParity, MatchesTheCpuInSinglePrecision) { expect_parity<float>(1e-6); }
TEST_P(ShiftBlurParity, MatchesTheCpuInDoublePrecision) { expect_parity<double>(1e-14); }

INSTANTIATE_TEST_SUITE_P(Backends, ShiftBlurParity, testing::ValuesIn(device_backends()),
                         [](const auto& test) { return backend_name(test); });

}  // namespace
}  // namespace orrery::test
