#include "nn/parameters.hpp"

#include <gtest/gtest.h>

#include "tests/support/backends.hpp"

namespace orrery {
namespace {

TEST(Parameters, PartsLieOneAfterAnotherInOneBlock) {
  Parameters<double> parameters(Context::cpu(1));
  const Index volume = parameters.add("volume", 3), views = parameters.add("views", 2);
  parameters.allocate();

  ASSERT_EQ(parameters.count(), 5);
  for (double x : parameters.values()) EXPECT_EQ(x, 0);
  for (double x : parameters.gradients()) EXPECT_EQ(x, 0);

  EXPECT_EQ(parameters.values(volume).data, parameters.values().data);
  EXPECT_EQ(parameters.values(views).data, parameters.values().data + 3);
  EXPECT_EQ(parameters.gradients(views).data, parameters.gradients().data + 3);
  EXPECT_EQ(parameters.values(volume).size(), 3);
  EXPECT_EQ(parameters.values(views).size(), 2);
  EXPECT_EQ(parameters.parts()[views].name, "views");
}

TEST(Parameters, ZeroGradientsLeavesTheWeights) {
  Parameters<float> parameters(Context::cpu(1));
  const Index part = parameters.add("weights", 4);
  parameters.allocate();
  for (float& x : parameters.values(part)) x = 2;
  for (float& x : parameters.gradients(part)) x = 3;
  parameters.zero_gradients();
  for (float x : parameters.values()) EXPECT_EQ(x, 2);
  for (float x : parameters.gradients()) EXPECT_EQ(x, 0);
}

TEST(Parameters, RefusesWhatWouldBreakTheBlock) {
  Parameters<float> parameters(Context::cpu(1));
  parameters.add("weights", 4);
  EXPECT_THROW(parameters.add("weights", 1), std::invalid_argument);
  EXPECT_THROW(parameters.add("negative", -1), std::invalid_argument);
  EXPECT_THROW(parameters.values(0), std::invalid_argument);  // no memory yet
  parameters.allocate();
  EXPECT_THROW(parameters.add("late", 1), std::invalid_argument);
  EXPECT_THROW(parameters.values(1), std::invalid_argument);
}

}  // namespace
}  // namespace orrery
