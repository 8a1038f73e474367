#include "moments/sample_moments.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/random.hpp"
#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

using test::random_tensor;

const Context cpu = Context::cpu(2);

/// Adds the rows in blocks of that many.
SampleMoments in_blocks(const Context& ctx, View<const double, 2> rows, Index block) {
  SampleMoments moments(ctx, rows.extent(1));
  for (Index first = 0; first < rows.extent(0); first += block)
    moments.add(upload(ctx, rows.rows(first, std::min(block, rows.extent(0) - first))));
  return moments;
}

TEST(SampleMoments, TwoObservationsByHand) {
  Tensor<double, 2> rows(cpu, 2, 2);
  rows(0, 0) = 1, rows(0, 1) = 2;
  rows(1, 0) = 3, rows(1, 1) = -4;
  const auto moments = in_blocks(cpu, rows, 1);
  EXPECT_EQ(moments.count(), 2);
  EXPECT_EQ(moments.first(), (std::vector<double>{2, -1}));
  EXPECT_EQ(moments.second(0), (std::vector<double>{5, -5, -5, 10}));
  EXPECT_EQ(moments.second(0.25), (std::vector<double>{4.75, -5, -5, 9.75}));
}

// first[i] = mean_o y[o,i],   second[i,j] = mean_o y[o,i] y[o,j] - variance [i = j]
TEST(SampleMoments, AreTheDefinition) {
  constexpr Index count = 1009, n = 13;
  const auto rows = random_tensor<double>(3, count, n);
  const auto moments = in_blocks(cpu, rows, 100);
  const auto first = moments.first(), second = moments.second(0.5);
  for (Index i = 0; i < n; ++i) {
    double mean = 0;
    for (Index o = 0; o < count; ++o) mean += rows(o, i) / count;
    EXPECT_NEAR(first[i], mean, 1e-14);
    for (Index j = 0; j < n; ++j) {
      double product = i == j ? -0.5 : 0;
      for (Index o = 0; o < count; ++o) product += rows(o, i) * rows(o, j) / count;
      EXPECT_NEAR(second[i * n + j], product, 1e-13);
    }
  }
}

TEST(SampleMoments, DoNotDependOnTheThreads) {
  const auto rows = random_tensor<double>(4, 5000, 41);
  const auto one = in_blocks(Context::cpu(1), rows, 2000), two = in_blocks(cpu, rows, 2000);
  EXPECT_EQ(one.first(), two.first());
  EXPECT_EQ(one.second(1), two.second(1));
}

// Of N observations of white noise, an entry of the debiased second moment has the variance
// sigma^4 / N, and twice that on the diagonal.
TEST(SampleMoments, OfPureNoiseAreZero) {
  constexpr Index count = 200000, n = 9;
  constexpr double sigma = 1.5;
  Tensor<double, 2> rows(cpu, count, n);
  fill_normal<double>(cpu, 8, 0, 0, sigma, rows.view().flat());
  const auto moments = in_blocks(cpu, rows, 30000);
  const auto first = moments.first(), second = moments.second(sigma * sigma);
  double chi_squared = 0;
  for (Index i = 0; i < n; ++i) {
    EXPECT_LT(std::abs(first[i]), 4 * sigma / std::sqrt(double(count)));
    for (Index j = 0; j <= i; ++j) {
      const double error = sigma * sigma * std::sqrt((i == j ? 2. : 1.) / double(count));
      EXPECT_LT(std::abs(second[i * n + j]), 4 * error) << i << ", " << j;
      chi_squared += std::pow(second[i * n + j] / error, 2);
    }
  }
  const double entries = n * (n + 1) / 2.;
  EXPECT_LT(std::abs(chi_squared - entries), 4 * std::sqrt(2 * entries));
}

TEST(SampleMoments, RefuseWhatHasNoMeaning) {
  SampleMoments moments(cpu, 3);
  EXPECT_THROW(moments.first(), std::invalid_argument);
  EXPECT_THROW(moments.second(1), std::invalid_argument);
  EXPECT_THROW(moments.add(Tensor<double, 2>(cpu, 2, 4)), std::invalid_argument);
}

class SampleMomentsOnDevice : public testing::TestWithParam<test::BackendUnderTest> {};

TEST_P(SampleMomentsOnDevice, AgreeWithTheCpu) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context device = test::make_context(GetParam());
  const auto rows = random_tensor<double>(5, 700, 37);
  const auto here = in_blocks(cpu, rows, 300), there = in_blocks(device, rows, 300);
  const auto expect_near = [](const std::vector<double>& a, const std::vector<double>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-12);
  };
  expect_near(there.first(), here.first());
  expect_near(there.second(1), here.second(1));
}

INSTANTIATE_TEST_SUITE_P(Backends, SampleMomentsOnDevice,
                         testing::ValuesIn(test::device_backends()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace orrery
