#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "apps/run_options.hpp"

namespace orrery {

/// What `moments` can be told.
struct MomentsOptions : RunOptions {
  std::string particles;              // STAR, .cs or a stack
  std::string output = "moments.h5";  // its summary and the checkpoint lie beside it
  std::string data_folder;
  std::optional<double> pixel_size;  // angstrom
  int box = 0;                       // coefficients an edge; 0: see working_box

  std::optional<bool> ctf;            // none: where the file has one
  std::string shifts = "use";         // or ignore
  std::string invert = "auto";        // auto, yes or no
  std::optional<bool> normalise;      // none: unless the noise variance is given
  std::optional<bool> whiten;         // the same
  std::optional<double> noise_sigma;  // of a pixel as stored
  double diameter = 0;                // angstrom, of the particle; 0: the images' edge
  double shift_sigma = 0;             // pixels, of what is left unknown of the shifts
  bool halves = true;
  bool skip_bad = false;

  int batch = 0;  // images summed in one go; 0: by the box
  std::string precision = "3xtf32";
  double checkpoint_seconds = 300;
  bool resume = false;
  std::string deciding_options;  // those of the above that decide the numbers, as TOML

  /// A given noise speaks of the images as they are.
  bool normalises() const { return normalise.value_or(!noise_sigma); }
  bool whitens() const { return whiten.value_or(!noise_sigma); }

  /// moments.checkpoint, or that of another process: moments.checkpoint.1
  std::filesystem::path checkpoint_file(int rank = 0) const;
};

/// Fills `options`; the exit code when there is nothing more to do (--help, --version). Throws
/// InputError for options that there are not, or that contradict one another.
std::optional<int> parse_options(std::vector<std::string> words, MomentsOptions& options);

/// The box as asked for, or the images' size, but no more than 63. Throws InputError naming --box
/// where the images are smaller.
int working_box(const MomentsOptions& options, std::int64_t image_size);

}  // namespace orrery
