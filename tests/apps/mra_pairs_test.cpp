#include <gtest/gtest.h>

#include <numeric>

#include "apps/mra/pairs.hpp"
#include "kernels/tensor.hpp"
#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

using test::relative_difference;

const Context cpu = Context::cpu(2);

/// The number of a batch, where the context's operations find it.
Tensor<std::uint64_t, 1> batch_number(const Context& ctx, std::uint64_t number) {
  Tensor<std::uint64_t, 1> host(Context::cpu(1), 1);
  host(0) = number;
  return upload(ctx, host);
}

double sum_of(View<const double, 1> numbers) {
  return std::accumulate(numbers.begin(), numbers.end(), 0.0);
}

// Numbers 100 to 103 of the test set, straight from the law: streams 2 and 3.
TEST(DrawnPairs, AreTheMixturesOfTheirNumbers) {
  const Index n = 15;
  const MixtureLaw law{.components = 3};
  Tensor<double, 2> signal(cpu, 4, n), density(cpu, 4, n);
  draw_pairs<double>(cpu, law, 7, PairSet::test, batch_number(cpu, 25), 0, signal, density);
  for (Index b = 0; b < 4; ++b) {
    const auto v = draw_mixture(law, n, 7, 2, 100 + std::uint64_t(b));
    const auto p = draw_mixture(law, n, 7, 3, 100 + std::uint64_t(b));
    EXPECT_NEAR(test::inner_product(signal.view()[b], signal.view()[b]), 1, 1e-14);
    EXPECT_NEAR(sum_of(std::as_const(density).view()[b]), 1, 1e-14);
    for (Index j = 0; j < n; ++j) {
      const double x = double(j) / double(n);
      EXPECT_NEAR(signal(b, j) / signal(b, 0), v(x) / v(0.0), 1e-12 * v(x) / v(0.0) + 1e-14);
      EXPECT_NEAR(density(b, j) / density(b, 0), p(x) / p(0.0), 1e-12 * p(x) / p(0.0) + 1e-14);
    }
  }
}

TEST(DrawnPairs, OfAFixedSetAreAmongItsPairs) {
  const Index n = 9, count = 40;
  Tensor<double, 2> all(cpu, 3, n), drawn(cpu, count, n), density(cpu, 3, n), other(cpu, count, n);
  draw_pairs<double>(cpu, {}, 1, PairSet::training, batch_number(cpu, 0), 0, all, density);
  draw_pairs<double>(cpu, {}, 1, PairSet::training, batch_number(cpu, 0), 3, drawn, other);
  std::vector<int> times(3, 0);
  for (Index b = 0; b < count; ++b)
    for (Index i = 0; i < 3; ++i)
      if (relative_difference(drawn.view()[b], all.view()[i]) == 0) ++times[i];
  EXPECT_EQ(times[0] + times[1] + times[2], count);
  for (const int t : times) EXPECT_GT(t, 0);
}

TEST(DrawnPairs, RefuseImpossibleLaws) {
  Tensor<float, 2> signal(cpu, 2, 5), density(cpu, 2, 5), other(cpu, 2, 4);
  EXPECT_THROW(draw_pairs<float>(cpu, {.components = 0}, 1, PairSet::training, batch_number(cpu, 0),
                                 0, signal, density),
               std::invalid_argument);
  EXPECT_THROW(
      draw_pairs<float>(cpu, {}, 1, PairSet::training, batch_number(cpu, 0), 0, signal, other),
      std::invalid_argument);
}

// Symmetric, with twice the variance on the diagonal. The noise's variance u is uniform: M1 has u
// of its largest variance, 1/2 in the mean, and M2 u^2, 1/3.
TEST(MomentNoise, HasTheVariancesOfSampledMoments) {
  const Index batch = 4000, n = 5;
  auto first = Tensor<double, 2>::zeros(cpu, batch, n);
  auto second = Tensor<double, 3>::zeros(cpu, batch, n, n);
  Tensor<double, 2> scratch_first(cpu, batch, n);
  Tensor<double, 3> scratch_second(cpu, batch, n, n);
  add_moment_noise<double>(cpu, {.first = 0.5, .second = 0.3}, 1, PairSet::training,
                           batch_number(cpu, 0), scratch_first, scratch_second, first, second);
  double of_first = 0, on_diagonal = 0, beside = 0;
  for (Index b = 0; b < batch; ++b)
    for (Index i = 0; i < n; ++i) {
      of_first += first(b, i) * first(b, i);
      on_diagonal += second(b, i, i) * second(b, i, i);
      for (Index j = 0; j < i; ++j) {
        EXPECT_DOUBLE_EQ(second(b, i, j), second(b, j, i));
        beside += second(b, i, j) * second(b, i, j);
      }
    }
  const double expected = 0.3 * 0.3 / 3, expected_of_first = 0.5 * 0.5 / 2,
               numbers = double(batch * n);
  EXPECT_NEAR(of_first / numbers / expected_of_first, 1, 0.06);
  EXPECT_NEAR(on_diagonal / numbers / expected, 2, 0.12);
  EXPECT_NEAR(beside / (2 * numbers) / expected, 1, 0.06);
}

class PairsOnDevice : public testing::TestWithParam<test::BackendUnderTest> {};
INSTANTIATE_TEST_SUITE_P(Backends, PairsOnDevice, testing::ValuesIn(test::device_backends()),
                         test::backend_name);

TEST_P(PairsOnDevice, AgreeWithTheCpu) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  const Index batch = 5, n = 11;
  auto drawn = [&](const Context& where) {
    Tensor<double, 2> signal(where, batch, n), density(where, batch, n), scratch(where, batch, n);
    auto second = Tensor<double, 3>::zeros(where, batch, n, n);
    Tensor<double, 3> scratch_second(where, batch, n, n);
    draw_pairs<double>(where, {}, 3, PairSet::training, batch_number(where, 5), 17, signal,
                       density);
    add_moment_noise<double>(where, {.first = 0.2, .second = 0.1}, 3, PairSet::training,
                             batch_number(where, 5), scratch, scratch_second, signal, second);
    std::vector<Tensor<double, 1>> results;
    for (const auto numbers : {signal.view().flat(), density.view().flat(), second.view().flat()})
      results.push_back(download(where, numbers));
    return results;
  };
  const auto expected = drawn(cpu), found = drawn(ctx);
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_LT(relative_difference(found[i], expected[i]), 1e-12) << i;
}

}  // namespace
}  // namespace orrery
