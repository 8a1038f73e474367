#include "moments/shift_error.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <numbers>

#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

using test::random_tensor;

const Context cpu = Context::cpu(2);

template <class T>
struct Errors {
  Tensor<T, 1> error, shift;
  Tensor<T, 2> destimate;
};

template <class T>
Errors<T> errors_of(const Context& ctx, Shifts shifts, View<const T, 2> estimate,
                    View<const T, 2> truth) {
  const Index batch = truth.extent(0), n = truth.extent(1);
  Errors<T> result{Tensor<T, 1>(ctx, batch), Tensor<T, 1>(ctx, batch), Tensor<T, 2>(ctx, batch, n)};
  ShiftError<T>(ctx, shifts, batch, n)
      .errors_and_gradient(estimate, truth, result.error, result.shift, result.destimate);
  return result;
}

/// t shifted by any amount, through its Fourier series; n odd.
std::vector<double> shifted(View<const double, 1> t, double s) {
  const Index n = t.extent(0);
  std::vector<double> result(n);
  for (Index k = -(n - 1) / 2; k <= (n - 1) / 2; ++k) {
    std::complex<double> c = 0;
    const double w = 2 * std::numbers::pi * double(k) / double(n);
    for (Index j = 0; j < n; ++j) c += t(j) * std::polar(1 / double(n), -w * double(j));
    for (Index j = 0; j < n; ++j) result[j] += (c * std::polar(1.0, w * (double(j) - s))).real();
  }
  return result;
}

double relative_error(View<const double, 1> u, const std::vector<double>& t) {
  double missed = 0, norm = 0;
  for (Index i = 0; i < u.extent(0); ++i) {
    missed += (u(i) - t[i]) * (u(i) - t[i]);
    norm += t[i] * t[i];
  }
  return std::sqrt(missed / norm);
}

// (22): every shift by whole samples tried.
TEST(ShiftError, OnTheGridIsTheSmallestOverAllRotationsOfTheSamples) {
  for (const Index n : {1, 2, 3, 6, 11, 12}) {
    const auto u = random_tensor<double>(1, 3, n), t = random_tensor<double>(2, 3, n);
    const auto found = errors_of<double>(cpu, Shifts::grid, u, t);
    for (Index b = 0; b < 3; ++b) {
      double best = INFINITY;
      Index best_shift = 0;
      for (Index s = 0; s < n; ++s) {
        std::vector<double> turned(n);
        for (Index i = 0; i < n; ++i) turned[(i + s) % n] = t(b, i);
        const double error = relative_error(u.view()[b], turned);
        if (error < best) best = error, best_shift = s;
      }
      EXPECT_NEAR(found.error(b), best, 1e-12) << n;
      EXPECT_EQ(found.shift(b), double(best_shift)) << n;
    }
  }
}

TEST(ShiftError, FindsAnyShiftOfASmoothSignal) {
  const Index n = 21;
  Tensor<double, 2> t(cpu, 1, n), u(cpu, 1, n);
  for (Index j = 0; j < n; ++j) t(0, j) = std::exp(-0.5 * std::pow((double(j) - 8) / 1.7, 2));
  for (const double s : {0.0, 0.31, 4.5, 12.06, 20.97}) {
    const auto moved = shifted(t.view()[0], s);
    std::copy(moved.begin(), moved.end(), u.data());
    const auto found = errors_of<double>(cpu, Shifts::continuous, u, t);
    const double distance = std::remainder(found.shift(0) - s, double(n));
    EXPECT_LT(std::abs(distance), 1e-7) << s;
    EXPECT_LT(found.error(0), 1e-7) << s;
  }
}

