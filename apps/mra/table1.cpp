#include <fmt/format.h>

#include <cmath>

#include "apps/interruption.hpp"
#include "apps/mra/reproduce.hpp"
#include "apps/mra/training.hpp"
#include "io/files.hpp"
#include "io/tables.hpp"

namespace orrery {

namespace {

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
  const Stopwatch stopwatch;
  while (!training.done() && !interruption) {
    training.step();
    run.console.live(training.done(), [&] {
      const double each = stopwatch.seconds() / double(training.steps_done());
      return fmt::format("{}: step {}/{}   {} left", name, training.steps_done(), settings.steps,
                         duration_text(each * double(settings.steps - training.steps_done())));
    });
  }
  run.console.end_live();
  const double seconds = stopwatch.seconds();
  if (interruption) return {};
  training.take_losses();  // throws where they are no longer finite
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
      "in\nthe paper's (22), and by any amount. Each model saw {:.3g} new pairs; the paper has a "
      "set of {:.3g}\npairs and 30,000 epochs.\n\n"
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

}  // namespace

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

}  // namespace orrery
