#include "geometry/spherical_design.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/check.hpp"

namespace orrery {
namespace {

double power(double x, int exponent) {
  double result = 1;
  for (int i = 0; i < exponent; ++i) result *= x;
  return result;
}

// (n-1)!! (n-3)!! ... down to 1 or 2; 1 for n <= 1.
double double_factorial(int n) {
  double result = 1;
  for (; n > 1; n -= 2) result *= n;
  return result;
}

// Average of x^a y^b z^c over the unit sphere: zero when an exponent is odd, otherwise
// (a-1)!! (b-1)!! (c-1)!! / (a+b+c+1)!!.
double sphere_average(int a, int b, int c) {
  if (a % 2 || b % 2 || c % 2) return 0;
  return double_factorial(a - 1) * double_factorial(b - 1) * double_factorial(c - 1) /
         double_factorial(a + b + c + 1);
}

// Largest error of the design's average over all monomials of degree <= degree.
double largest_monomial_error(const SphericalDesign& design, int degree) {
  double largest = 0;
  for (int a = 0; a <= degree; ++a)
    for (int b = 0; a + b <= degree; ++b)
      for (int c = 0; a + b + c <= degree; ++c) {
        double average = 0;
        for (const Vector3& x : design.points)
          average += power(x[0], a) * power(x[1], b) * power(x[2], c);
        average /= static_cast<double>(design.points.size());
        largest = std::max(largest, std::abs(average - sphere_average(a, b, c)));
      }
  return largest;
}

SphericalDesign octahedron() {
  return {{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {-1, 0, 0}, {0, -1, 0}, {0, 0, -1}}, 3, true};
}

// All harmonics of degree l at one point have sum of squares 2l + 1; at the pole the zonal one has
// it all.
TEST(DesignResidual, OfOnePoleIsTheZonalHarmonic) {
  for (int degree = 1; degree <= 40; ++degree) {
    EXPECT_NEAR(design_residual({{0, 0, 1}}, degree), std::sqrt(2 * degree + 1), 1e-12) << degree;
    EXPECT_NEAR(design_residual({{0, 0, -1}}, degree), std::sqrt(2 * degree + 1), 1e-12) << degree;
  }
}

// On the equator's point (1,0,0): degree 1 is sqrt(3) (x, y, z); degree 2 has
// sqrt(15)/2 (x^2 - y^2) and sqrt(5)/2 (3 z^2 - 1).
TEST(DesignResidual, OnTheEquatorByHand) {
  EXPECT_NEAR(design_residual({{1, 0, 0}}, 1), std::sqrt(3), 1e-15);
  EXPECT_NEAR(design_residual({{1, 0, 0}}, 2), std::sqrt(15) / 2, 1e-15);
  EXPECT_NEAR(design_residual({{1, 0, 0}, {-1, 0, 0}}, 1), 0, 1e-15);
  EXPECT_NEAR(design_residual({{1, 0, 0}, {0, 1, 0}, {-1, 0, 0}, {0, -1, 0}}, 2), std::sqrt(5) / 2,
              1e-15);
}

TEST(DesignResidual, KnowsTheOctahedronsStrength) {
  EXPECT_LT(design_residual(octahedron().points, 3), 1e-15);
  EXPECT_GT(design_residual(octahedron().points, 4), 0.5);
  EXPECT_EQ(design_residual(octahedron().points, 0), 0);
}

TEST(DesignResidual, RejectsNothing) {
  EXPECT_THROW(design_residual({}, 3), std::invalid_argument);
  EXPECT_THROW(design_residual({{0, 0, 1}}, -1), std::invalid_argument);
}

struct Expected {
  int points;
  bool antipodal;
  int strength;
};

class Designs : public testing::TestWithParam<Expected> {};

TEST_P(Designs, IntegratePolynomialsUpToTheirStrengthAndNoFurther) {
  const auto [points, antipodal, strength] = GetParam();
  const SphericalDesign design = spherical_design(points, antipodal);
  ASSERT_EQ(static_cast<int>(design.points.size()), points);
  EXPECT_EQ(design.antipodal, antipodal);
  EXPECT_EQ(design.strength, strength);
  verify(design);
  EXPECT_LT(largest_monomial_error(design, strength), 1e-13);
  // Odd degrees come free with antipodes.
  EXPECT_GT(design_residual(design.points, strength + (antipodal ? 2 : 1)), 1e-3);
}

TEST_P(Designs, KeepTheirPointsApart) {
  const SphericalDesign design = spherical_design(GetParam().points, GetParam().antipodal);
  double closest = 2;
  for (std::size_t i = 0; i < design.points.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      Vector3 gap = design.points[i];
      for (int axis = 0; axis < 3; ++axis) gap[axis] -= design.points[j][axis];
      closest = std::min(closest, norm(gap));
    }
  EXPECT_GT(closest, 0.5 / std::sqrt(GetParam().points));
}

TEST_P(Designs, AreTheSameEveryTime) {
  const auto [points, antipodal, strength] = GetParam();
  EXPECT_EQ(spherical_design(points, antipodal).points, spherical_design(points, antipodal).points);
}

INSTANTIATE_TEST_SUITE_P(Sizes, Designs,
                         testing::Values(Expected{2, false, 1}, Expected{2, true, 1},
                                         Expected{3, false, 1}, Expected{4, false, 2},
                                         Expected{6, true, 3}, Expected{12, true, 5},
                                         Expected{25, false, 5}, Expected{50, true, 9},
                                         Expected{94, true, 13}, Expected{100, true, 13},
                                         Expected{100, false, 13}, Expected{240, true, 21},
                                         Expected{400, true, 27}),
                         [](const auto& design) {
                           return (design.param.antipodal ? "antipodal" : "general") +
                                  std::to_string(design.param.points);
                         });

TEST(SphericalDesign, RejectsCountsThatCannotBe) {
  EXPECT_THROW(spherical_design(1, false), InputError);
  EXPECT_THROW(spherical_design(0, true), InputError);
  EXPECT_THROW(spherical_design(-4, false), InputError);
  EXPECT_THROW(spherical_design(101, true), InputError);
}

TEST(SphericalDesign, VerifyRejectsWhatIsNotOne) {
  verify(octahedron());

  SphericalDesign nudged = octahedron();
  nudged.antipodal = false;
  nudged.points[2] = normalised({1e-9, 0, 1});
  EXPECT_THROW(verify(nudged), std::runtime_error);

  SphericalDesign boastful = octahedron();
  boastful.strength = 4;
  EXPECT_THROW(verify(boastful), std::runtime_error);

  SphericalDesign reordered = octahedron();
  std::swap(reordered.points[0], reordered.points[1]);
  EXPECT_THROW(verify(reordered), std::runtime_error);
  reordered.antipodal = false;
  verify(reordered);

  SphericalDesign grown = octahedron();
  for (Vector3& x : grown.points)
    for (double& component : x) component *= 1.001;
  EXPECT_THROW(verify(grown), std::runtime_error);

  SphericalDesign broken = octahedron();
  broken.points[3][1] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(verify(broken), std::runtime_error);

  EXPECT_THROW(verify(SphericalDesign{}), std::runtime_error);

  SphericalDesign made = spherical_design(100, true);
  made.points[17][0] += 1e-10;
  EXPECT_THROW(verify(made), std::runtime_error);
}

}  // namespace
}  // namespace orrery
