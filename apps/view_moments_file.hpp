#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace orrery {

/// Moments of views as the programs hand them to one another: moments.h5. In the Hartley basis of
/// an n x n grid, D = n^2, scaled as slices: sqrt(n) times the unitary transform of the volume.
struct ViewMoments {
  int n = 0;
  double voxel_size = 1;          // angstrom
  std::vector<float> first;       // (D)
  std::vector<float> second;      // (D,D), symmetric
  std::int64_t observations = 0;  // images they were estimated from; 0: exact
  double noise_variance = 0;      // of a coefficient, before it was taken off
  double shift_deviation = 0;     // of unknown shifts left in the images, in voxels; 0: none

  // Known for estimated moments only; empty otherwise.
  std::vector<float> first_error;      // standard errors (D); infinite: unobserved
  std::vector<float> second_error;     // (D,D)
  std::vector<double> noise_spectrum;  // noise power by |k| = 0, 1, ..., before any whitening
  struct Half {
    std::vector<float> first, second;
    std::int64_t observations = 0;
  };
  std::vector<Half> halves;  // two or none: each from a random half of the images
  std::string source;        // what they were made from, for people
};

/// Writes moments.h5 (docs/guide.md lists its contents). Atomic. Throws std::invalid_argument where
/// an array is not of n's size.
void write_view_moments(const std::filesystem::path& path, const ViewMoments& moments);

/// Where whoever writes such a file says how it came out: moments.h5.json, for moments.json could
/// be that of the images, as particles.json is. It speaks of one file alone, and goes before
/// another takes that one's place.
std::filesystem::path summary_beside(const std::filesystem::path& moments);

/// Throws InputError naming file, field and remedy: another format, missing or misshapen data sets,
/// numbers that are not finite, even n, moments that are zero, a second moment that is not
/// symmetric.
ViewMoments read_view_moments(const std::filesystem::path& path);

}  // namespace orrery
