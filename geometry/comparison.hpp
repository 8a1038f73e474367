#pragma once

#include <vector>

#include "geometry/volume.hpp"

namespace orrery {

// How alike two volumes are that lie on one grid, in one pose.

/// Fourier shell correlation of two volumes of one size, shells 0 .. (n-1)/2 of integer |k|
/// (rounded), Re sum a conj b / sqrt(sum |a|^2 sum |b|^2); 0 where a volume has nothing but
/// rounding errors in the shell. Throws InputError when sizes differ.
std::vector<double> fourier_shell_correlation(const Context& ctx, const Volume& a, const Volume& b);

struct Resolution {
  double shell = 0;     // where the curve first falls below the threshold, by linear interpolation
  double angstrom = 0;  // box / shell
  bool reached = true;  // false: never falls below; shell is then the last one
};
/// Shell 0 is the mean density and tells nothing: the curve is followed from shell 1.
Resolution resolution_at(const std::vector<double>& fsc, double threshold, double box_angstrom);

/// The paper's (29) for volumes already aligned: ||fixed - moved|| / ||fixed||.
double relative_error(const Volume& fixed, const Volume& moved);

/// sum a b / (||a|| ||b||) over voxels. Throws InputError when sizes differ or a volume is zero.
double correlation(const Volume& a, const Volume& b);

/// A ball of density kept, faded to zero by a raised cosine over `soft_edge` voxels.
Volume masked(const Volume& v, double radius_voxels, double soft_edge_voxels = 3);

}  // namespace orrery
