#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/run_options.hpp"

namespace orrery {

/// Everything that decides what is simulated.
struct SimulateOptions : RunOptions {
  // What is seen.
  std::string volume;     // MRC map
  std::string model;      // PDB or mmCIF file; neither: the built-in phantom
  double resolution = 0;  // angstrom, of a model's density; 0: 8
  // Angstrom; 0: the map's, a third of a model's resolution, the phantom's 1.
  double voxel_size = 0;
  int box = 0;  // voxels an edge; 0: the map's, what the model needs, the phantom's 25

  // From where, and how well.
  std::int64_t images = 0;
  std::int64_t images_before = 0;  // that are there already, of a data set that these join
  std::string views;               // table of views to draw from; empty: a random mixture
  int view_mixture = 8;
  double in_plane = 0;        // concentration of the in-plane angle; 0: uniform
  double shift_sigma = 0;     // pixels
  double contrast_sigma = 0;  // relative

  // Noise.
  double snr = 0;           // mean power of an image's pixels over the noise's; 0: by noise_sigma
  double noise_sigma = -1;  // a pixel; -1: by snr, or 0.5
  std::string noise = "white";

  // Contrast transfer.
  bool ctf = false;
  double voltage = 300;               // kV
  double spherical_aberration = 2.7;  // mm
  double amplitude_contrast = 0.1;
  double defocus_min = 10000, defocus_max = 20000;  // angstrom
  double astigmatism = 300;                         // angstrom, standard deviation of U - V
  double phase_shift = 0;                           // degrees
  std::int64_t micrographs = 0;                     // 0: one for a hundred images

  // Where it goes, and how it is formed.
  std::string output;
  bool moments_only = false;
  std::int64_t images_per_stack = 10000;
  bool append = false;
  std::string precision = "3xtf32";  // of the moments' products
  std::string config_text;           // all of the above as TOML
};

/// Fills `options`; the exit code when there is nothing more to do (--help, --version). Throws
/// InputError for options that there are not, that contradict one another, or that have no effect.
std::optional<int> parse_options(std::vector<std::string> words, SimulateOptions& options);

}  // namespace orrery
