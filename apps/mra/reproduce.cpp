#include "apps/mra/reproduce.hpp"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <memory>

#include "apps/interruption.hpp"
#include "apps/mra/common.hpp"
#include "apps/mra/observations.hpp"
#include "apps/mra/refinement.hpp"
#include "apps/mra/truth.hpp"
#include "apps/option_checks.hpp"
#include "io/chart.hpp"
#include "io/files.hpp"
#include "io/tables.hpp"
#include "kernels/check.hpp"
#include "moments/sample_moments.hpp"

namespace orrery {

namespace {

struct ReproduceOptions : CommandOptions {
  std::string what, model;
  // table1
  double pairs = 3e6;
  Index test_pairs = 250000;
  double sigma = 0;
  // figure4
  Index instances = 20, iterations = 3000;
  double observations = 1e6;
};

// ---- Table 1 ------------------------------------------------------------------------------------

/// What the paper gives for mixtures of so many Gaussians, test errors by (22).
struct PaperRow {
  int components;
  double density, signal;
};
constexpr PaperRow paper_table[] = {{1, 0.048, 0.052}, {2, 0.141, 0.170}, {3, 0.195, 0.206}};
constexpr double paper_pairs = 1.75e6;

struct TableRow {
  PaperRow paper;
  bool grid_centres;
  PairErrors errors;
  double seconds;
};

/// Trains one model, tests it, and leaves it in the folder.
TableRow train_row(CommandRun& run, const ReproduceOptions& options, const PaperRow& paper,
                   bool grid_centres, const Interruption& interruption) {
  TrainingSettings settings;
  settings.law.components = paper.components;
  settings.law.centres_on_grid = grid_centres;
  settings.steps = static_cast<Index>(std::ceil(options.pairs / double(settings.batch)));
  settings.schedule.initial = 4e-3;
  settings.noise = MomentNoise::of(options.sigma, options.observations);
  settings.seed = settings.model.seed = options.seed;
  Training training(run.ctx, settings);
  const std::string name =
      fmt::format("K = {}{}", paper.components, grid_centres ? ", centres on the grid" : "");
  const double began = run.seconds();
  while (!training.done() && !interruption) {
    training.step();
    run.console.live(training.done(), [&] {
      const double each = (run.seconds() - began) / double(training.steps_done());
      return fmt::format("{}: step {}/{}   {} left", name, training.steps_done(), settings.steps,
                         duration_text(each * double(settings.steps - training.steps_done())));
    });
  }
  run.console.end_live();
  const double seconds = run.seconds() - began;
  if (interruption) return {};
  const PairErrors errors = training.test(options.test_pairs, {});
  write_model(run.folder / fmt::format("k{}{}.h5", paper.components, grid_centres ? "_grid" : ""),
              training.model(),
              {.mixture = paper.components,
               .centres = grid_centres ? "grid" : "anywhere",
               .samples = std::int64_t{settings.steps} * settings.batch,
               .noise = settings.noise.second,
               .errors = errors});
  run.console.say(
      fmt::format("{}: density {:.4f} (paper {:.3f}), signal {:.4f} (paper {:.3f}); at any shift "
                  "{:.4f}, {:.4f}",
                  name, errors.density, paper.density, errors.signal, paper.signal,
                  errors.continuous_density, errors.continuous_signal));
  return {paper, grid_centres, errors, seconds};
}

std::string markdown_of(const ReproduceOptions& options, const std::vector<TableRow>& rows) {
  std::string text = fmt::format(
      "Mean relative test errors over {} new pairs, each at its best shift: by whole samples as "
      "in\n"
      "the paper's (22), and by any amount. Each model saw {:.3g} new pairs; the paper has a set "
      "of "
      "{:.3g}\npairs and 30,000 epochs.\n\n"
      "| Gaussians | centres | density | paper | signal | paper | density, any shift | signal, any "
      "shift | minutes |\n|---|---|---|---|---|---|---|---|---|\n",
      options.test_pairs, options.pairs, paper_pairs);
  for (const TableRow& row : rows)
    text +=
        fmt::format("| {} | {} | {:.4f} | {:.3f} | {:.4f} | {:.3f} | {:.4f} | {:.4f} | {:.1f} |\n",
                    row.paper.components, row.grid_centres ? "grid" : "anywhere",
                    row.errors.density, row.paper.density, row.errors.signal, row.paper.signal,
                    row.errors.continuous_density, row.errors.continuous_signal, row.seconds / 60);
  return text;
}

int table1(CommandRun& run, const ReproduceOptions& options) {
  run.begin();
  const Interruption interruption;
  std::vector<TableRow> rows;
  for (const PaperRow& paper : paper_table)
    for (const bool grid_centres : {true, false}) {
      // On the grid, (22) has no floor of its own; the paper does not say where its centres lie.
      if (grid_centres && paper.components > 1) continue;
      rows.push_back(train_row(run, options, paper, grid_centres, interruption));
      if (interruption) {
        run.console.warn("interrupted; the models that were finished are in " +
                         run.folder.path().string());
        return 130;
      }
    }

  io::Table table{
      .columns = {"components", "grid_centres", "density", "density_paper", "signal",
                  "signal_paper", "density_continuous", "signal_continuous", "training_seconds"},
      .rows = {}};
  for (const TableRow& row : rows)
    table.rows.push_back({double(row.paper.components), double(row.grid_centres),
                          row.errors.density, row.paper.density, row.errors.signal,
                          row.paper.signal, row.errors.continuous_density,
                          row.errors.continuous_signal, row.seconds});
  io::write_csv(run.folder / "table1.csv", table);
  const std::string markdown = markdown_of(options, rows);
  io::write_text(run.folder / "table1.md", markdown);
  run.finish(
      {{"experiment", "table 1"}, {"pairs", options.pairs}, {"test_pairs", options.test_pairs}});
  run.console.say(markdown + "results in " + run.folder.path().string());
  return 0;
}

// ---- Figure 4 -----------------------------------------------------------------------------------

/// Moments of noisy observations of mixtures of two Gaussians, and their truth.
ShiftMoments simulated(CommandRun& run, const ReproduceOptions& options, Index n) {
  const double sigma = options.sigma > 0 ? options.sigma : 1;
  const auto wanted = static_cast<Index>(options.observations);
  ShiftMoments all{.instances = options.instances,
                   .n = n,
                   .observations = wanted,
                   .noise_variance = sigma * sigma};
  for (Index b = 0; b < options.instances; ++b) {
    const auto number = static_cast<std::uint64_t>(b);
    const MixturePair pair = mixture_pair({.components = 2}, n, 1, options.seed, number);
    const SimulatedObservations source(run.ctx, {pair.signal.data(), n}, {pair.density.data(), n},
                                       sigma, options.seed, number);
    all.append(observe(run.ctx, source, n, wanted));
    all.signal.insert(all.signal.end(), pair.signal.begin(), pair.signal.end());
    all.density.insert(all.density.end(), pair.density.begin(), pair.density.end());
    run.console.live(b + 1 == options.instances, [&] {
      return fmt::format("observed {} of {} instances", b + 1, options.instances);
    });
  }
  run.console.end_live();
  return all;
}

/// Iterations worth a point: all at first, then fewer and fewer.
std::vector<Index> watched_iterations(Index last) {
  std::vector<Index> iterations;
  for (Index i = 0; i < last; i += std::max<Index>(1, i / 50)) iterations.push_back(i);
  iterations.push_back(last);
  return iterations;
}

/// Means over the instances at each watched iteration.
struct Trajectory {
  std::vector<double> log_moments, signal, density;
};

Trajectory follow(CommandRun& run, const ReproduceOptions& options, const std::string& from,
                  const ShiftMoments& target, const std::vector<Index>& watched,
                  const std::function<ShiftModel(const Context&, Index)>& start) {
  std::map<Index, std::size_t> position;
  for (std::size_t i = 0; i < watched.size(); ++i) position[watched[i]] = i;
  // One row an instance, so that instances need not wait for one another and sums keep their order.
  std::vector<std::vector<EstimateErrors>> seen(target.instances,
                                                std::vector<EstimateErrors>(watched.size()));
  const RefinementSettings settings{.iterations = options.iterations, .stops_at_noise = false};
  const Watch watch{watched, [&](Index instance, const RefinementPoint& point) {
                      seen[instance][position.at(point.iteration)] = point.errors;
                    }};
  const auto report = [&](Index done) {
    run.console.live(done == target.instances, [&] {
      return fmt::format("from {}: {} of {} instances", from, done, target.instances);
    });
  };
  refine(run.ctx, start, target, settings, report, watch);
  run.console.end_live();
  Trajectory mean;
  for (std::size_t i = 0; i < watched.size(); ++i) {
    double log_moments = 0, signal = 0, density = 0;
    for (const auto& instance : seen) {
      log_moments += std::log10(instance[i].first_moment + instance[i].second_moment);
      signal += instance[i].truth.signal;
      density += instance[i].truth.density;
    }
    const double count = static_cast<double>(target.instances);
    mean.log_moments.push_back(log_moments / count);
    mean.signal.push_back(signal / count);
    mean.density.push_back(density / count);
  }
  return mean;
}

/// The mean log10 of the summed relative errors of the truth's own moments: what no method should
/// go far below.
double noise_level(const ShiftMoments& target) {
  Estimates truth{Tensor<double, 2>(Context::cpu(1), target.instances, target.n),
                  Tensor<double, 2>(Context::cpu(1), target.instances, target.n)};
  std::copy(target.signal.begin(), target.signal.end(), truth.signal.data());
  std::copy(target.density.begin(), target.density.end(), truth.density.data());
  double total = 0;
  for (const EstimateErrors& e : errors_of(Context::cpu(), target, truth))
    total += std::log10(e.first_moment + e.second_moment);
  return total / static_cast<double>(target.instances);
}

int figure4(CommandRun& run, const ReproduceOptions& options) {
  if (options.model.empty())
    throw InputError(
        "--model: figure 4 starts from a trained model; give the model.h5 of mra train "
        "--components 2 "
        "--sigma 1");
  const ShiftModel model = read_model(Context::cpu(1), options.model);
  run.begin();
  const ShiftMoments target = simulated(run, options, model.n());
  const double floor = noise_level(target);
  run.console.say(
      fmt::format("{} instances; the truth's own moments are at {:.3f}", options.instances, floor));

  const auto watched = watched_iterations(options.iterations);
  auto trained = [&](const Context& ctx, Index) { return copied(ctx, model); };
  auto random = [&](const Context& ctx, Index instance) {
    ShiftModelSettings fresh = model.settings();
    fresh.seed = options.seed + static_cast<std::uint64_t>(instance);
    ShiftModel untrained(ctx, fresh);
    untrained.initialise();
    return untrained;
  };
  const Trajectory from_trained =
      follow(run, options, "the trained networks", target, watched, trained);
  const Trajectory from_random = follow(run, options, "random networks", target, watched, random);

  io::Table table{
      .columns = {"iteration", "log10_moments_trained", "signal_trained", "density_trained",
                  "log10_moments_random", "signal_random", "density_random"},
      .rows = {}};
  std::vector<double> x;
  for (std::size_t i = 0; i < watched.size(); ++i) {
    x.push_back(double(watched[i]));
    table.rows.push_back({x.back(), from_trained.log_moments[i], from_trained.signal[i],
                          from_trained.density[i], from_random.log_moments[i],
                          from_random.signal[i], from_random.density[i]});
  }
  io::write_csv(run.folder / "figure4.csv", table);
  const std::vector<double> ends = {x.front(), x.back()};
  io::write_chart(run.folder / "figure4.svg",
                  {{.title = "Sum of both moments' relative errors",
                    .x_label = "iteration",
                    .y_label = "log10",
                    .curves = {{"trained", x, from_trained.log_moments},
                               {"random", x, from_random.log_moments},
                               {"the truth's", ends, {floor, floor}}}},
                   {.title = "Relative errors at the best whole shift",
                    .x_label = "iteration",
                    .curves = {{"signal, trained", x, from_trained.signal},
                               {"signal, random", x, from_random.signal},
                               {"density, trained", x, from_trained.density},
                               {"density, random", x, from_random.density}}}});

  auto at = [&](Index iteration) {
    const auto found = std::lower_bound(watched.begin(), watched.end(), iteration);
    return found == watched.end() ? watched.size() - 1
                                  : static_cast<std::size_t>(found - watched.begin());
  };
  const std::size_t hundred = at(100), last = watched.size() - 1;
  run.finish({{"experiment", "figure 4"},
              {"instances", options.instances},
              {"observations", target.observations},
              {"sigma", std::sqrt(target.noise_variance)},
              {"log10_moments_of_truth", floor},
              {"iteration", watched[hundred]},
              {"log10_moments_trained", from_trained.log_moments[hundred]},
              {"log10_moments_random", from_random.log_moments[hundred]},
              {"signal_trained", from_trained.signal[hundred]},
              {"density_trained", from_trained.density[hundred]},
              {"last_log10_moments_trained", from_trained.log_moments[last]},
              {"last_log10_moments_random", from_random.log_moments[last]},
              {"last_signal_trained", from_trained.signal[last]},
              {"last_density_trained", from_trained.density[last]}});
  run.console.say(fmt::format(
      "after {} iterations: trained {:.3f}, random {:.3f}; after {}: {:.3f}, {:.3f}\nresults in {}",
      watched[hundred], from_trained.log_moments[hundred], from_random.log_moments[hundred],
      watched[last], from_trained.log_moments[last], from_random.log_moments[last],
      run.folder.path().string()));
  return 0;
}

int reproduce(const CLI::App& command, const ReproduceOptions& options) {
  require_finite({{"--sigma", options.sigma},
                  {"--observations", options.observations},
                  {"--pairs", options.pairs}});
  const bool table = options.what == "table1";
  CommandRun run(command, options,
                 table ? std::vector<std::string>{"table1.csv", "table1.md", "k1_grid.h5", "k1.h5",
                                                  "k2.h5", "k3.h5"}
                       : std::vector<std::string>{"figure4.csv", "figure4.svg"});
  return table ? table1(run, options) : figure4(run, options);
}

}  // namespace

void add_reproduce(CLI::App& app) {
  auto options = std::make_shared<ReproduceOptions>();
  options->output = "reproduction";
  auto& command = add_command(app, "reproduce", "the experiments of the paper",
                              [options](const CLI::App& c) { return reproduce(c, *options); });
  ReproduceOptions& o = *options;
  command.add_option("experiment", o.what, "table1 or figure4")
      ->required()
      ->check(CLI::IsMember({"table1", "figure4"}));
  command
      .add_option("--sigma", o.sigma,
                  "noise: table1 trains with up to as much, figure4 observes with it (0: 1)")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--observations", o.observations, "of each instance")
      ->check(CLI::Range(1.0, 1e12));
  command.add_option("--pairs", o.pairs, "table1: new pairs that each model sees")
      ->check(CLI::Range(1.0, 1e12));
  command.add_option("--test-pairs", o.test_pairs, "table1: new pairs for the test")
      ->check(CLI::PositiveNumber);
  command.add_option("--model", o.model, "figure4: model.h5 to start from");
  command.add_option("--instances", o.instances, "figure4: pairs")->check(CLI::Range(1, 100000));
  command.add_option("--iterations", o.iterations, "figure4: of Adam")
      ->check(CLI::Range(1, 1000000));
  add_command_options(command, o);
}

}  // namespace orrery
