#include <gtest/gtest.h>

#include <cmath>

#include "apps/mra/observations.hpp"
#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

// Without noise an observation is a shift of the signal, and shifts come as often as they should.
TEST(SimulatedObservations, AreShiftsDrawnFromTheDensity) {
  constexpr Index n = 5, count = 20000;
  const std::vector<double> signal = {1, 2, 3, 4, 5}, density = {0.1, 0, 0.5, 0.4, 0};
  const Context cpu = Context::cpu(2);
  const SimulatedObservations source(cpu, {signal.data(), n}, {density.data(), n}, 0, 3, 0);
  Tensor<double, 2> rows(cpu, count, n);
  source.draw(0, rows);
  std::vector<double> found(n, 0.0);
  for (Index o = 0; o < count; ++o) {
    Index shift = 0;
    while (rows(o, shift) != 1) ++shift;
    for (Index i = 0; i < n; ++i) ASSERT_EQ(rows(o, (i + shift) % n), signal[i]);
    found[shift] += 1. / count;
  }
  for (Index s = 0; s < n; ++s)
    EXPECT_NEAR(found[s], density[s], 4 * std::sqrt(density[s] * (1 - density[s]) / count));
}

class SimulatedObservationsOnDevice : public testing::TestWithParam<test::BackendUnderTest> {};

TEST_P(SimulatedObservationsOnDevice, AgreeWithTheCpu) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  constexpr Index n = 41, count = 300;
  const auto signal = test::random_tensor<double>(1, n);
  const std::vector<double> density(n, 1. / n);
  const auto draw = [&](const Context& ctx) {
    const SimulatedObservations source(ctx, signal, {density.data(), n}, 0.5, 3, 2);
    Tensor<double, 2> rows(ctx, count, n);
    source.draw(4, rows);
    return download(ctx, rows);
  };
  EXPECT_LT(test::relative_difference(draw(test::make_context(GetParam())), draw(Context::cpu(1))),
            1e-12);
}

INSTANTIATE_TEST_SUITE_P(Backends, SimulatedObservationsOnDevice,
                         testing::ValuesIn(test::device_backends()),
                         [](const auto& test) { return test.param.name; });

TEST(SimulatedObservations, HaveNoiseOfThatVariance) {
  constexpr Index n = 8, count = 10000;
  const std::vector<double> nothing(n, 0.0), density(n, 1. / n);
  const SimulatedObservations source(Context::cpu(2), {nothing.data(), n}, {density.data(), n}, 1.5,
                                     3, 0);
  Tensor<double, 2> rows(Context::cpu(2), count, n);
  source.draw(0, rows);
  double squares = 0;
  for (const double y : rows.view()) squares += y * y / double(rows.size());
  EXPECT_NEAR(squares, 2.25, 4 * 2.25 * std::sqrt(2. / double(rows.size())));
}

// Instances and blocks are drawn apart: none repeats another.
TEST(SimulatedObservations, AreOthersInEveryBlockAndInstance) {
  constexpr Index n = 8;
  const Context cpu = Context::cpu(1);
  const std::vector<double> nothing(n, 0.0), density(n, 1. / n);
  std::vector<double> firsts;
  for (std::uint64_t instance = 0; instance < 3; ++instance)
    for (std::uint64_t block = 0; block < 3; ++block) {
      Tensor<double, 2> rows(cpu, 1, n);
      SimulatedObservations(cpu, {nothing.data(), n}, {density.data(), n}, 1, 3, instance)
          .draw(block, rows);
      for (const double other : firsts) EXPECT_NE(rows(0, 0), other);
      firsts.push_back(rows(0, 0));
    }
}

}  // namespace
}  // namespace orrery
