#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "apps/reconstruct/collapse.hpp"
#include "apps/reconstruct/estimated_moments.hpp"
#include "apps/reconstruct/half_maps.hpp"
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
  double scale = 1;           // the factor on the volume with which it is; 1 where scales are known
};
Score score_against(const Context& ctx, const Reference& reference, const Volume& volume);

/// The numbers of a run that are not in the outcome itself.
struct RunFacts {
  double seconds = 0;
  double seconds_per_step = 0;
  Index steps = 0;
  Index decoder_points = 0;
  Index parameter_count = 0;
  std::string device;
  int processes = 1;
};

/// What came of a run.
struct Findings {
  Reconstruction::Outcome outcome;
  std::optional<Score> score;       // where the truth is known
  std::optional<NoiseLevel> noise;  // where the moments are estimates
  std::optional<HalfMaps> halves;   // where they were asked for
  CollapseFigures collapse;
  std::vector<ProgressLine> history;
  RunFacts facts;

  /// The volume as it is written: in the truth's frame, or as it was found.
  const Volume& volume() const { return score ? score->aligned : outcome.volume; }
  Alignment alignment() const { return score ? score->alignment : Alignment{}; }
};

/// Writes every result into the folder, each file atomically, summary.json last: where it stands,
/// the run is complete.
void write_results(const Context& ctx, const std::filesystem::path& folder, const Options& options,
                   const Problem& problem, const Findings& findings);

/// The findings in a sentence or two.
std::string in_words(const Findings& findings);

}  // namespace orrery
