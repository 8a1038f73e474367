#pragma once

#include <string>
#include <vector>

#include "geometry/volume.hpp"

namespace orrery {

/// How `moving` has to be moved to match `fixed`: rotated(ctx, moving, rotation, shift, mirror).
struct Alignment {
  Rotation rotation;
  Vector3 shift = {0, 0, 0};  // voxels of the fixed volume, applied after the rotation
  bool mirror = false;        // true: the hands differ
  double correlation = 0;     // of the two volumes in the band used for the search
};

struct AlignmentSettings {
  int rotations = 6000;        // coarse, both hands each
  double coarse_radius = 4.5;  // |k| in cycles a box
  double fine_radius = 8;      // |k| of the refinement
  int candidates = 8;          // refined from the coarse search
  bool both_hands = true;
  double largest_shift = 4;  // voxels; 0 aligns rotations alone
  std::uint64_t seed = 1;
};

/// Best rigid motion, either hand, that carries `moving` onto `fixed` (same odd n), by correlation
/// of Fourier coefficients: a coarse search over random rotations, then BFGS on rotation vector and
/// shift for the best candidates.
/// Throws InputError when sizes differ or a volume is zero.
Alignment align(const Context& ctx, const Volume& fixed, const Volume& moving,
                const AlignmentSettings& settings = {});

/// Fourier shell correlation of two volumes of one size, shells 0 .. (n-1)/2 of integer |k|
/// (rounded), Re sum a conj b / sqrt(sum |a|^2 sum |b|^2).
std::vector<double> fourier_shell_correlation(const Context& ctx, const Volume& a, const Volume& b);

struct Resolution {
  double shell = 0;     // where the curve first falls below the threshold, by linear interpolation
  double angstrom = 0;  // box / shell
  bool reached = true;  // false: never falls below; shell is then the last one
};
Resolution resolution_at(const std::vector<double>& fsc, double threshold, double box_angstrom);

/// The paper's (29) for volumes already aligned: ||fixed - moved|| / ||fixed||.
double relative_error(const Volume& fixed, const Volume& moved);

/// A ball of density kept, faded to zero by a raised cosine over `soft_edge` voxels.
Volume masked(const Volume& v, double radius_voxels, double soft_edge_voxels = 3);

}  // namespace orrery
