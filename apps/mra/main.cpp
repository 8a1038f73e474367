#include <CLI/CLI.hpp>
#include <iostream>

#include "apps/mra/common.hpp"
#include "apps/mra/moments.hpp"
#include "apps/mra/predict.hpp"
#include "apps/mra/reconstruct.hpp"
#include "apps/mra/reproduce.hpp"
#include "apps/mra/simulate.hpp"
#include "apps/mra/train.hpp"
#include "apps/program.hpp"

namespace orrery {
namespace {

int run(int argc, char** argv) {
  CLI::App app{"Multi-reference alignment: signals and shift densities from two moments.", "mra"};
  app.get_formatter()->column_width(34);
  app.option_defaults()->always_capture_default()->multi_option_policy(
      CLI::MultiOptionPolicy::TakeLast);
  app.require_subcommand(1);
  app.set_config("--config", "", "TOML file with any of a subcommand's options");
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.set_version_flag("--version", version_text("mra"));
  add_simulate(app);
  add_moments(app);
  add_train(app);
  add_predict(app);
  add_reconstruct(app);
  add_reproduce(app);

  // A subcommand does its work while the command line is parsed, in its callback.
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& done) {
    return app.exit(done);
  } catch (const CLI::RuntimeError& ended) {
    return ended.get_exit_code();
  } catch (const CLI::ParseError& error) {
    std::cerr << "mra: " << error.what() << "; see mra --help\n";
    return 2;
  }
  return 0;
}

}  // namespace
}  // namespace orrery

int main(int argc, char** argv) {
  return orrery::run_program("mra", "lower the numbers that decide the size of the work",
                             [&] { return orrery::run(argc, argv); });
}
