#pragma once

#include <cstdint>
#include <vector>

#include "geometry/comparison.hpp"
#include "geometry/volume.hpp"

namespace orrery {

/// How `moving` has to be moved to match `fixed`: rotated(ctx, moving, rotation, shift, mirror).
struct Alignment {
  Rotation rotation;
  Vector3 shift = {0, 0, 0};  // voxels of the fixed volume, applied after the rotation
  bool mirror = false;        // true: the hands differ
  double correlation = 0;     // of the two volumes in the band of the refinement, without k = 0
};

struct AlignmentSettings {
  int rotations = 6000;        // coarse, both hands each
  double coarse_radius = 4.5;  // |k| in cycles a box
  double fine_radius = 8;      // |k| of the refinement
  int candidates = 8;          // refined from the coarse search, for each hand
  bool both_hands = true;
  double largest_shift = 4;  // voxels, of the coarse search; 0 aligns rotations alone
  std::uint64_t seed = 1;
};

/// Best rigid motion, either hand, that carries `moving` onto `fixed` (same odd n), by the
/// correlation of their Fourier coefficients
///   sum_k Re conj F(k) M(R^T k) exp(-2 pi i k.s / n) / (||F|| ||M||),  0 < |k| <= radius,
/// of the densities inside the box's inscribed ball, above their surroundings:
/// a coarse search over random rotations, a lattice of shifts and both hands, then BFGS on rotation
/// vector and shift for the best candidates, first in the coarse band, with exact trigonometric
/// sums. Runs on the CPU; the result does not depend on the number of threads.
/// Throws   InputError when sizes differ, n is even or under 5, or a volume is constant.
/// Cost     2 K n_c^3 flop a coarse rotation (K = 190 points and n_c = 19 voxels at radius 4.5),
///          then about 0.3 GFLOP a step of a refinement at radius 8: some 2 s of one processor.
Alignment align(const Context& ctx, const Volume& fixed, const Volume& moving,
                const AlignmentSettings& settings = {});

}  // namespace orrery
