#include "nn/optimizer.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "nn/diverged.hpp"
#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

using test::BackendUnderTest;

TEST(LearningRateSchedule, ConstantStaysWhereItIs) {
  const LearningRateSchedule schedule{
      .kind = LearningRateSchedule::Kind::constant, .initial = 0.5, .total_steps = 10};
  EXPECT_EQ(schedule(0), 0.5);
  EXPECT_EQ(schedule(9), 0.5);
  EXPECT_EQ(schedule(1000), 0.5);
}

TEST(LearningRateSchedule, CosineFallsFromTheInitialRateToItsFraction) {
  const LearningRateSchedule schedule{.kind = LearningRateSchedule::Kind::cosine,
                                      .initial = 0.1,
                                      .final_fraction = 0.02,
                                      .total_steps = 101};
  EXPECT_DOUBLE_EQ(schedule(0), 0.1);
  EXPECT_NEAR(schedule(50), 0.1 * 0.51, 1e-15);  // half way between 1 and 0.02
  EXPECT_NEAR(schedule(100), 0.002, 1e-15);
  EXPECT_NEAR(schedule(500), 0.002, 1e-15);
  for (Index step = 0; step < 100; ++step) EXPECT_GT(schedule(step), schedule(step + 1));
}

TEST(LearningRateSchedule, StepsDropAtEqualDistances) {
  // The paper's: 1e-5 for the first half, 1e-6 for the second.
  LearningRateSchedule schedule{
      .kind = LearningRateSchedule::Kind::steps, .initial = 1e-5, .total_steps = 20000};
  EXPECT_DOUBLE_EQ(schedule(0), 1e-5);
  EXPECT_DOUBLE_EQ(schedule(9999), 1e-5);
  EXPECT_DOUBLE_EQ(schedule(10000), 1e-6);
  EXPECT_DOUBLE_EQ(schedule(19999), 1e-6);
  EXPECT_DOUBLE_EQ(schedule(30000), 1e-6);

  schedule.drops = 2;
  schedule.total_steps = 9;
  EXPECT_DOUBLE_EQ(schedule(2), 1e-5);
  EXPECT_DOUBLE_EQ(schedule(3), 1e-6);
  EXPECT_DOUBLE_EQ(schedule(6), 1e-7);
}

/// Adam as its formula reads, one number at a time, in double.
struct PlainAdam {
  AdamSettings settings;
  std::vector<double> m, v, s;
  int steps = 0;

  void step(std::vector<double>& x, const std::vector<double>& g, const std::vector<double>& rate,
            double clip) {
    m.resize(x.size()), v.resize(x.size()), s.resize(x.size());
    double norm = 0;
    for (double gi : g) norm += gi * gi;
    norm = std::sqrt(norm);
    const double factor = clip > 0 ? std::min(1.0, clip / norm) : 1.0;
    ++steps;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double gi = factor * g[i], b1 = settings.beta1, b2 = settings.beta2;
      m[i] = b1 * m[i] + (1 - b1) * gi;
      v[i] = b2 * v[i] + (1 - b2) * gi * gi;
      s[i] = settings.amsgrad ? std::max(s[i], v[i]) : v[i];
      x[i] -= rate[i] * (m[i] / (1 - std::pow(b1, steps))) /
              (std::sqrt(s[i] / (1 - std::pow(b2, steps))) + settings.epsilon);
    }
  }
};

class AdamOnBackend : public testing::TestWithParam<BackendUnderTest> {};
INSTANTIATE_TEST_SUITE_P(Backends, AdamOnBackend, testing::ValuesIn(test::all_backends()),
                         test::backend_name);

