#include "apps/moments/run.hpp"
#include "apps/program.hpp"

namespace orrery {
namespace {

int run(int argc, char** argv, Processes& processes) {
  MomentsOptions options;
  if (const auto code = parse_options({argv + 1, argv + argc}, options)) return *code;
  const Context ctx = processes.place(options.device, options.threads);
  Console console("moments", options.quiet, processes);
  return estimate_moments(ctx, options, console, processes);
}

}  // namespace
}  // namespace orrery

int main(int argc, char** argv) {
  using orrery::Processes;
  return orrery::run_processes(
      "moments", "lower --box", Processes::launched,
      [&](Processes& processes) { return orrery::run(argc, argv, processes); });
}
