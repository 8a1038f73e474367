#pragma once

#include <cstdint>
#include <vector>

#include "geometry/quadrature.hpp"

namespace orrery {

/// One von Mises-Fisher component on the sphere: density proportional to exp(kappa mean.d).
struct VonMisesFisher {
  Vector3 mean = {0, 0, 1};  // of any length but zero
  double concentration = 1;  // kappa >= 0; 0 is uniform
  double weight = 1;         // of the component in the mixture, relative to the others
};

/// Density of views: a mixture over viewing directions, and in the plane either uniform or, with
/// in_plane_concentration k > 0, proportional to exp(k cos(psi - in_plane_mean)), psi being the
/// view's RELION psi in radians. The functions below throw InputError when there are no components,
/// a mean is zero, a concentration or weight is negative or not finite, or all weights are zero.
struct ViewDensity {
  std::vector<VonMisesFisher> components;
  double in_plane_concentration = 0;
  double in_plane_mean = 0;
};

/// `components` random directions, concentrations uniform in [3, 12], weights uniform in
/// [0.5, 1.5], uniform in the plane. Throws InputError when components < 1.
ViewDensity random_view_density(int components, std::uint64_t seed);

/// The density on each view of the quadrature, >= 0 and summing to 1.
std::vector<double> view_weights(const ViewDensity& density, const Quadrature& quadrature);

/// A view drawn from the density: the direction by Ulrich's exact inverse on the sphere, psi by
/// Best and Fisher's rejection.
Rotation random_view(const ViewDensity& density, RandomSequence& random);

/// Weights on the views of a quadrature from views given with weights (a user's table). Each given
/// view shares its weight among the quadrature's views in proportion to exp(kappa (cos angle - 1)),
/// angle being the turn between the two and kappa = 1 / width^2: for small widths a normal
/// distribution with that standard deviation about each axis, and in the limit the nearest view.
/// >= 0, summing to 1.
/// Throws InputError when there are no views, counts differ, a weight is negative or not finite,
/// all weights are zero, or the width is not positive.
std::vector<double> view_weights(const std::vector<Rotation>& views,
                                 const std::vector<double>& weights, double width_degrees,
                                 const Quadrature& quadrature);

}  // namespace orrery
