#include "apps/mra/simulate.hpp"

#include <memory>

#include "apps/mra/common.hpp"

namespace orrery {

namespace {

struct SimulateOptions : CommandOptions {};

int simulate(const CLI::App& command, const SimulateOptions& options) {
  CommandRun run(command, options, {"moments.h5"});
  run.begin();
  run.finish({});
  return 0;
}

}  // namespace

void add_simulate(CLI::App& app) {
  auto options = std::make_shared<SimulateOptions>();
  options->output = "simulation";
  auto& command = add_command(app, "simulate", "moments of simulated observations",
                              [options](const CLI::App& c) { return simulate(c, *options); });
  add_command_options(command, *options);
}

}  // namespace orrery
