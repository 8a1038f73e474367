#include "apps/mra/predict.hpp"

#include <fmt/format.h>

#include <memory>

#include "apps/mra/common.hpp"
#include "apps/mra/estimates.hpp"

namespace orrery {

namespace {

struct PredictOptions : CommandOptions {
  std::string moments, model;
  bool align = true;
};

int predict(const CLI::App& command, const PredictOptions& options) {
  CommandRun run(command, options, {"estimates.h5", "errors.csv"});
  const ShiftMoments target = read_shift_moments(options.moments);
  const ShiftModel model = read_model(run.ctx, options.model);
  Estimates estimates = orrery::predict(run.ctx, model, target);
  run.begin();
  if (options.align) align_pairs(run.ctx, target, estimates);

  const auto errors = errors_of(run.ctx, target, estimates);
  write_estimates(run.folder.path(), target, estimates, errors);
  const auto figures = summary_of(target, errors);
  run.finish(figures);
  run.console.say(fmt::format("{} pairs predicted; moment errors {:.4f}, {:.4f}\nresults in {}",
                              target.instances, figures["first_moment_error"].get<double>(),
                              figures["second_moment_error"].get<double>(),
                              run.folder.path().string()));
  return 0;
}

}  // namespace

void add_predict(CLI::App& app) {
  auto options = std::make_shared<PredictOptions>();
  options->output = "prediction";
  auto& command = add_command(app, "predict", "signals and densities from moments, by a model",
                              [options](const CLI::App& c) { return predict(c, *options); });
  PredictOptions& o = *options;
  command.add_option("moments", o.moments, "moments.h5 of mra simulate or mra moments")->required();
  command.add_option("--model", o.model, "model.h5 of mra train")->required();
  add_choice(command, "--align,!--no-align", o.align,
             "each signal to its density, or leave it at the shift its network gave it");
  add_command_options(command, o, "");
}

}  // namespace orrery
