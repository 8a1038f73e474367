#pragma once

#include "kernels/context.hpp"
#include "kernels/tensor.hpp"
#include "moments/folded_transform.hpp"

namespace orrery {

// From square images as they are stored, m x m pixels with the centre at pixel floor(m/2), to
// Hartley coefficients on the grid of slices.

/// The transform of images, on the n x n frequencies in the middle alone:
///   h[b,k] = (n/m)^2 (Re - Im) [ exp(-2 pi i k.d_b / m) F(k) ],
///   F(k) = 1/m sum_x image[b,x] exp(-2 pi i k.x / m),   x, k counted from the centre,
/// so that image b is moved by d_b pixels first, exactly, and cropped in Fourier space. The factor
/// keeps densities: the result is the slice of the volume cropped to n voxels. White noise of
/// variance s^2 a pixel stays white, of variance (n/m)^4 s^2 a coefficient; the highest frequency
/// of an even m is not among those kept, as n is odd.
/// Cost   2 m n (m + n) flop an image, on the CPU half of that: products with cosines and sines,
///        which take what a transform of all m x m frequencies would take, or less, and suit any m.
///        The CPU's are in moments/folded_transform.hpp.
/// Source docs/method.md, "Moments from images".
class ImageTransform {
 public:
  /// Throws std::invalid_argument unless n is odd and 1 <= n <= size.
  ImageTransform(const Context& ctx, Index size, Index n);

  /// Shapes   images (B,m,m)  shifts (B,2): d_b as (x, y) in pixels, on the host, or (0,2) for none
  ///          h (B,n^2), on the context's backend as the images are.
  /// Throws   std::invalid_argument on a shape mismatch.
  void operator()(View<const float, 3> images, View<const double, 2> shifts,
                  View<float, 2> h) const;

  Index size() const { return size_; }
  Index n() const { return n_; }

 private:
  Context ctx_;
  Index size_, n_;
  FoldedTransform folded_;  // on the CPU; elsewhere
  Tensor<float, 2> basis_;  // (n,m): cosines of k = 0 .. (n-1)/2, sines of k = 1 .. (n-1)/2
};

/// What a circle parts an image into: outside it is background, and within half its radius there is
/// certainly particle.
struct BackgroundCircle {
  Index size = 0;     // of the image
  double radius = 0;  // pixels

  Index pixels_outside() const;
  Index pixels_in_middle() const;
  /// How many pixels of a row lie on either side of the column through the centre, that column
  /// included, within `part` of the radius: 0 for none.
  ORRERY_HOST_DEVICE Index half_chord(Index row, double part) const;
};

/// sums[b] = (sum, sum of squares) of the background's pixels and (sum) of the middle's.
/// Shapes   images (B,m,m)  sums (B,3)
/// Throws   std::invalid_argument on a shape mismatch. Deterministic, in double precision.
void background_sums(const Context& ctx, const BackgroundCircle& circle,
                     View<const float, 3> images, View<double, 2> sums);

/// image[b] = gain[b] (image[b] - offset[b])
/// Shapes   offset_gain (B,2)  images (B,m,m), in place
/// Throws   std::invalid_argument on a shape mismatch.
void adjust_brightness(const Context& ctx, View<const float, 2> offset_gain, View<float, 3> images);

/// Sets everything within the circle to zero, in place: images (B,m,m).
void keep_background(const Context& ctx, const BackgroundCircle& circle, View<float, 3> images);

}  // namespace orrery
