#include "apps/moments/run.hpp"
#include "apps/program.hpp"

namespace orrery {
namespace {

int run(int argc, char** argv) {
  MomentsOptions options;
  if (const auto code = parse_options(argc, argv, options)) return *code;
  const Context ctx = Context::named(options.device, options.threads);
  Console console("moments", options.quiet);
  return estimate_moments(ctx, options, console);
}

}  // namespace
}  // namespace orrery

int main(int argc, char** argv) {
  return orrery::run_program("moments", "lower --box", [&] { return orrery::run(argc, argv); });
}
