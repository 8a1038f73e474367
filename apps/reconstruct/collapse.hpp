#pragma once

#include <string>
#include <vector>

#include "geometry/quadrature.hpp"
#include "geometry/volume.hpp"

namespace orrery {

/// Figures by which a reconstruction that went wrong gives itself away.
struct CollapseFigures {
  /// Share of the squared density, about its surroundings, that is in its mean at each radius: 1
  /// for anything spherically symmetric.
  double radial_share = 0;
  /// Mean density inside half the radius at which the radial mean is largest, over that largest
  /// mean.
  double hollowness = 1;
  /// Share of the squared density that is negative.
  double negative_share = 0;
  /// 1 / sum p^2 over the directions' probabilities p: how many equally likely ones there seem.
  double effective_directions = 0;
};
CollapseFigures collapse_figures(const Volume& volume, const Quadrature& quadrature,
                                 const std::vector<double>& view_weights);

/// A sentence for each sign of collapse: a ball, an empty shell, negative density, one direction.
std::vector<std::string> collapse_warnings(const CollapseFigures& figures);

}  // namespace orrery
