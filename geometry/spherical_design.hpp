#pragma once

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

/// A spherical design with that number of points, of the highest strength that the solver reaches,
/// computed by Levenberg and Marquardt on the spherical-harmonic sums from a jittered Fibonacci
/// lattice, to a residual under 1e-12. Deterministic. The strength is what counting conditions
/// against free coordinates gives, and up to 24 points what symmetry gives beyond it:
///   antipodal  6: 3   12: 5   50: 9   100: 13   240: 21   400: 27
///   general    4: 2   12: 5   24: 7   100: 13   200: 18   400: 27
/// Throws InputError when the count is under 2, or odd and antipodal.
/// Cost     about points * strength^4 flop a step, some ten steps: 100 points in milliseconds, 400
///          general points in under a second.
SphericalDesign spherical_design(int points, bool antipodal);

/// Throws std::runtime_error when the residual is over 1e-12, a point is off the unit sphere by
/// more than that, or antipodal pairs do not match.
void verify(const SphericalDesign& design);

}  // namespace orrery
