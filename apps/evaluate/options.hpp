#pragma once

#include <optional>
#include <string>

namespace orrery {

struct EvaluateOptions {
  std::string reference, map;  // A and B
  bool align = true;
  double mask_radius = 0;   // angstrom; 0 keeps everything
  double voxel_size = 0;    // angstrom; 0 takes the headers'
  int box = 0;              // voxels; 0 takes A's, where that is not too large to align
  std::string output = {};  // folder; empty writes nothing
  bool overwrite = false;
  bool json = false;
  std::string device = "auto";
  int threads = 0;
};

/// Fills `options`; the exit code when there is nothing more to do (--help, --version, a mistake).
std::optional<int> parse_options(int argc, char** argv, EvaluateOptions& options);

}  // namespace orrery
