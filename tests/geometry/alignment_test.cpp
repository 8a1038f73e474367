#include "geometry/alignment.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "kernels/check.hpp"

namespace orrery {
namespace {

constexpr double degree = std::numbers::pi / 180;

struct Motion {
  Rotation rotation;
  Vector3 shift;
  bool mirror;
};

const Motion motions[] = {
    {from_rotation_vector({0.3, -2.1, 0.8}), {1.3, -0.7, 0.4}, false},
    {from_rotation_vector({1.7, 0.6, -1.9}), {1.3, -0.7, 0.4}, true},
    {from_rotation_vector({0, 0, std::numbers::pi}), {-2.6, 1.9, 2.2}, false},
};

TEST(Align, RecoversTheMotionOfThePhantom) {
  const Context ctx = Context::cpu();
  const Volume v = phantom(25);
  for (const auto& motion : motions) {
    const Volume fixed = rotated(ctx, v, motion.rotation, motion.shift, motion.mirror);
    const auto found = align(ctx, fixed, v);
    EXPECT_EQ(found.mirror, motion.mirror);
    // The largest shift carries a little density to the box's edge, which the ball leaves out.
    EXPECT_LT(angle_between(found.rotation, motion.rotation) / degree, 0.05);
    for (int axis = 0; axis < 3; ++axis)
      EXPECT_NEAR(found.shift[axis], motion.shift[axis], 0.01) << "axis " << axis;
    EXPECT_GT(found.correlation, 0.999);
    EXPECT_LT(relative_error(fixed, rotated(ctx, v, found.rotation, found.shift, found.mirror)),
              1e-3);
  }
}

TEST(Align, FindsThePoseThroughNoise) {
  // Noise of the signal's own power in every shell would be unkind; its total power is not.
  const Context ctx = Context::cpu();
  const Volume v = phantom(25);
  const auto& motion = motions[1];
  Volume fixed = rotated(ctx, v, motion.rotation, motion.shift, motion.mirror);
  RandomSequence random(5, 0);
  for (float& x : fixed.voxels) x += float(random.normal() / std::pow(25, 1.5));
  const auto found = align(ctx, fixed, v);
  EXPECT_EQ(found.mirror, motion.mirror);
  EXPECT_LT(angle_between(found.rotation, motion.rotation) / degree, 3);
}

TEST(Align, PassesOverAnOffsetOfTheDensity) {
  const Context ctx = Context::cpu();
  const Volume v = phantom(15);
  const auto& motion = motions[1];
  Volume fixed = rotated(ctx, v, motion.rotation, motion.shift, motion.mirror);
  for (float& x : fixed.voxels) x += 1;
  const auto found = align(ctx, fixed, v);
  EXPECT_EQ(found.mirror, motion.mirror);
  EXPECT_LT(angle_between(found.rotation, motion.rotation) / degree, 0.5);
}

TEST(Align, KeepsTheHandAndTheCentreWhenAskedTo) {
  const Context ctx = Context::cpu();
  const Volume v = phantom(15);
  AlignmentSettings settings;
  settings.both_hands = false;
  settings.largest_shift = 0;
  const Rotation r = from_rotation_vector({0.3, -2.1, 0.8});
  const auto same = align(ctx, rotated(ctx, v, r), v, settings);
  EXPECT_FALSE(same.mirror);
  EXPECT_EQ(same.shift, (Vector3{0, 0, 0}));
  EXPECT_LT(angle_between(same.rotation, r) / degree, 1e-2);
  const auto other = align(ctx, rotated(ctx, v, r, {0, 0, 0}, true), v, settings);
  EXPECT_FALSE(other.mirror);
  EXPECT_LT(other.correlation, 0.99);
}

TEST(Align, DoesNotDependOnScaleOrThreads) {
  const Volume v = phantom(13);
  Volume fixed = rotated(Context::cpu(), v, motions[1].rotation, {0.5, 0, 0}, true);
  AlignmentSettings settings;
  settings.rotations = 1000;
  const auto one = align(Context::cpu(1), fixed, v, settings);
  EXPECT_EQ(align(Context::cpu(3), fixed, v, settings).rotation.matrix, one.rotation.matrix);
  for (float& x : fixed.voxels) x *= 40;
  EXPECT_LT(angle_between(align(Context::cpu(), fixed, v, settings).rotation, one.rotation), 1e-5);
}

TEST(Align, RefusesWhatCannotBeAligned) {
  const Context ctx = Context::cpu();
  EXPECT_THROW(align(ctx, phantom(9), phantom(11)), InputError);
  EXPECT_THROW(align(ctx, phantom(8), phantom(8)), InputError);
  Volume flat = phantom(9);
  std::fill(flat.voxels.begin(), flat.voxels.end(), 2.0f);
  EXPECT_THROW(align(ctx, phantom(9), flat), InputError);
}

}  // namespace
}  // namespace orrery
