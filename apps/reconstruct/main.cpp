#include <fmt/format.h>

#include <numbers>

#include "apps/console.hpp"
#include "apps/memory.hpp"
#include "apps/output_folder.hpp"
#include "apps/program.hpp"
#include "apps/reconstruct/fit.hpp"
#include "apps/reconstruct/memory.hpp"
#include "apps/reconstruct/options.hpp"
#include "apps/reconstruct/particles.hpp"
#include "apps/reconstruct/problem.hpp"
#include "apps/reconstruct/reconstruction.hpp"
#include "apps/reconstruct/results.hpp"
#include "apps/stopwatch.hpp"
#include "io/mrc.hpp"
#include "kernels/check.hpp"

namespace orrery {
namespace {

/// Where the moments come from.
std::string source_of(const Options& options, const Problem& problem) {
  if (options.moments.empty()) return options.volume.empty() ? "phantom" : options.volume;
  if (problem.moments.observations == 0) return options.moments + ", exact moments";
  return fmt::format("{}, moments of {} images", options.moments, problem.moments.observations);
}

void describe(Console& console, const Options& options, const Problem& problem,
              const Reconstruction& reconstruction) {
  const ViewMoments& moments = problem.moments;
  console.say(fmt::format("{}: {} voxels an edge of {:.4g} A; {} views, {} slices to evaluate",
                          source_of(options, problem), moments.n, moments.voxel_size,
                          problem.quadrature.view_count(), problem.quadrature.distinct.size()));
  if (moments.shift_deviation > 0)
    console.say(
        fmt::format("the images have unknown shifts of {:.3g} voxels, which the model takes into "
                    "account",
                    moments.shift_deviation));
  if (options.target == "neural")
    console.say(fmt::format("the fitted network, the truth from here on, is {:.4f} from the map",
                            problem.reference->neural_truth_error));
  if (options.target_rank > 0) {
    const double remainder = relative_remainder(problem.target);
    console.say(fmt::format(
        "the second moment stands there by {} eigenvectors, without {:.2e} of its norm: errors of "
        "it are within {:.2e} of those against the whole",
        options.target_rank, remainder, std::numbers::sqrt2 * remainder));
  }
  if (problem.quadrature_error)
    console.say(fmt::format("second moment on these views against a finer rule: {:.2e}",
                            *problem.quadrature_error));
  console.say(fmt::format("{} parameters, {} network evaluations a step",
                          reconstruction.parameter_count(), reconstruction.decoder_points()));
}

OutputChoice output_choice(const Options& options) {
  OutputChoice choice{
      .path = options.output,
      .overwrite = options.overwrite,
      .resume = options.resume,
      .results = {"summary.json", whole_checkpoint, "volume.mrc", "volume_mirror.mrc", "truth.mrc",
                  "fsc.star", "fsc.csv", "views.csv", "loss.csv", "log.txt", "picture.png",
                  "half1.mrc", "half2.mrc", "half_fsc.star", "half_fsc.csv"}};
  for (const char* checkpoint : half_checkpoints) choice.results.push_back(checkpoint);
  // Moments that are given, or of images, lie there before the run begins; under --target-rank a
  // map's second moment is no matrix that could be written.
  if (!options.from_images() && options.target_rank == 0)
    choice.results.insert(choice.results.end(), {"moments.h5.json", "moments.h5"});
  return choice;
}

void say_memory(Console& console, const Context& ctx, const Options& options, int n,
                int processes) {
  const MemoryNeed need = memory_need(options, n, ctx.backend(), processes);
  for (const auto& part : need.parts)
    if (part.bytes > 0)
      console.say(fmt::format("{:>10}  {}", bytes_text(double(part.bytes)), part.name));
  console.say(fmt::format("{:>10}  in all{}, on {}", bytes_text(double(need.total())),
                          processes > 1 ? ", in each process" : "", ctx.description()));
  Options by_eigenvectors = options;
  by_eigenvectors.target_rank = processes > 1 ? 0 : rank_to_try(options, n).value_or(0);
  for (const std::int64_t gigabytes : {12, 24, 80}) {
    const std::int64_t bytes = gigabytes * 1'000'000'000;
    const int largest = largest_box(options, bytes, processes);
    std::string line =
        fmt::format("a card of {:>2} GB holds up to {} voxels an edge", gigabytes, largest);
    if (const int then = largest_box(by_eigenvectors, bytes, processes); then > largest)
      line += fmt::format(", {} with --target-rank {}", then, by_eigenvectors.target_rank);
    console.say(line);
  }
}

/// What the reconstruction found, beside what is known of the truth and of the noise. All processes
/// have a part in it, and the first has all of it.
Findings findings_of(const Context& ctx, const Options& options, const Problem& problem,
                     const Processes& processes, Reconstruction& reconstruction) {
  Findings found;
  found.outcome = reconstruction.outcome();
  // Errors are those of the moments as they are, wherever they were observed.
  if (problem.exact) {
    found.outcome.errors = reconstruction.errors_against(*problem.exact);
  } else if (!problem.weights.empty()) {
    const auto& m = problem.moments;
    found.outcome.errors = reconstruction.errors_against(
        target_of(ctx, m, m.first, m.second, observed_weights(m), options.target_rank));
  }
  if (!processes.is_first()) return found;
  found.noise = noise_level(problem.moments);
  if (problem.reference) found.score = score_against(ctx, *problem.reference, found.outcome.volume);
  found.collapse =
      collapse_figures(found.outcome.volume, problem.quadrature, found.outcome.view_weights);
  found.history = reconstruction.history();
  found.facts = {.steps = reconstruction.steps_done(),
                 .decoder_points = reconstruction.decoder_points(),
                 .parameter_count = reconstruction.parameter_count(),
                 .device = ctx.description()};
  return found;
}

int run(int argc, char** argv, Processes& processes) {
  constexpr int interrupted = 130;
  Options options;
  if (const auto code = parse_options({argv + 1, argv + argc}, options)) return *code;
  if (options.target_rank > 0 && processes.are_several())
    throw InputError(
        "--target-rank: several processes form the second moment as a matrix; leave it out, or "
        "start one");

  const Context ctx = processes.place(options.device, options.threads);
  Console console("reconstruct", options.quiet, processes);
  const Stopwatch whole;

  std::vector<std::string> notes;
  if (options.dry_run) {
    const int n =
        options.particles.empty() ? read_input(ctx, options, notes).n() : box_of_particles(options);
    settle(options, n);
    say_memory(console, ctx, options, n, processes.count());
    return 0;
  }
  OutputChoice output = output_choice(options);
  if (!options.particles.empty())
    if (const int code = form_particle_moments(ctx, options, output, console, processes))
      return code;
  Input input = read_input(ctx, options, notes);
  settle(options, input.n());
  require_memory(ctx, options, input.n(), processes.count());
  const OutputFolder folder(output, options.config_text, processes);

  // To the moments that are all the reconstruction sees.
  const Problem problem = make_problem(ctx, options, std::move(input));
  folder.begin();
  console.log_to(folder / "log.txt", options.resume);
  for (const auto& note : notes) console.warn(note);
  console.say("Orrery on " + ctx.description() + in_each_of(processes));
  if (problem.reference && processes.is_first())
    io::write_map(folder / "truth.mrc", problem.reference->volume,
                  {"ground truth, exactly as used"});
  if (options.moments.empty() && options.target_rank == 0 && processes.is_first())
    write_view_moments(folder / "moments.h5", problem.moments);

  Fit fit(ctx, options, problem, folder, console, processes);
  auto reconstruction = fit.reconstruction(options, problem.target);
  describe(console, options, problem, reconstruction);
  if (!fit.run(reconstruction, whole_checkpoint)) return interrupted;
  Findings found = findings_of(ctx, options, problem, processes, reconstruction);
  found.facts.seconds_per_step = fit.seconds_per_step();
  if (options.half_maps) {
    found.halves = fit.run_halves(found.volume());
    if (!found.halves) return interrupted;
  }
  if (!processes.is_first()) return 0;

  found.facts.processes = processes.count();
  found.facts.seconds = whole.seconds();
  write_results(ctx, folder.path(), options, problem, found);
  console.say(fmt::format("{}; {:.1f} s\nresults in {}", in_words(found), found.facts.seconds,
                          folder.path().string()));
  for (const auto& warning : collapse_warnings(found.collapse)) console.warn(warning);
  return 0;
}

}  // namespace
}  // namespace orrery

int main(int argc, char** argv) {
  using orrery::Processes;
  return orrery::run_processes(
      "reconstruct", "lower --box or --directions", Processes::launched,
      [&](Processes& processes) { return orrery::run(argc, argv, processes); });
}
