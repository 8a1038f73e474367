#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/moments/image_queue.hpp"
#include "apps/moments/options.hpp"
#include "io/particle_images.hpp"
#include "kernels/processes.hpp"
#include "moments/image_coefficients.hpp"

namespace orrery {

/// What is done to every image before it is summed, and what the noise is like afterwards.
class Preparation {
 public:
  /// `box` is n. Takes a look at up to a thousand of the images, evenly spread, for the contrast's
  /// sign and for the noise; several processes share them, and come to the same result. Throws
  /// InputError for images that can't be used so.
  Preparation(const Context& ctx, const MomentsOptions& options, const io::ParticleTable& table,
              const io::ParticleImages& images, double pixel_size, int box,
              const Processes& processes = Processes::alone());

  /// The block's coefficients (B,D), on the context's backend: normalised, with bright particles,
  /// moved by the known shifts, and cropped. An image whose background is constant can't be
  /// normalised: `problems` of the block gains a sentence, the image's particle becomes -1, and its
  /// row means nothing. Several threads may ask at a time.
  Tensor<float, 2> coefficients(ImageBlock& block) const;

  Index n() const { return transform_.n(); }
  Index size() const { return transform_.size(); }  // pixels an edge of an image
  /// Of a coefficient, for each of the D; infinite where the images are not to be believed.
  const std::vector<double>& noise() const { return noise_; }
  /// Its mean, and by |k| = 0, 1, ...; the spectrum is empty where the variance was given.
  double noise_variance() const { return noise_variance_; }
  const std::vector<double>& noise_spectrum() const { return noise_spectrum_; }
  /// Mean square of a coefficient, noise included.
  double power() const { return power_; }
  bool inverted() const { return sign_ < 0; }
  /// The middle's mean over the background's, in its own standard errors; 0 where it was not asked.
  double contrast() const { return contrast_; }
  Index surveyed() const { return surveyed_; }
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  struct Survey;
  /// What each image's background says of its brightness.
  struct Brightness {
    double mean = 0, deviation = 1;  // of the background
    double middle = 0;               // mean of the middle
  };
  std::vector<Brightness> brightness(View<const float, 3> images) const;
  /// The gain that an image is multiplied by; an image without any is noted in the block.
  double gain_of(ImageBlock& block, std::size_t b, const Brightness& brightness) const;
  Tensor<double, 2> shifts_of(const ImageBlock& block) const;
  /// How much white noise of variance 1 leaves at the coefficients of each ring, in all, when only
  /// the background is kept and its mean is taken off.
  std::vector<double> background_shares() const;
  Survey look(const io::ParticleImages& images, const Processes& processes) const;
  void settle_contrast(const Survey& survey);
  void settle_noise(const Survey& survey);
  std::string name_of(Index particle) const;

  Context ctx_;
  const MomentsOptions& options_;
  const io::ParticleTable& table_;
  double pixel_size_;
  BackgroundCircle circle_;
  ImageTransform transform_;
  double sign_ = 1, contrast_ = 0;
  double level_ = 0;  // of the background, in all images, taken off
  std::vector<double> noise_, noise_spectrum_;
  double noise_variance_ = 0, power_ = 0;
  Index surveyed_ = 0;
  std::vector<std::string> notes_;
};

}  // namespace orrery
