#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "geometry/quadrature.hpp"

namespace orrery {

/// One von Mises-Fisher component on the sphere: density proportional to exp(kappa mean.d).
struct VonMisesFisher {
  Vector3 mean = {0, 0, 1};
  double concentration = 1;  // kappa
  double weight = 1;
};

/// Density of views: a mixture over viewing directions, and in the plane either uniform or, with
/// in_plane_concentration k > 0, proportional to exp(k cos(psi - in_plane_mean)), psi being the
/// view's RELION psi in radians.
struct ViewDensity {
  std::vector<VonMisesFisher> components;
  double in_plane_concentration = 0;
  double in_plane_mean = 0;
};

/// `components` random directions, concentrations uniform in [3, 12], weights uniform in
/// [0.5, 1.5].
ViewDensity random_view_density(int components, std::uint64_t seed);

/// The density on each view of the quadrature, >= 0 and summing to 1.
std::vector<double> view_weights(const ViewDensity& density, const Quadrature& quadrature);

/// A view drawn from the density.
Rotation random_view(const ViewDensity& density, RandomSequence& random);

/// Weights on the views of a quadrature from views given with weights (a user's table): each given
/// view adds its weight to the quadrature's views with a von Mises-Fisher-like kernel on SO(3) of
/// the given angular width in degrees. >= 0, summing to 1.
std::vector<double> view_weights(const std::vector<Rotation>& views,
                                 const std::vector<double>& weights, double width_degrees,
                                 const Quadrature& quadrature);

}  // namespace orrery
