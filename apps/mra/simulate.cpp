#include "apps/mra/simulate.hpp"

#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <numeric>

#include "apps/mra/common.hpp"
#include "apps/mra/estimates.hpp"
#include "apps/mra/moments_file.hpp"
#include "apps/mra/observations.hpp"
#include "apps/mra/truth.hpp"
#include "io/hdf5_blocks.hpp"
#include "kernels/check.hpp"
#include "moments/sample_moments.hpp"
#include "moments/shift_moments.hpp"

namespace orrery {

namespace {

struct SimulateOptions : CommandOptions {
  TruthOptions truth;
  double observations = 100000;
  double sigma = 1;
  bool exact = false;
  bool keep_observations = false;
};

void check_together(const CLI::App& command, const SimulateOptions& o) {
  if (o.observations != std::floor(o.observations))
    throw InputError(fmt::format("--observations {}: must be a whole number", o.observations));
  if (o.exact)
    refuse_idle(command, {"--observations", "--noise-sigma", "--keep-observations"},
                "beside --exact");
  if (!o.truth.signals.empty() && !o.truth.densities.empty())
    refuse_idle(command, {"--components", "--centres"}, "beside --signals and --densities");
}

/// The truth's exact moments, by instance.
void form_exact_moments(const Context& ctx, ShiftMoments& m) {
  const auto signal = upload_as<double>(ctx, m.signal), density = upload_as<double>(ctx, m.density);
  Tensor<double, 2> first(ctx, m.instances, m.n);
  Tensor<double, 3> second(ctx, m.instances, m.n, m.n);
  shift_moments_forward<double>(ctx, signal.view().reshaped(m.instances, m.n),
                                density.view().reshaped(m.instances, m.n), first, second);
  const auto first_host = download(ctx, first);
  const auto second_host = download(ctx, second);
  m.first.assign(first_host.view().begin(), first_host.view().end());
  m.second.assign(second_host.view().begin(), second_host.view().end());
}

/// What is handed each block of observations, on the host; may be empty.
using Keep = std::function<void(View<const double, 2>)>;

/// Mean over the instances of ||a - b|| / ||b||.
double mean_relative_error(const std::vector<double>& a, const std::vector<double>& b,
                           Index instances) {
  const Index size = std::ssize(b) / instances;
  double total = 0;
  for (Index i = 0; i < instances; ++i)
    total += relative_distance(a.data() + i * size, b.data() + i * size, size);
  return total / static_cast<double>(instances);
}

double mean_power(const ShiftMoments& m) {
  return std::inner_product(m.signal.begin(), m.signal.end(), m.signal.begin(), 0.0) /
         static_cast<double>(m.signal.size());
}

/// Observes every instance, with progress, and appends its moments to m's.
void observe_all(CommandRun& run, const SimulateOptions& o, ShiftMoments& m, const Keep& keep) {
  const Stopwatch stopwatch;
  const View<const double, 2> signals(m.signal.data(), m.instances, m.n);
  const View<const double, 2> densities(m.density.data(), m.instances, m.n);
  for (Index i = 0; i < m.instances; ++i) {
    const SimulatedObservations source(run.ctx, signals[i], densities[i], o.sigma, o.seed,
                                       static_cast<std::uint64_t>(i));
    const auto see = [&](View<const double, 2> block, Index done) {
      if (keep && run.ctx.backend() == Backend::cpu) keep(block);
      if (keep && run.ctx.backend() == Backend::cuda) keep(download(run.ctx, block).view());
      const double work = double(i) * o.observations + double(done);
      const double all = double(m.instances) * o.observations;
      run.console.live(work >= all, [&] {
        const double spent = stopwatch.seconds();
        return fmt::format("instance {}/{}, {} observations   {:.3g} a second   {} left", i + 1,
                           m.instances, done, work / spent,
                           duration_text(spent * (all / work - 1)));
      });
    };
    m.append(observe(run.ctx, source, m.n, static_cast<Index>(o.observations), see));
  }
  run.console.end_live();
}

/// The moments of simulated observations, which are written down where that is asked for.
ShiftMoments observed_moments(CommandRun& run, const SimulateOptions& o,
                              const ShiftMoments& exact) {
  ShiftMoments m = exact;
  m.first.clear();
  m.second.clear();
  m.observations = static_cast<std::int64_t>(o.observations);
  m.noise_variance = o.sigma * o.sigma;
  if (!o.keep_observations) {
    observe_all(run, o, m, {});
    return m;
  }
  const auto extents = {static_cast<std::uint64_t>(m.instances),
                        static_cast<std::uint64_t>(m.observations),
                        static_cast<std::uint64_t>(m.n)};
  io::write_hdf5_blocks(run.folder / "observations.h5", "observations", extents,
                        [&](const io::AppendNumbers& append) {
                          std::vector<float> block;
                          observe_all(run, o, m, [&](View<const double, 2> rows) {
                            block.assign(rows.begin(), rows.end());
                            append(block);
                          });
                        });
  return m;
}

int simulate(const CLI::App& command, const SimulateOptions& o) {
  check_together(command, o);
  CommandRun run(command, o, {"moments.h5", "observations.h5"});
  const Truth truth = read_or_draw_truth(o.truth, o.seed);
  run.begin();
  ShiftMoments exact{.instances = truth.instances,
                     .n = truth.n,
                     .signal = truth.signal,
                     .density = truth.density,
                     .notes = {{"seed", static_cast<std::int64_t>(o.seed)},
                               {"settings", run.folder.deciding_options()}}};
  form_exact_moments(run.ctx, exact);
  const auto sizes = counted(exact.instances, "instance") + " of " + counted(exact.n, "sample");

  nlohmann::ordered_json summary;
  summary["instances"] = exact.instances;
  summary["n"] = exact.n;
  if (o.exact) {
    run.console.say("exact moments of " + sizes);
    write_shift_moments(run.folder / "moments.h5", exact);
    summary["observations"] = 0;
  } else {
    const double snr = mean_power(exact) / (o.sigma * o.sigma);
    run.console.say(fmt::format("{}, {} observations each, sigma {} (signal to noise {:.4g})",
                                sizes, o.observations, o.sigma, snr));
    const Stopwatch stopwatch;
    const ShiftMoments observed = observed_moments(run, o, exact);
    const double seconds = stopwatch.seconds();
    write_shift_moments(run.folder / "moments.h5", observed);
    const double first = mean_relative_error(observed.first, exact.first, exact.instances);
    const double second = mean_relative_error(observed.second, exact.second, exact.instances);
    run.console.say(
        fmt::format("mean relative errors: first moment {:.5f}, second moment {:.5f}; {:.1f} s",
                    first, second, seconds));
    summary["observations"] = observed.observations;
    summary["sigma"] = o.sigma;
    if (o.sigma > 0) summary["signal_to_noise"] = snr;
    summary["first_moment_error"] = first;
    summary["second_moment_error"] = second;
    summary["observations_a_second"] = double(exact.instances) * o.observations / seconds;
  }
  run.console.say("results in " + run.folder.path().string());
  run.finish(summary);
  return 0;
}

}  // namespace

void add_simulate(CLI::App& app) {
  const auto options = std::make_shared<SimulateOptions>();
  auto& o = *options;
  o.output = "simulation";
  auto& command = add_command(app, "simulate", "moments of simulated observations, and their truth",
                              [options](const CLI::App& c) { return simulate(c, *options); });
  command.option_defaults()->group("Truth");
  command
      .add_option("--components", o.truth.components, "K: Gaussians in a signal and in a density")
      ->check(between(1, Mixture::most_components));
  command.add_option("--centres", o.truth.centres, "of the Gaussians: anywhere, or on the grid")
      ->check(one_of({"anywhere", "grid"}));
  command.add_option("--length", o.truth.length, "samples of a signal; 0: 41, or as in the files")
      ->check(between(0, 8192));
  command.add_option("--instances", o.truth.instances, "pairs; 0: 1, or as in the files")
      ->check(between(0, 1e6));
  command.add_option("--norm", o.truth.norm, "of every signal; 0: 1, or as in the file")
      ->check(not_negative());
  command.add_option("--signals", o.truth.signals,
                     "CSV, NPY or HDF5, a signal a row, in place of mixtures");
  command.add_option("--densities", o.truth.densities, "the same for shift densities");
  command.option_defaults()->group("Observations");
  command.add_option("--observations", o.observations, "of each instance")->check(between(1, 1e13));
  command.add_option("--noise-sigma", o.sigma, "standard deviation of the noise in a sample")
      ->check(not_negative());
  command.add_flag("--exact", o.exact, "the moments of infinitely many observations");
  command.add_flag("--keep-observations", o.keep_observations, "write them to observations.h5");
  add_command_options(command, o);
}

}  // namespace orrery
