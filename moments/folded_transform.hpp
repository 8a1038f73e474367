#pragma once

#include <complex>
#include <vector>

#include "kernels/tensor.hpp"

namespace orrery {

/// The CPU twin of ImageTransform (moments/image_coefficients.hpp), with its formula and shapes,
/// one image after the other so that all of it stays in a core's cache. Cosines are even about the
/// centre of an image and sines odd: folded there along both axes, an image becomes four of a
/// quarter of its pixels, and each of them is multiplied with cosines or sines along x, then along
/// y. That takes half the products. The result does not depend on the number of threads.
class FoldedTransform {
 public:
  FoldedTransform() = default;
  /// n is odd, 1 <= n <= size.
  FoldedTransform(Index size, Index n);

  /// `phases` (B,2,(n+1)/2): exp(-2 pi i k d / m) for x, then y; empty for images that stay.
  void operator()(int threads, View<const float, 3> images,
                  View<const std::complex<float>, 3> phases, View<float, 2> h) const;

 private:
  struct Workspace;
  void fold(const float* image, Workspace& work) const;
  void multiply(Workspace& work) const;
  void join(const std::complex<float>* phases, Workspace& work, float* h) const;

  Index size_ = 0, half_ = 0;
  Index even_ = 0, odd_ = 0;  // positions that are left of an axis: with the centre, without
  Index width_ = 0;           // frequencies 0 .. half, in whole vectors
  Tensor<float, 2> cosines_, sines_;  // (even,width), (odd,width)
};

}  // namespace orrery
