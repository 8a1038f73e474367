#pragma once

#include <cstdint>
#include <string>

namespace orrery {

/// What every program can be told, and every command of mra.
struct RunOptions {
  std::string device = "auto";
  int threads = 0;
  std::uint64_t seed = 1;
  bool overwrite = false;
  bool quiet = false;
};

}  // namespace orrery
