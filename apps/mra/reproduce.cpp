#include "apps/mra/reproduce.hpp"

#include <memory>

namespace orrery {

namespace {

int reproduce(const CLI::App& command, const ReproduceOptions& options) {
  const bool table = options.experiment == "table1";
  if (table)
    refuse_idle(command, {"--model", "--instances", "--iterations"}, "on table1");
  else
    refuse_idle(command, {"--pairs", "--test-pairs"}, "on figure4");
  if (table && options.sigma == 0)
    refuse_idle(command, {"--observations"}, "without --noise-sigma");
  const std::vector<std::string> of_table = {"table1.csv", "table1.md", "k1_grid.h5",
                                             "k1.h5",      "k2.h5",     "k3.h5"};
  const std::vector<std::string> of_figure = {"figure4.csv", "figure4.svg"};
  CommandRun run(command, options, table ? of_table : of_figure);
  return table ? table1(run, options) : figure4(run, options);
}

}  // namespace

void add_reproduce(CLI::App& app) {
  auto options = std::make_shared<ReproduceOptions>();
  options->output = "reproduction";
  auto& command = add_command(app, "reproduce", "the experiments of the paper",
                              [options](const CLI::App& c) { return reproduce(c, *options); });
  ReproduceOptions& o = *options;
  command.add_option("experiment", o.experiment, "table1 or figure4")
      ->required()
      ->check(one_of({"table1", "figure4"}));
  command
      .add_option("--noise-sigma", o.sigma,
                  "noise: table1 trains with up to as much, figure4 observes with it (0: 1)")
      ->check(not_negative());
  command.add_option("--observations", o.observations, "of each instance")->check(between(1, 1e12));
  command.option_defaults()->group("table1");
  command.add_option("--pairs", o.pairs, "new pairs that each model sees")->check(between(1, 1e12));
  command.add_option("--test-pairs", o.test_pairs, "new pairs for the test")->check(positive());
  command.option_defaults()->group("figure4");
  command.add_option("--model", o.model, "model.h5 to start from");
  command.add_option("--instances", o.instances, "pairs")->check(between(1, 100000));
  command.add_option("--iterations", o.iterations, "of Adam")->check(between(1, 1000000));
  add_command_options(command, o);
}

}  // namespace orrery
