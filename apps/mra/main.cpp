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
  set_form(app);
  app.require_subcommand(1);
  add_simulate(app);
  add_moments(app);
  add_train(app);
  add_predict(app);
  add_reconstruct(app);
  add_reproduce(app);

  // A command does its work while the command line is parsed, in its callback.
  const std::vector<std::string> words(argv + 1, argv + argc);
  return parse(app, with_resumed_options(words, "training")).value_or(0);
}

}  // namespace
}  // namespace orrery

int main(int argc, char** argv) {
  return orrery::run_program("mra", "lower the numbers that decide the size of the work",
                             [&] { return orrery::run(argc, argv); });
}
