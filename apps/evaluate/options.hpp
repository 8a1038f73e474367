#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/run_options.hpp"

namespace orrery {

struct EvaluateOptions : RunOptions {
  std::string reference, map;  // A and B
  bool align = true;
  double mask_radius = 0;   // angstrom; 0 keeps everything
  double voxel_size = 0;    // angstrom; 0 takes the headers'
  int box = 0;              // voxels; 0 takes A's, where that is not too large to align
  std::string output = {};  // folder; empty writes nothing
  bool json = false;
};

/// Fills `options`; the exit code when there is nothing more to do (--help, --version). Throws
/// InputError for options that there are not, or that have no effect.
std::optional<int> parse_options(std::vector<std::string> words, EvaluateOptions& options);

}  // namespace orrery
