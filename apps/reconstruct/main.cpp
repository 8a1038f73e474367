#include <fmt/format.h>

#include <chrono>

#include "apps/console.hpp"
#include "apps/interruption.hpp"
#include "apps/output_folder.hpp"
#include "apps/program.hpp"
#include "apps/reconstruct/memory.hpp"
#include "apps/reconstruct/options.hpp"
#include "apps/reconstruct/problem.hpp"
#include "apps/reconstruct/progress.hpp"
#include "apps/reconstruct/reconstruction.hpp"
#include "apps/reconstruct/results.hpp"
#include "io/mrc.hpp"

namespace orrery {
namespace {

void describe(Console& console, const Options& options, const Problem& problem,
              const Reconstruction& reconstruction) {
  console.say(fmt::format("{}: {} voxels an edge of {:.4g} A; {} views, {} slices to evaluate",
                          options.volume.empty() ? "phantom" : options.volume, problem.truth.n,
                          problem.truth.voxel_size, problem.quadrature.view_count(),
                          problem.quadrature.distinct.size()));
  if (options.target == "neural")
    console.say(fmt::format("the fitted network, the truth from here on, is {:.4f} from the map",
                            problem.neural_truth_error));
  if (options.views.empty())
    console.say(fmt::format("second moment on these views against a finer rule: {:.2e}",
                            problem.quadrature_error));
  console.say(fmt::format("{} parameters, {} network evaluations a step",
                          reconstruction.parameter_count(), reconstruction.decoder_points()));
}

OutputChoice output_choice(const Options& options) {
  return {.path = options.output,
          .overwrite = options.overwrite,
          .resume = options.resume,
          .results = {"summary.json", "checkpoint.h5", "volume.mrc", "volume_mirror.mrc",
                      "truth.mrc", "fsc.star", "fsc.csv", "views.csv", "moments.h5", "loss.csv",
                      "log.txt", "picture.png"}};
}

void say_memory(Console& console, const Context& ctx, const MemoryNeed& need) {
  for (const auto& part : need.parts)
    console.say(fmt::format("{:>10.3f} GB  {}", double(part.bytes) / 1e9, part.name));
  console.say(
      fmt::format("{:>10.3f} GB  in all, on {}", double(need.total()) / 1e9, ctx.description()));
}

int run(int argc, char** argv) {
  Options options;
  std::string config;
  if (const auto code = parse_options(argc, argv, options, config)) return *code;

  const Context ctx = Context::named(options.device, options.threads);
  Console console("reconstruct", options.quiet);
  const auto began = std::chrono::steady_clock::now();

  std::vector<std::string> notes;
  Volume truth = read_truth(ctx, options, notes);
  settle(options, truth.n);
  if (options.dry_run) {
    say_memory(console, ctx, memory_need(options, truth.n));
    return 0;
  }
  require_memory(ctx, options, truth.n);
  const OutputFolder folder(output_choice(options), config);

  // From the map to the moments that are all the reconstruction sees.
  const Problem problem = make_problem(ctx, options, std::move(truth));
  folder.begin();
  console.log_to(folder / "log.txt", options.resume);
  for (const auto& note : notes) console.warn(options.volume + ": " + note);
  console.say("Orrery on " + ctx.description());
  if (ctx.backend() == Backend::cpu && options.precision != Options{}.precision)
    console.warn("--precision " + options.precision +
                 " has no effect on the CPU, which multiplies in FP32");
  // The moments are formed in FP32 whatever the precision of the model that should reproduce them.
  Reconstruction reconstruction(ctx.with_precision(precision_of(options)), options,
                                problem.quadrature, problem.target, problem.view_weights,
                                problem.truth.n, problem.truth.voxel_size);
  describe(console, options, problem, reconstruction);
  io::write_map(folder / "truth.mrc", problem.truth, {"ground truth, exactly as used"});
  write_moments(ctx, folder / "moments.h5", problem);
  if (options.resume) reconstruction.restore(folder.read_checkpoint());

  // The loop.
  const Interruption interruption;
  const auto loop_began = std::chrono::steady_clock::now();
  const Index steps_before = reconstruction.steps_done();
  auto saved = loop_began;
  Progress progress(console, options.restarts);
  const bool done = reconstruction.run([&](const ProgressLine& line) {
    progress.show(line);
    const auto now = std::chrono::steady_clock::now();
    if (!line.finishing && now - saved > std::chrono::seconds(options.checkpoint_seconds)) {
      folder.write_checkpoint(reconstruction.state());
      saved = now;
    }
    return !interruption;
  });
  console.end_live();
  folder.write_checkpoint(reconstruction.state());
  if (!done) {
    console.warn("interrupted; the checkpoint is written, go on with: reconstruct -o " +
                 options.output + " --resume");
    return 130;
  }

  // What came of it, beside the truth.
  const auto ended = std::chrono::steady_clock::now();
  RunFacts facts;
  facts.steps = reconstruction.steps_done();
  facts.seconds_per_step = std::chrono::duration<double>(ended - loop_began).count() /
                           double(std::max<Index>(1, facts.steps - steps_before));
  facts.decoder_points = reconstruction.decoder_points();
  facts.parameter_count = reconstruction.parameter_count();
  facts.device = ctx.description();
  const auto outcome = reconstruction.outcome();
  const Score score = score_against(ctx, problem.truth, outcome.volume);
  facts.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  write_results(ctx, folder.path(), options, problem, outcome, score, reconstruction.history(),
                facts);
  console.say(fmt::format(
      "first moment {:.5f}, second moment {:.5f}; volume error {:.3f}, resolution {:.2f} A "
      "(FSC 0.5), {} hand; {:.1f} s\nresults in {}",
      outcome.errors.first, outcome.errors.second, score.relative_error, score.resolution.angstrom,
      score.alignment.mirror ? "other" : "same", facts.seconds, folder.path().string()));
  return 0;
}

}  // namespace
}  // namespace orrery

int main(int argc, char** argv) {
  return orrery::run_program("reconstruct", "lower --box or --directions",
                             [&] { return orrery::run(argc, argv); });
}
