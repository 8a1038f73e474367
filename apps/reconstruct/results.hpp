#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "apps/reconstruct/problem.hpp"
#include "apps/reconstruct/reconstruction.hpp"
#include "geometry/alignment.hpp"

namespace orrery {

/// How well a volume matches the truth once aligned to it.
struct Score {
  Alignment alignment;
  Volume aligned;  // the better hand, in the truth's frame
  std::vector<double> fsc;
  Resolution resolution;      // FSC 0.5
  double relative_error = 0;  // the paper's (29), over both hands
};
Score score_against(const Context& ctx, const Volume& truth, const Volume& volume);

/// The numbers of a run that are not in the outcome itself.
struct RunFacts {
  double seconds = 0;
  double seconds_per_step = 0;
  Index steps = 0;
  Index decoder_points = 0;
  Index parameter_count = 0;
  std::string device;
};

/// Writes every result into the folder, each file atomically, summary.json last: where it stands,
/// the run is complete.
void write_results(const Context& ctx, const std::filesystem::path& folder, const Options& options,
                   const Problem& problem, const Reconstruction::Outcome& outcome,
                   const Score& score, const std::vector<ProgressLine>& history,
                   const RunFacts& facts);

/// The target as moments.h5.
void write_moments(const Context& ctx, const std::filesystem::path& path, const Problem& problem);

}  // namespace orrery
