#pragma once

#include <vector>

#include "geometry/spherical_design.hpp"

namespace orrery {

/// Which exact symmetries of the grid are used, so that fewer slices need evaluating:
enum class Reductions {
  none,      // every view on its own
  fourfold,  // in-plane angles a quarter turn apart are permutations of one another
  full       // and views along -d are mirror images of views along d (antipodal designs)
};

/// S_g of kernels/slices.hpp, exactly: Rz(90 g degrees) for g < 4, and
/// Rz(90 (g-4) degrees) diag(1,-1,-1), which looks from behind, for 4 <= g < 8.
Rotation grid_symmetry(int g);

/// Equal-weight quadrature on SO(3): the directions of a spherical design, each with equispaced
/// in-plane angles, Rz(2 pi a / angles) looking_along(d). It integrates exactly what is of degree
/// <= strength in the direction and of order < angles in the plane. Views are numbered j = b G + g:
/// distinct slice b, copy g (see kernels/slices.hpp: expand_copies), with rotation S_g distinct[b].
/// The set of views does not depend on the reductions, only their order does.
struct Quadrature {
  SphericalDesign design;
  int angles = 0;                  // in-plane angles a direction
  int copies = 1;                  // G: 1, 4 or 8
  std::vector<Rotation> distinct;  // the B slices that have to be evaluated
  std::vector<Rotation> views;     // all B G = points x angles rotations, in the order above
  std::vector<int> direction_of;   // for each view, the index of its direction in design.points

  int view_count() const { return static_cast<int>(views.size()); }
  int direction_count() const { return static_cast<int>(design.points.size()); }
};

/// The default everywhere is the paper's 100 x 12. Reductions that the angles (not a multiple of 4)
/// or the design (not antipodal) do not allow are lowered to what they do.
/// Throws InputError when angles < 1, std::runtime_error for a design that verify() rejects.
Quadrature make_quadrature(const SphericalDesign& design, int angles,
                           Reductions reductions = Reductions::full);

}  // namespace orrery
