#include "nn/step_clock.hpp"

#include <gtest/gtest.h>

#include "kernels/step_graph.hpp"
#include "nn/optimizer.hpp"
#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

constexpr LearningRateSchedule schedule{.initial = 0.01, .total_steps = 8};

class StepClockOnBackend : public testing::TestWithParam<test::BackendUnderTest> {};
INSTANTIATE_TEST_SUITE_P(, StepClockOnBackend, testing::ValuesIn(test::all_backends()),
                         test::backend_name);

TEST_P(StepClockOnBackend, CountsStepsAndFollowsTheSchedule) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  StepClock clock(ctx, schedule);
  auto expect_step = [&](Index step) {
    EXPECT_EQ(download(ctx, clock.steps_taken())(0), static_cast<std::uint64_t>(step));
    EXPECT_NEAR(download(ctx, clock.learning_rate())(0), schedule(step), 1e-17);
  };
  for (Index step = 0; step < 10; ++step, clock.advance()) expect_step(step);
  clock.set_steps_taken(5);
  expect_step(5);
  clock.advance();
  expect_step(6);
}

// Recorded steps against steps that the host counts: the gradient is the parameters themselves,
// the parts have rates of their own.
template <class T>
void expect_steps_of_the_host(const Context& ctx, bool amsgrad, double clip, double tolerance) {
  const auto start = test::random_tensor<T>(1, 11);
  auto run = [&](bool by_clock) {
    Parameters<T> parameters(ctx);
    parameters.add("slow", 4);
    parameters.add("fast", 7);
    parameters.allocate();
    copy<T, 1>(ctx, upload(ctx, start), parameters.values());
    Adam<T> adam(ctx, parameters, {.amsgrad = amsgrad}, clip);
    adam.set_rate_multiplier(1, 10);
    StepClock clock(ctx, schedule);
    auto form_gradient = [&] { copy<T, 1>(ctx, parameters.values(), parameters.gradients()); };
    StepGraph step(ctx, [&] {
      form_gradient();
      adam.step(clock);
      clock.advance();
    });
    for (Index i = 0; i < schedule.total_steps; ++i) {
      if (by_clock) {
        step();
      } else {
        form_gradient();
        adam.step(schedule(i));
      }
    }
    return download(ctx, parameters.values());
  };
  const auto recorded = run(true), counted = run(false);
  EXPECT_LT(test::relative_difference(recorded, counted), tolerance);
  EXPECT_GT(test::relative_difference(recorded, start), 1e-3);
}

TEST_P(StepClockOnBackend, AdamTakesTheStepsOfTheHost) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  for (const bool amsgrad : {true, false})
    for (const double clip : {0.0, 2.0}) {
      expect_steps_of_the_host<double>(ctx, amsgrad, clip, 1e-14);
      expect_steps_of_the_host<float>(ctx, amsgrad, clip, 1e-6);
    }
}

TEST(StepClock, RefusesWhatItCannotDo) {
  const Context ctx = Context::cpu(1);
  StepClock clock(ctx, schedule);
  EXPECT_THROW(clock.set_steps_taken(-1), std::invalid_argument);
  Tensor<float, 1> two(ctx, 2);
  Tensor<double, 1> rates(ctx, 2);
  EXPECT_THROW(adam_step<float>(ctx, {}, clock.steps_taken(), rates, 1, two, two, two, two, two),
               std::invalid_argument);
}

}  // namespace
}  // namespace orrery
