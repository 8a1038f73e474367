#pragma once

#include <string>
#include <vector>

#include "apps/mra/mixtures.hpp"

namespace orrery {

struct MixturePair {
  std::vector<double> signal;   // (n), of the norm asked for
  std::vector<double> density;  // (n), sums to 1
};
/// Pair number `index` that `mra simulate` draws with that seed: two mixtures of one law at the
/// points 0, 1/n, .., (n-1)/n, independent of one another and of those that networks are trained
/// and tested on.
MixturePair mixture_pair(const MixtureLaw& law, Index n, double norm, std::uint64_t seed,
                         std::uint64_t index);

/// Which signals and densities are to be observed.
struct TruthOptions {
  int components = 2;
  std::string centres = "anywhere";  // or "grid"
  Index length = 0;                  // 0: 41, or as in the files
  Index instances = 0;               // 0: 1, or as in the files
  double norm = 0;                   // 0: 1, or as in the file
  std::string signals, densities;    // files; empty: mixtures
};

struct Truth {
  Index instances = 0, n = 0;
  std::vector<double> signal, density;  // (instances, n)
};
/// Throws InputError naming the file or option where they can't be used together.
Truth read_or_draw_truth(const TruthOptions& options, std::uint64_t seed);

}  // namespace orrery
