#include "geometry/rotation.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/check.hpp"

namespace orrery {

double dot(const Vector3& a, const Vector3& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

Vector3 cross(const Vector3& a, const Vector3& b) {
  return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}

double norm(const Vector3& a) { return std::sqrt(dot(a, a)); }

Vector3 normalised(const Vector3& a) {
  const double length = norm(a);
  require(length > 0, "normalised", "the vector has no direction");
  return {a[0] / length, a[1] / length, a[2] / length};
}

Rotation operator*(const Rotation& a, const Rotation& b) {
  Rotation product;
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j)
      product(i, j) = a(i, 0) * b(0, j) + a(i, 1) * b(1, j) + a(i, 2) * b(2, j);
  return product;
}

Vector3 operator*(const Rotation& a, const Vector3& x) {
  Vector3 turned;
  for (int i = 0; i < 3; ++i) turned[i] = a(i, 0) * x[0] + a(i, 1) * x[1] + a(i, 2) * x[2];
  return turned;
}

Rotation transposed(const Rotation& a) {
  return {{a(0, 0), a(1, 0), a(2, 0), a(0, 1), a(1, 1), a(2, 1), a(0, 2), a(1, 2), a(2, 2)}};
}

double determinant(const Rotation& a) {
  return dot({a(0, 0), a(0, 1), a(0, 2)},
             cross({a(1, 0), a(1, 1), a(1, 2)}, {a(2, 0), a(2, 1), a(2, 2)}));
}

double angle_between(const Rotation& a, const Rotation& b) {
  const Rotation r = transposed(a) * b;
  // The skew part has length 2 sin, the trace is 1 + 2 cos: together they are accurate at 0 and pi,
  // where arc cosine alone loses half the digits.
  const double sine = norm({r(2, 1) - r(1, 2), r(0, 2) - r(2, 0), r(1, 0) - r(0, 1)});
  return std::atan2(sine, r(0, 0) + r(1, 1) + r(2, 2) - 1);
}

Rotation rotation_about_z(double angle) {
  const double c = std::cos(angle), s = std::sin(angle);
  return {{c, -s, 0, s, c, 0, 0, 0, 1}};
}

Rotation from_rotation_vector(const Vector3& v) {
  const double half = norm(v) / 2;
  const double sine_over_length = half > 0 ? std::sin(half) / (2 * half) : 0.5;
  return to_rotation(
      {std::cos(half), sine_over_length * v[0], sine_over_length * v[1], sine_over_length * v[2]});
}

Rotation to_rotation(const Quaternion& q) {
  const auto [w, x, y, z] = q;
  const double s = 2 / (w * w + x * x + y * y + z * z);  // forgives a norm that is not quite 1
  return {{1 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y),  //
           s * (x * y + w * z), 1 - s * (x * x + z * z), s * (y * z - w * x),  //
           s * (x * z - w * y), s * (y * z + w * x), 1 - s * (x * x + y * y)}};
}

Quaternion to_quaternion(const Rotation& r) {
  // Four times the square of each component; dividing by the largest keeps every digit.
  const double trace = r(0, 0) + r(1, 1) + r(2, 2);
  const std::array<double, 4> square = {1 + trace, 1 + 2 * r(0, 0) - trace, 1 + 2 * r(1, 1) - trace,
                                        1 + 2 * r(2, 2) - trace};
  std::array<double, 4> q;  // a multiple of the quaternion
  switch (std::max_element(square.begin(), square.end()) - square.begin()) {
    case 0:
      q = {square[0], r(2, 1) - r(1, 2), r(0, 2) - r(2, 0), r(1, 0) - r(0, 1)};
      break;
    case 1:
      q = {r(2, 1) - r(1, 2), square[1], r(0, 1) + r(1, 0), r(0, 2) + r(2, 0)};
      break;
    case 2:
      q = {r(0, 2) - r(2, 0), r(0, 1) + r(1, 0), square[2], r(1, 2) + r(2, 1)};
      break;
    default:
      q = {r(1, 0) - r(0, 1), r(0, 2) + r(2, 0), r(1, 2) + r(2, 1), square[3]};
  }
  double length = std::sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
  if (q[0] < 0) length = -length;
  return {q[0] / length, q[1] / length, q[2] / length, q[3] / length};
}

namespace {

constexpr double degree = std::numbers::pi / 180;

double wrapped_degrees(double radians) {
  const double degrees = radians / degree;
  return degrees >= 180 ? degrees - 360 : degrees;
}

}  // namespace

Rotation from_euler(const EulerAngles& degrees) {
  const double cr = std::cos(degrees.rot * degree), sr = std::sin(degrees.rot * degree);
  const double ct = std::cos(degrees.tilt * degree), st = std::sin(degrees.tilt * degree);
  const double cp = std::cos(degrees.psi * degree), sp = std::sin(degrees.psi * degree);
  return {{cp * ct * cr - sp * sr, cp * ct * sr + sp * cr, -cp * st,   //
           -sp * ct * cr - cp * sr, -sp * ct * sr + cp * cr, sp * st,  //
           st * cr, st * sr, ct}};
}

EulerAngles to_euler(const Rotation& r) {
  const double sine_of_tilt = std::hypot(r(2, 0), r(2, 1));
  const bool gimbal_lock = sine_of_tilt < 1e-14;
  const double rot = gimbal_lock ? 0 : std::atan2(r(2, 1), r(2, 0));
  const double tilt = std::atan2(gimbal_lock ? 0 : sine_of_tilt, r(2, 2));
  // What is left once rot is undone: well defined at every tilt, unlike the third column.
  const double c = std::cos(rot), s = std::sin(rot);
  const double psi = std::atan2(r(0, 1) * c - r(0, 0) * s, r(1, 1) * c - r(1, 0) * s);
  return {wrapped_degrees(rot), tilt / degree, wrapped_degrees(psi)};
}

Rotation random_rotation(RandomSequence& random) {
  // Normal numbers have no preferred direction in four dimensions either.
  Quaternion q;
  for (double* component : {&q.w, &q.x, &q.y, &q.z}) *component = random.normal();
  return to_rotation(q);
}

Rotation looking_along(const Vector3& direction) {
  const Vector3 d = normalised(direction);
  const double sine_of_tilt = std::hypot(d[0], d[1]);
  const double c = sine_of_tilt > 0 ? d[0] / sine_of_tilt : 1;
  const double s = sine_of_tilt > 0 ? d[1] / sine_of_tilt : 0;
  return {{d[2] * c, d[2] * s, -sine_of_tilt, -s, c, 0, d[0], d[1], d[2]}};
}

template <class T>
Tensor<T, 3> matrices_of(const Context& ctx, const std::vector<Rotation>& rotations) {
  Tensor<T, 3> host(Context::cpu(1), static_cast<Index>(rotations.size()), 3, 3);
  T* next = host.data();
  for (const Rotation& r : rotations)
    for (double x : r.matrix) *next++ = static_cast<T>(x);
  return upload(ctx, host);
}

template Tensor<float, 3> matrices_of<float>(const Context&, const std::vector<Rotation>&);
template Tensor<double, 3> matrices_of<double>(const Context&, const std::vector<Rotation>&);

}  // namespace orrery