TEST(ShiftError, OfAnyShiftIsTheSmallestOverAFineGrid) {
  const Index n = 9;
  const auto u = random_tensor<double>(3, 4, n), t = random_tensor<double>(4, 4, n);
  const auto found = errors_of<double>(cpu, Shifts::continuous, u, t);
  for (Index b = 0; b < 4; ++b) {
    double best = INFINITY;
    for (int q = 0; q < 200 * n; ++q)
      best = std::min(best, relative_error(u.view()[b], shifted(t.view()[b], q / 200.0)));
    EXPECT_NEAR(found.error(b), best, 2e-5);
    EXPECT_NEAR(found.error(b), relative_error(u.view()[b], shifted(t.view()[b], found.shift(b))),
                1e-12);
  }
}

class ShiftErrorGradient : public testing::TestWithParam<Shifts> {};
INSTANTIATE_TEST_SUITE_P(Shifts, ShiftErrorGradient,
                         testing::Values(Shifts::grid, Shifts::continuous));

TEST_P(ShiftErrorGradient, MatchesDifferencesOfTheMeanError) {
  const Index batch = 3, n = 11;
  auto u = random_tensor<double>(5, batch, n);
  const auto t = random_tensor<double>(6, batch, n);
  const auto found = errors_of<double>(cpu, GetParam(), u, t);
  auto mean_error = [&] {
    const auto now = errors_of<double>(cpu, GetParam(), u, t);
    return (now.error(0) + now.error(1) + now.error(2)) / 3;
  };
  test::expect_gradient(mean_error, u.view().flat(), found.destimate.view().flat());
}

TEST(ShiftError, OfAnExactEstimateIsZeroWithoutAGradient) {
  const auto t = random_tensor<double>(7, 2, 5);
  Tensor<double, 2> u(cpu, 2, 5);
  for (Index b = 0; b < 2; ++b)
    for (Index i = 0; i < 5; ++i) u(b, (i + 2) % 5) = t(b, i);
  const auto found = errors_of<double>(cpu, Shifts::grid, u, t);
  for (Index b = 0; b < 2; ++b) {
    EXPECT_LT(found.error(b), 1e-14);
    EXPECT_EQ(found.shift(b), 2);
  }
  for (const double slope : found.destimate.view()) EXPECT_TRUE(std::isfinite(slope));
}

TEST(ShiftError, RefusesOtherShapes) {
  ShiftError<float> error(cpu, Shifts::grid, 2, 5);
  Tensor<float, 2> fits(cpu, 2, 5), wrong(cpu, 2, 4);
  Tensor<float, 1> numbers(cpu, 2), few(cpu, 1);
  EXPECT_THROW(error.errors(wrong, fits, numbers, numbers), std::invalid_argument);
  EXPECT_THROW(error.errors(fits, wrong, numbers, numbers), std::invalid_argument);
  EXPECT_THROW(error.errors(fits, fits, few, numbers), std::invalid_argument);
  EXPECT_THROW(error.errors(fits, fits, numbers, few), std::invalid_argument);
  EXPECT_THROW(error.errors_and_gradient(fits, fits, numbers, numbers, wrong),
               std::invalid_argument);
}

class ShiftErrorOnDevice : public testing::TestWithParam<test::BackendUnderTest> {};
INSTANTIATE_TEST_SUITE_P(Backends, ShiftErrorOnDevice, testing::ValuesIn(test::device_backends()),
                         test::backend_name);

TEST_P(ShiftErrorOnDevice, AgreesWithTheCpu) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  const auto u = random_tensor<double>(8, 3, 13), t = random_tensor<double>(9, 3, 13);
  for (const Shifts shifts : {Shifts::grid, Shifts::continuous}) {
    const auto expected = errors_of<double>(cpu, shifts, u, t);
    const auto found = errors_of<double>(ctx, shifts, upload(ctx, u), upload(ctx, t));
    EXPECT_LT(test::relative_difference(download(ctx, found.error), expected.error), 1e-12);
    EXPECT_LT(test::relative_difference(download(ctx, found.shift), expected.shift), 1e-12);
    EXPECT_LT(test::relative_difference(download(ctx, found.destimate), expected.destimate), 1e-12);
  }
}

}  // namespace
}  // namespace orrery
