#include "geometry/rotation.hpp"

#include <cmath>

namespace orrery {

double dot(const Vector3& a, const Vector3& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

double norm(const Vector3& a) { return std::sqrt(dot(a, a)); }

}  // namespace orrery
