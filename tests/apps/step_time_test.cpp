#include "apps/step_time.hpp"

#include <gtest/gtest.h>

namespace orrery {
namespace {

TEST(StepTime, LeavesTheFirstTwoStepsOut) {
  StepTime time;
  time.done(1, 8);
  time.done(2, 10);
  time.done(3, 11);
  time.done(6, 14);
  EXPECT_EQ(time.seconds(), 1);
}

TEST(StepTime, LeavesNothingOutWhereThatIsAllThereIs) {
  StepTime time;
  EXPECT_EQ(time.seconds(), 0);
  time.done(0, 1);
  EXPECT_EQ(time.seconds(), 0);
  time.done(1, 8);
  time.done(2, 10);
  time.done(2, 12);  // and what came after
  EXPECT_EQ(time.seconds(), 6);
}

// Told late: what is left out is all that was done then.
TEST(StepTime, KnowsOnlyWhatItIsTold) {
  StepTime time;
  time.done(5, 20);
  EXPECT_EQ(time.seconds(), 4);
  time.done(7, 24);
  EXPECT_EQ(time.seconds(), 2);
}

}  // namespace
}  // namespace orrery
