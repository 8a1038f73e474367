#include <gtest/gtest.h>

#include <cmath>

#include "apps/mra/training.hpp"
#include "tests/support/backends.hpp"

namespace orrery {
namespace {

class TrainingOnDevice : public testing::TestWithParam<test::BackendUnderTest> {};
INSTANTIATE_TEST_SUITE_P(Backends, TrainingOnDevice, testing::ValuesIn(test::device_backends()),
                         test::backend_name);

/// Mean losses of the first two steps, and of the three that follow: on a device the second is
/// recorded, and the others are replayed.
std::vector<Training::Losses> losses_on(const Context& ctx) {
  TrainingSettings settings;
  settings.model.encoder.n = 5;
  settings.model.encoder.first_branch = settings.model.encoder.second_branch = {3};
  settings.model.encoder.joint = {4};
  settings.model.encoder.dense = {8};
  settings.law = {.components = 1, .least_width = 0.06};
  settings.batch = 6;
  settings.steps = 5;
  settings.noise = {.first = 0.01, .second = 0.01};
  Training training(ctx, settings);
  std::vector<Training::Losses> losses;
  for (const int steps : {2, 3}) {
    for (int i = 0; i < steps; ++i) training.step();
    losses.push_back(training.take_losses());
  }
  return losses;
}

TEST_P(TrainingOnDevice, TakesTheStepsThatTheCpuTakes) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const auto found = losses_on(test::make_context(GetParam()));
  const auto expected = losses_on(Context::cpu(1));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(found[i].signal, expected[i].signal, 1e-4) << i;
    EXPECT_NEAR(found[i].density, expected[i].density, 1e-4) << i;
  }
}

}  // namespace
}  // namespace orrery
