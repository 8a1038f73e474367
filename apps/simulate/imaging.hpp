#pragma once

#include <cstdint>
#include <vector>

#include "apps/simulate/options.hpp"
#include "apps/views.hpp"
#include "geometry/projector.hpp"
#include "kernels/ctf.hpp"

namespace orrery {

/// How one image sees the volume.
struct Pose {
  Rotation view;
  double shift_x = 0, shift_y = 0;  // pixels, by which the projection is moved
  double contrast = 1;
};

/// What is drawn for each image and each micrograph: from its number and the seed alone, so that it
/// is the same in whatever order and on however many threads it is drawn.
class Circumstances {
 public:
  /// Throws InputError for unusable views.
  explicit Circumstances(const SimulateOptions& options);

  Pose pose(std::int64_t image) const;
  /// Images lie on micrographs in order, as evenly as can be. Those that join a data set are
  /// numbered on from its images, and lie on micrographs of their own.
  std::int64_t micrograph_of(std::int64_t image) const;
  CtfParameters optics(std::int64_t micrograph) const;

  /// The mixture that views are drawn from, or the table they are drawn from.
  const ViewDensity& density() const { return density_; }
  const ViewTable& table() const { return table_; }

 private:
  SimulateOptions options_;
  ViewDensity density_;
  ViewTable table_;                 // empty: a mixture
  std::vector<double> cumulative_;  // of the table's weights
};

/// Power of the noise relative to its mean over all pixels of a spectrum, on the odd n x n grid of
/// an image of m pixels: 1 for white noise, else proportional to 1/5 + 1 / (1 + (4 r)^2), r being
/// |k| over the Nyquist frequency m/2.
class NoiseSpectrum {
 public:
  NoiseSpectrum(const SimulateOptions& options, int m);
  bool is_white() const { return white_; }
  double operator()(double frequency) const;  // cycles a box

 private:
  bool white_;
  double nyquist_, scale_ = 1;
};

/// The Hartley coefficients of images as a microscope sees them, batch by batch.
class ImageMaker {
 public:
  ImageMaker(const Context& ctx, const SimulateOptions& options, const Volume& truth);

  const Circumstances& circumstances() const { return circumstances_; }
  /// Of the coefficients' grid, n: the images' size or, if that is even, one less.
  int grid() const { return projector_.size(); }
  int image_size() const { return image_size_; }

  /// A batch of images without noise.
  struct Batch {
    std::vector<Pose> poses;
    Tensor<float, 2> ctf;           // (G,n^2) on the backend; without CTF G = 0
    std::vector<int> ctf_of_image;  // (B) row of the above
  };
  /// Signal of images first .. first + B - 1 -> h (B,n^2) on the backend.
  Batch signal(std::int64_t first, View<float, 2> h) const;

  /// Adds the noise of batch number `batch` to coefficients (B,n^2).
  void add_noise(std::int64_t batch, double sigma, View<float, 2> h) const;
  /// Adds it to images (B,m,m).
  void add_noise(std::int64_t batch, double sigma, View<float, 3> images) const;
  /// Variance of the noise of each coefficient (n^2).
  std::vector<double> noise_variance(double sigma) const;
  const NoiseSpectrum& noise_spectrum() const { return spectrum_; }

  /// Mean power of a pixel of an image without noise, over the first thousand images or so that are
  /// to be made.
  double signal_power() const;

 private:
  Context ctx_;
  SimulateOptions options_;
  Circumstances circumstances_;
  Projector projector_;
  NoiseSpectrum spectrum_;
  int image_size_ = 0;
  double edge_ = 0;               // angstrom, of an image
  Tensor<float, 1> noise_root_;   // (n^2), of the relative spectrum
  Tensor<float, 2> image_roots_;  // (m, m), of the relative spectrum of whole images
};

}  // namespace orrery
