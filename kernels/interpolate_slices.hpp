#pragma once

#include "kernels/context.hpp"
#include "kernels/view.hpp"

namespace orrery {

/// A Hermitian spectrum sampled finely enough that a window of six samples an axis interpolates
/// it. Only one half is kept: x >= 0, and what the window reaches beside it.
struct SampledSpectrum {
  /// Sample (iz, iy, ix) as (re, im) is that at (ix - 2, iy - H, iz - H), H = (Z-1)/2.
  View<const float, 4> samples;  // (Z, Z, X, 2)
  /// The window: of the six samples around a point the j-th has the weight
  ///   w_j(u) = sum_d window(d, j) u^d,   u = the point's distance from the middle of its interval,
  /// -1/2 <= u <= 1/2.
  View<const float, 2> window;  // (degree + 1, taps)
  float spacing = 1;            // samples a unit of frequency

  static constexpr int taps = 6, degree = 8;

  /// Extents of the samples that slices of n x n points need: Z and X.
  struct Extents {
    Index edge, width;
  };
  static Extents needed(int n, float spacing);
};

/// Slices through the spectrum at rotations R_b, in Hartley packing on an odd n x n grid (see
/// kernels/slices.hpp): the spectrum at R_b^T (kx, ky, 0) where |k| <= n/2, zero elsewhere.
/// Shapes   rotations (B,3,3) row-major  h (B,n^2). Rows of rotations are orthonormal, which is not
///          checked: others lead to places where there are no samples.
/// Throws   std::invalid_argument on even n, a shape mismatch, or samples that do not reach n/2.
/// Cost     about 85 n^2 reads of a sample and 400 n^2 flop a slice. CPU: vectors along x. CUDA: a
///          thread for each point. Deterministic.
void interpolate_slices(const Context& ctx, int n, const SampledSpectrum& spectrum,
                        View<const float, 3> rotations, View<float, 2> h);

}  // namespace orrery
