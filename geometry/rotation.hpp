#pragma once

#include <array>
#include <vector>

#include "kernels/random.hpp"
#include "kernels/tensor.hpp"

namespace orrery {

using Vector3 = std::array<double, 3>;

double dot(const Vector3& a, const Vector3& b);
Vector3 cross(const Vector3& a, const Vector3& b);
double norm(const Vector3& a);
/// Throws std::invalid_argument on the zero vector.
Vector3 normalised(const Vector3& a);

/// A rotation (or, with determinant -1, a rotation times inversion) as a row-major 3 x 3 matrix R.
/// It turns a volume by (R.v)(x) = v(R^T x); the slice seen at R samples the volume's transform at
/// R^T (kx, ky, 0), and its viewing direction is R's third row.
struct Rotation {
  std::array<double, 9> matrix = {1, 0, 0, 0, 1, 0, 0, 0, 1};

  double operator()(int row, int column) const { return matrix[3 * row + column]; }
  double& operator()(int row, int column) { return matrix[3 * row + column]; }
  Vector3 direction() const { return {matrix[6], matrix[7], matrix[8]}; }
};

Rotation operator*(const Rotation& a, const Rotation& b);
Vector3 operator*(const Rotation& a, const Vector3& x);
Rotation transposed(const Rotation& a);
double determinant(const Rotation& a);
/// Angle in radians, 0 to pi, of the rotation a^T b.
double angle_between(const Rotation& a, const Rotation& b);

/// Right-handed turn by `angle` radians about z: x' = x cos - y sin, y' = x sin + y cos.
Rotation rotation_about_z(double angle);
/// Rotation by the vector's length (radians) about its direction.
Rotation from_rotation_vector(const Vector3& v);

/// Unit quaternion w + xi + yj + zk; any multiple of q is the same rotation.
struct Quaternion {
  double w = 1, x = 0, y = 0, z = 0;
};
Rotation to_rotation(const Quaternion& q);
Quaternion to_quaternion(const Rotation& r);  // w >= 0

/// RELION's Euler angles in degrees (rlnAngleRot, rlnAngleTilt, rlnAnglePsi). They give
///   R = Z(-psi) Y(-tilt) Z(-rot)
/// with right-handed turns about z and y: the R of this file whose slices are RELION's projections
/// (tested against RELION's own). The viewing direction is
/// (sin tilt cos rot, sin tilt sin rot, cos tilt).
struct EulerAngles {
  double rot = 0, tilt = 0, psi = 0;
};
Rotation from_euler(const EulerAngles& degrees);
/// rot and psi in [-180, 180), tilt in [0, 180]; at tilt 0 and 180 rot is 0.
EulerAngles to_euler(const Rotation& r);

/// Uniform (Haar) random rotation.
Rotation random_rotation(RandomSequence& random);

/// The view along `direction` with RELION psi 0: its third row is the direction, normalised. Every
/// view along it is rotation_about_z(angle) times this one, and has psi = -angle.
/// Throws std::invalid_argument on the zero vector.
Rotation looking_along(const Vector3& direction);

/// (count, 3, 3) matrices on ctx's backend, for the kernels.
template <class T>
Tensor<T, 3> matrices_of(const Context& ctx, const std::vector<Rotation>& rotations);

}  // namespace orrery
