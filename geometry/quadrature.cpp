#include "geometry/quadrature.hpp"

#include <numbers>
#include <string>

#include "kernels/check.hpp"

namespace orrery {
namespace {

int copies_allowed(const SphericalDesign& design, int angles, Reductions reductions) {
  if (reductions == Reductions::none || angles % 4) return 1;
  return reductions == Reductions::full && design.antipodal ? 8 : 4;
}

}  // namespace

Rotation grid_symmetry(int g) {
  require(g >= 0 && g < 8, "grid_symmetry", "a slice has copies 0 to 7");
  constexpr double cosines[4] = {1, 0, -1, 0}, sines[4] = {0, 1, 0, -1};
  const double c = cosines[g % 4], s = sines[g % 4];
  const double side = g < 4 ? 1 : -1;
  return {{c, -side * s, 0, s, side * c, 0, 0, 0, side}};
}

Quadrature make_quadrature(const SphericalDesign& design, int angles, Reductions reductions) {
  if (angles < 1)
    throw InputError("A quadrature with " + std::to_string(angles) +
                     " in-plane angles cannot be made; ask for 1 or more.");
  verify(design);

  Quadrature quadrature{design, angles, copies_allowed(design, angles, reductions), {}, {}, {}};
  const bool from_behind = quadrature.copies == 8;
  // The other in-plane angles and the antipodes come from the copies: looking_along(-d) is
  // diag(1,-1,-1) looking_along(d), so they meet the same angles.
  const int own_angles = quadrature.copies == 1 ? angles : angles / 4;
  const int own_directions = quadrature.direction_count() / (from_behind ? 2 : 1);

  for (int d = 0; d < own_directions; ++d) {
    const Rotation base = looking_along(design.points[d]);
    for (int a = 0; a < own_angles; ++a) {
      const Rotation view = rotation_about_z(2 * std::numbers::pi * a / angles) * base;
      quadrature.distinct.push_back(view);
      for (int g = 0; g < quadrature.copies; ++g) {
        quadrature.views.push_back(grid_symmetry(g) * view);
        quadrature.direction_of.push_back(g < 4 ? d : d + own_directions);
      }
    }
  }
  return quadrature;
}

}  // namespace orrery
