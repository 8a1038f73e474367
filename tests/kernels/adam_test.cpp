#include "kernels/adam.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

using test::random_tensor;
using test::relative_difference;

/// The four blocks Adam keeps, starting from given parameters.
template <class T>
struct Optimized {
  Tensor<T, 1> first, second, largest, parameters;

  Optimized(const Context& ctx, const Tensor<T, 1>& start)
      : first(Tensor<T, 1>::zeros(ctx, start.extent(0))),
        second(Tensor<T, 1>::zeros(ctx, start.extent(0))),
        largest(Tensor<T, 1>::zeros(ctx, start.extent(0))),
        parameters(upload(ctx, start)) {}

  void step(const Context& ctx, const AdamSettings& settings, Index time, T scale,
            const Tensor<T, 1>& gradient) {
    adam_step<T>(ctx, settings, time, scale, upload(ctx, gradient), first, second, largest,
                 parameters);
  }
};

// m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;  s = amsgrad ? max(s, v) : v
// x -= rate (m / (1 - b1^t)) / (sqrt(s / (1 - b2^t)) + epsilon), one number at a time.
struct DirectAdam {
  double m = 0, v = 0, s = 0, x = 0;

  void step(const AdamSettings& settings, int time, double g) {
    m = settings.beta1 * m + (1 - settings.beta1) * g;
    v = settings.beta2 * v + (1 - settings.beta2) * g * g;
    s = settings.amsgrad ? std::max(s, v) : v;
    const double corrected_m = m / (1 - std::pow(settings.beta1, time));
    const double corrected_s = s / (1 - std::pow(settings.beta2, time));
    x -= settings.learning_rate * corrected_m / (std::sqrt(corrected_s) + settings.epsilon);
  }
};

TEST(Adam, FirstStepHasTheLengthOfTheRate) {
  // At step 1, m / (1 - b1) = g and s / (1 - b2) = g^2: every parameter moves by -rate sign(g).
  const Context ctx = Context::cpu(1);
  Tensor<double, 1> start(ctx, 3), gradient(ctx, 3);
  const double from[] = {1, 2, 3}, slope[] = {0.5, -20, 1e-3};
  std::copy_n(from, 3, start.data());
  std::copy_n(slope, 3, gradient.data());
  Optimized<double> optimized(ctx, start);
  optimized.step(ctx, {.learning_rate = 0.1, .epsilon = 0}, 1, 1, gradient);
  EXPECT_NEAR(optimized.parameters(0), 0.9, 1e-15);
  EXPECT_NEAR(optimized.parameters(1), 2.1, 1e-15);
  EXPECT_NEAR(optimized.parameters(2), 2.9, 1e-15);
}

class AdamOnBackends : public ::testing::TestWithParam<test::BackendUnderTest> {};
INSTANTIATE_TEST_SUITE_P(, AdamOnBackends, ::testing::ValuesIn(test::all_backends()),
                         test::backend_name);

template <class T>
void expect_steps_agree(const Context& ctx, Index count, bool amsgrad, double tolerance) {
  const AdamSettings settings{
      .learning_rate = 0.03, .beta1 = 0.8, .beta2 = 0.97, .epsilon = 1e-6, .amsgrad = amsgrad};
  const auto start = random_tensor<T>(1, count);
  Optimized<T> optimized(ctx, start);
  std::vector<DirectAdam> direct(count);
  for (Index i = 0; i < count; ++i) direct[i].x = start(i);
  for (int time = 1; time <= 7; ++time) {
    auto gradient = random_tensor<T>(10 + time, count);
    if (time > 3)  // smaller gradients, so that the running maximum differs from v
      for (T& g : gradient.view()) g *= T(0.1);
    optimized.step(ctx, settings, time, 2, gradient);
    for (Index i = 0; i < count; ++i) direct[i].step(settings, time, 2 * double(gradient(i)));
  }
  Tensor<double, 1> expected(Context::cpu(1), count);
  for (Index i = 0; i < count; ++i) expected(i) = direct[i].x;
  EXPECT_LT(relative_difference(download(ctx, optimized.parameters), expected), tolerance);
}

TEST_P(AdamOnBackends, AgreesWithDirectSteps) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  for (const bool amsgrad : {false, true})
    for (const Index count : {1, 17, 1031, 10007}) {
      SCOPED_TRACE(count);
      expect_steps_agree<double>(ctx, count, amsgrad, 1e-13);
      expect_steps_agree<float>(ctx, count, amsgrad, 1e-6);
    }
}

// x min(1, largest / |x|)
TEST_P(AdamOnBackends, ClipsNorms) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  Tensor<double, 1> squared(Context::cpu(1), 1);
  squared(0) = 25;
  const auto norm = upload(ctx, squared);
  auto x = Tensor<float, 1>(Context::cpu(1), 2);
  x(0) = 3, x(1) = -4;
  auto clipped = upload(ctx, x), left = upload(ctx, x);
  clip_norm<float>(ctx, 2.5, norm, clipped);
  clip_norm<float>(ctx, 5, norm, left);
  EXPECT_EQ(download(ctx, clipped)(0), 1.5f);
  EXPECT_EQ(download(ctx, clipped)(1), -2.0f);
  EXPECT_EQ(download(ctx, left)(0), 3);
  EXPECT_EQ(download(ctx, left)(1), -4);
  EXPECT_THROW(clip_norm<float>(ctx, 0, norm, left), std::invalid_argument);
  EXPECT_THROW(clip_norm<float>(ctx, 1, Tensor<double, 1>(ctx, 2), left), std::invalid_argument);
}

TEST(Adam, WorksWithoutRunningMaximumWhenAmsgradIsOff) {
  const Context ctx = Context::cpu(1);
  auto x = random_tensor<float>(1, 5), m = random_tensor<float>(2, 5);
  auto v = Tensor<float, 1>::zeros(ctx, 5);
  const auto g = random_tensor<float>(3, 5);
  EXPECT_NO_THROW(adam_step<float>(ctx, {.amsgrad = false}, 1, 1, g, m, v, {}, x));
  EXPECT_THROW(adam_step<float>(ctx, {.amsgrad = true}, 1, 1, g, m, v, {}, x),
               std::invalid_argument);
}

TEST(Adam, RejectsWrongLengthsAndTimes) {
  const Context ctx = Context::cpu(1);
  auto five = random_tensor<float>(1, 5), four = random_tensor<float>(2, 4);
  const AdamSettings settings;
  EXPECT_THROW(adam_step<float>(ctx, settings, 0, 1, five, five, five, five, five),
               std::invalid_argument);
  EXPECT_THROW(adam_step<float>(ctx, settings, 1, 1, four, five, five, five, five),
               std::invalid_argument);
  EXPECT_THROW(adam_step<float>(ctx, settings, 1, 1, five, four, five, five, five),
               std::invalid_argument);
  EXPECT_THROW(adam_step<float>(ctx, settings, 1, 1, five, five, four, five, five),
               std::invalid_argument);
  EXPECT_THROW(adam_step<float>(ctx, settings, 1, 1, five, five, five, four, five),
               std::invalid_argument);
}

}  // namespace
}  // namespace orrery
