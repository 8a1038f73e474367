#include "apps/reconstruct/fit.hpp"

#include <fmt/format.h>

#include "apps/reconstruct/estimated_moments.hpp"
#include "apps/reconstruct/progress.hpp"
#include "apps/stopwatch.hpp"

namespace orrery {

Fit::Fit(const Context& ctx, const Options& options, const Problem& problem,
         const OutputFolder& folder, Console& console, const Processes& processes)
    : ctx_(ctx),
      options_(options),
      problem_(problem),
      folder_(folder),
      console_(console),
      processes_(processes) {}

Reconstruction Fit::reconstruction(const Options& options,
                                   const TargetMoments<float>& target) const {
  const auto known = problem_.reference ? problem_.reference->view_weights : std::vector<double>{};
  // The moments are formed in FP32 whatever the precision of the model that should reproduce them.
  return Reconstruction(ctx_.with_precision(precision_of(options)), options, problem_.quadrature,
                        target, known, problem_.moments.n, problem_.moments.voxel_size, processes_);
}

void Fit::save(Reconstruction& reconstruction, const std::string& checkpoint) const {
  if (processes_.is_first()) folder_.write_checkpoint(reconstruction.state(), checkpoint);
}

bool Fit::run(Reconstruction& reconstruction, const std::string& checkpoint) {
  if (options_.resume && std::filesystem::exists(folder_ / checkpoint))
    reconstruction.restore(folder_.read_checkpoint(checkpoint));
  const Stopwatch whole;
  Stopwatch since_saved;
  const Index steps_before = reconstruction.steps_done();
  step_time_ = {};
  const auto take_time = [&] {
    step_time_.done(reconstruction.steps_done() - steps_before, whole.seconds());
  };
  Progress progress(console_, options_.restarts);
  const bool done = reconstruction.run([&](const ProgressLine& line) {
    take_time();
    progress.show(line);
    if (!line.finishing && since_saved.seconds() > options_.checkpoint_seconds) {
      save(reconstruction, checkpoint);
      since_saved.restart();
    }
    return !processes_.any(bool(interruption_));
  });
  console_.end_live();
  take_time();
  save(reconstruction, checkpoint);
  processes_.meet();
  if (!done)
    console_.warn("interrupted; the checkpoint is written, go on with: reconstruct -o " +
                  options_.output + " --resume");
  return done;
}

std::optional<HalfMaps> Fit::run_halves(const Volume& whole) {
  Volume maps[2];
  for (int half = 0; half < 2; ++half) {
    console_.say(fmt::format("half {} of the images", half + 1));
    const ViewMoments::Half& moments = problem_.moments.halves[half];
    const auto target = target_of(ctx_, problem_.moments, moments.first, moments.second,
                                  problem_.weights, options_.target_rank);
    const Options options = half_options(options_, half);
    auto fit = reconstruction(options, target);
    if (!run(fit, half_checkpoints[half])) return std::nullopt;
    maps[half] = fit.outcome().volume;
  }
  if (!processes_.is_first()) return HalfMaps{};
  return compare_halves(ctx_, whole, maps[0], maps[1]);
}

}  // namespace orrery
