#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "geometry/view_density.hpp"

namespace orrery {

/// Views that a user gives, each with a weight.
struct ViewTable {
  std::vector<Rotation> views;
  std::vector<double> weights;  // >= 0, finite
};

/// Reads --views: a CSV table (rot, tilt, psi and, where it has one, weight) or a STAR file with
/// rlnAngleRot, rlnAngleTilt and rlnAnglePsi, all of weight 1. Throws InputError naming file, row
/// and column.
ViewTable read_views(const std::string& path);

/// The density that --view-mixture, --in-plane and --seed stand for, the same in every program.
ViewDensity view_mixture(int components, double in_plane, std::uint64_t seed);

}  // namespace orrery