// Parts 0 and 1 share a rate, part 2 has its own, part 3 is back to the first: three groups.
TEST_P(AdamOnBackend, FollowsTheFormulaWithClippingAndARateForEachPart) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  for (const bool amsgrad : {true, false}) {
    const AdamSettings settings{.amsgrad = amsgrad};
    Parameters<double> parameters(ctx);
    const std::vector<Index> counts = {3, 4, 2, 5};
    const std::vector<double> multipliers = {1, 1, 10, 1};
    std::vector<double> rate_factor;
    for (std::size_t part = 0; part < counts.size(); ++part) {
      parameters.add("part " + std::to_string(part), counts[part]);
      rate_factor.insert(rate_factor.end(), counts[part], multipliers[part]);
    }
    parameters.allocate();
    const Index count = parameters.count();
    const double clip = 4.0;  // the norm of 14 normal numbers lies on both sides of it
    Adam<double> adam(ctx, parameters, settings, clip);
    adam.set_rate_multiplier(2, 10);

    PlainAdam plain;
    plain.settings = settings;
    std::vector<double> expected(count);
    int clipped = 0;
    for (int step = 0; step < 20; ++step) {
      const double learning_rate = 1e-2 / (1 + step);
      auto gradient = test::random_tensor<double>(40 + step, count);
      const double norm = std::sqrt(test::inner_product(gradient.view(), gradient.view()));
      clipped += norm > clip;
      std::vector<double> rates;
      for (double factor : rate_factor) rates.push_back(learning_rate * factor);
      plain.step(expected, {gradient.view().begin(), gradient.view().end()}, rates, clip);

      copy<double, 1>(ctx, upload(ctx, gradient), parameters.gradients());
      EXPECT_NEAR(adam.step(learning_rate), norm, 1e-12);
    }
    EXPECT_GT(clipped, 0);
    EXPECT_LT(clipped, 20);
    EXPECT_EQ(adam.steps_taken(), 20);
    const auto values = download(ctx, parameters.values());
    EXPECT_LT(test::relative_difference(values.view(), View<double, 1>(expected.data(), count)),
              1e-12);
  }
}

TEST_P(AdamOnBackend, RefusesAGradientThatIsNotFinite) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  Parameters<float> parameters(ctx);
  parameters.add("weights", 7);
  parameters.allocate();
  Adam<float> adam(ctx, parameters, {}, 1.0);
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    auto gradient = test::random_tensor<float>(1, 7);
    gradient(5) = bad;
    copy<float, 1>(ctx, upload(ctx, gradient), parameters.gradients());
    EXPECT_THROW(adam.step(1e-3), Diverged);
  }
  EXPECT_EQ(adam.steps_taken(), 0);
  const auto values = download(ctx, parameters.values());
  for (float x : values.view()) EXPECT_EQ(x, 0);
}

// A run that is cut and continued from the saved state is the run that was not cut.
TEST(Adam, ContinuesFromItsStateBitForBit) {
  const Context ctx = Context::cpu(1);
  Parameters<float> whole(ctx), cut(ctx);
  whole.add("weights", 11), cut.add("weights", 11);
  whole.allocate(), cut.allocate();
  auto gradient_at = [](int step) { return test::random_tensor<float>(100 + step, 11); };

  Adam<float> adam(ctx, whole, {}, 0);
  Tensor<float, 1> values, first, second, largest;
  for (int step = 0; step < 10; ++step) {
    if (step == 4) {
      values = download(ctx, whole.values());
      first = download(ctx, adam.first_moment());
      second = download(ctx, adam.second_moment());
      largest = download(ctx, adam.largest_second_moment());
    }
    copy<float, 1>(ctx, gradient_at(step), whole.gradients());
    adam.step(1e-2);
  }

  Adam<float> resumed(ctx, cut, {}, 0);
  copy<float, 1>(ctx, values, cut.values());
  copy<float, 1>(ctx, first, resumed.first_moment());
  copy<float, 1>(ctx, second, resumed.second_moment());
  copy<float, 1>(ctx, largest, resumed.largest_second_moment());
  resumed.set_steps_taken(4);
  for (int step = 4; step < 10; ++step) {
    copy<float, 1>(ctx, gradient_at(step), cut.gradients());
    resumed.step(1e-2);
  }
  for (Index i = 0; i < 11; ++i) EXPECT_EQ(cut.values()[i], whole.values()[i]);
}

TEST(Adam, RefusesWhatItCannotUse) {
  const Context ctx = Context::cpu(1);
  Parameters<float> parameters(ctx);
  parameters.add("weights", 2);
  EXPECT_THROW(Adam<float>(ctx, parameters, {}, 0), std::invalid_argument);  // no memory yet
  parameters.allocate();
  EXPECT_THROW(Adam<float>(ctx, parameters, {}, -1), std::invalid_argument);
  Adam<float> adam(ctx, parameters, {}, 0);
  EXPECT_THROW(adam.set_rate_multiplier(1, 2), std::invalid_argument);
}

}  // namespace
}  // namespace orrery
