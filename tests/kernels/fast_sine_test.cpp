#include "kernels/fast_sine.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace orrery::test {
namespace {

/// Largest absolute error of sine and cosine at x, against long double.
template <class T>
double error_at(T x) {
  const auto [sine, cosine] = fast_sine_cosine(x);
  const long double exact = x;
  return static_cast<double>(std::max(std::abs(sine - std::sin(exact)),  //
                                      std::abs(cosine - std::cos(exact))));
}

/// Largest error over an even grid on [-limit, limit], and over the neighbours of every multiple of
/// pi / 2 there, where the reduction has most digits to lose.
template <class T>
double largest_error(double limit, int grid_points) {
  double largest = 0;
  for (int i = 0; i <= grid_points; ++i)
    largest = std::max(largest, error_at(static_cast<T>(limit * (2.0 * i / grid_points - 1))));
  const double quarter_turn = std::numbers::pi / 2;
  for (double quarters = 0; quarters * quarter_turn <= limit; ++quarters) {
    const T x = static_cast<T>(quarters * quarter_turn);
    for (T near : {std::nextafter(x, T(0)), x, std::nextafter(x, T(limit))})
      largest = std::max({largest, error_at(near), error_at(-near)});
  }
  return largest;
}

TEST(FastSine, InSinglePrecisionKeepsItsBound) {
  for (double limit : {1.6, 30.0, 1000.0, 10000.0})
    EXPECT_LT(largest_error<float>(limit, 400'000), 2e-7) << "|x| <= " << limit;
}

TEST(FastSine, InDoublePrecisionKeepsItsBound) {
  for (double limit : {1.6, 30.0, 1000.0, 1000'000.0})
    EXPECT_LT(largest_error<double>(limit, 200'000), 5e-16) << "|x| <= " << limit;
}

TEST(FastSine, IsExactAtZeroAndOdd) {
  EXPECT_EQ(fast_sine(0.0f), 0.0f);
  EXPECT_EQ(fast_sine_cosine(0.0).cosine, 1.0);
  for (float x : {0.1f, 1.5f, 2.0f, 40.0f, 777.0f}) {
    EXPECT_EQ(fast_sine(-x), -fast_sine(x));
    EXPECT_EQ(fast_sine_cosine(-x).cosine, fast_sine_cosine(x).cosine);
  }
}

TEST(FastSine, OfWhatIsNoNumberIsNoNumber) {
  for (double x :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
        -std::numeric_limits<double>::infinity()}) {
    EXPECT_TRUE(std::isnan(fast_sine(x)));
    EXPECT_TRUE(std::isnan(fast_sine(static_cast<float>(x))));
    EXPECT_TRUE(std::isnan(fast_sine_cosine(x).cosine));
    EXPECT_TRUE(std::isnan(fast_sine_cosine(static_cast<float>(x)).cosine));
  }
}

}  // namespace
}  // namespace orrery::test
