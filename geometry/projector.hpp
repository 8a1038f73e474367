#pragma once

#include "geometry/volume.hpp"
#include "kernels/interpolate_slices.hpp"

namespace orrery {

/// Central slices of one volume at many arbitrary rotations, by gridding: the volume is divided by
/// the window's transform and padded to a finer spectrum of its own, in which any frequency is a
/// weighted sum of the 6^3 samples around it. Docs/method.md has the measured errors against direct
/// summation (slices_of): 4e-6 to 8e-6 of the slices' norm.
///
/// Slices are those of the volume Fourier-cropped to n voxels, the largest odd number not above its
/// size: Hartley coefficients of projections (sums along z) on an n x n grid, inside the disc
/// |k| <= n/2 and zero outside. An image of m pixels has those coefficients too, m odd or even:
/// `images_of_slices`.
class Projector {
 public:
  /// Oversampling: samples a unit of frequency, at least. More is more exact and takes more memory:
  /// 4 (oversampling n)^3 bytes.
  static constexpr double default_oversampling = 2;
  explicit Projector(const Context& ctx, const Volume& volume,
                     double oversampling = default_oversampling);

  int size() const { return n_; }

  /// h (B,n^2) = slices at rotations (B,3,3), both on the context's backend.
  void project(View<const float, 3> rotations, View<float, 2> h) const;

 private:
  Context ctx_;
  int n_ = 0;
  float spacing_ = 1;
  Tensor<float, 4> samples_;
  Tensor<float, 2> window_;
};

/// Projections as images of m pixels an edge, centred at pixel m/2 (even) or (m-1)/2 (odd), from
/// their Hartley coefficients on the odd n x n grid, n <= m; frequencies the grid lacks are zero.
/// Coefficients keep densities' values (see fourier_crop): for images of m pixels they are (n/m)^2
/// times the unitary transform.
/// Shapes   h (B,n^2)  images (B,m,m), on ctx's backend.
/// Throws   std::invalid_argument on even n, n > m or a shape mismatch.
void images_of_slices(const Context& ctx, int n, View<const float, 2> h, View<float, 3> images);

}  // namespace orrery
