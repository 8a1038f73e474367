#pragma once

#include <cstdint>
#include <vector>

#include "geometry/rotation.hpp"

namespace orrery {

/// Points whose equal-weight average integrates every polynomial of degree <= strength exactly.
/// In an antipodal design the second half are the negatives of the first, in the same order.
struct SphericalDesign {
  std::vector<Vector3> points;
  int strength = 0;
  bool antipodal = false;
};

/// Largest |average of a real orthonormal spherical harmonic times sqrt(4 pi)| over degrees
/// 1..strength: zero for an exact design.
double design_residual(const std::vector<Vector3>& points, int strength);

/// A spherical design with that number of points, of the highest strength that the solver reaches
/// (100 points: 13), computed by Levenberg and Marquardt on the spherical-harmonic sums from a
/// jittered Fibonacci lattice, to a residual under 1e-12. Deterministic.
/// Throws InputError when the count is under 2, or odd and antipodal.
SphericalDesign spherical_design(int points, bool antipodal);

/// Throws std::runtime_error when the residual is over 1e-12, or antipodal pairs do not match.
void verify(const SphericalDesign& design);

}  // namespace orrery
