#pragma once

#include <optional>
#include <string>

#include "apps/console.hpp"
#include "apps/interruption.hpp"
#include "apps/output_folder.hpp"
#include "apps/reconstruct/half_maps.hpp"
#include "apps/reconstruct/problem.hpp"
#include "apps/reconstruct/reconstruction.hpp"
#include "apps/step_time.hpp"

namespace orrery {

/// Each reconstruction of a run has a checkpoint of its own.
inline constexpr const char* whole_checkpoint = "checkpoint.h5";
inline constexpr const char* half_checkpoints[] = {"checkpoint_half1.h5", "checkpoint_half2.h5"};

/// The reconstructions of a run, which the user watches and can interrupt, and go on with later.
/// All processes of a run make the same calls.
class Fit {
 public:
  Fit(const Context& ctx, const Options& options, const Problem& problem,
      const OutputFolder& folder, Console& console,
      const Processes& processes = Processes::alone());

  /// One to be run, of the problem's moments or of half of its images. Options and target have to
  /// outlive it.
  Reconstruction reconstruction(const Options& options, const TargetMoments<float>& target) const;

  /// To its end, from where the folder's checkpoint says if the run is being resumed. False: it was
  /// interrupted, and the checkpoint is written.
  bool run(Reconstruction& reconstruction, const std::string& checkpoint);

  /// Both halves, one after the other; nothing when interrupted. They are compared in the first
  /// process only.
  std::optional<HalfMaps> run_halves(const Volume& whole);

  /// Of the last that was run, without its first two.
  double seconds_per_step() const { return step_time_.seconds(); }

 private:
  void save(Reconstruction& reconstruction, const std::string& checkpoint) const;

  const Context& ctx_;
  const Options& options_;
  const Problem& problem_;
  const OutputFolder& folder_;
  Console& console_;
  Processes processes_;
  Interruption interruption_;
  StepTime step_time_;
};

}  // namespace orrery
