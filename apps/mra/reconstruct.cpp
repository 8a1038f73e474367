#include "apps/mra/reconstruct.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "apps/mra/common.hpp"
#include "apps/mra/refinement.hpp"
#include "kernels/check.hpp"
#include "moments/shift_least_squares.hpp"

namespace orrery {

namespace {

struct ReconstructOptions : CommandOptions {
  std::string moments, model, method = "network";
  bool random_start = false;
  RefinementSettings refinement;
  ShiftLeastSquaresSettings least_squares;
};

Estimates by_least_squares(const Context& ctx, const ReconstructOptions& options,
                           const ShiftMoments& target) {
  const Index n = target.n;
  std::vector<ShiftMomentsView> views;
  for (Index b = 0; b < target.instances; ++b)
    views.push_back({.first = {target.first.data() + b * n, n},
                     .second = {target.second.data() + b * n * n, n, n},
                     .noise_variance = target.noise_variance,
                     .observations = static_cast<double>(target.observations)});
  ShiftLeastSquaresSettings settings = options.least_squares;
  settings.seed = options.seed;
  const auto solutions = solve_shift_moments(Context::cpu(ctx.threads()), views, settings);
  const Context host = Context::cpu(1);
  Estimates estimates{Tensor<double, 2>(host, target.instances, n),
                      Tensor<double, 2>(host, target.instances, n)};
  for (Index b = 0; b < target.instances; ++b) {
    std::copy_n(solutions[b].signal.data(), n, &estimates.signal(b, 0));
    std::copy_n(solutions[b].density.data(), n, &estimates.density(b, 0));
  }
  return estimates;
}

/// The model to start from, on the host: the one given, or with --init its kind alone. Throws
/// InputError where it can't be for these moments.
ShiftModel starting_model(const ReconstructOptions& options, const ShiftMoments& target) {
  const Context host = Context::cpu(1);
  if (options.model.empty() && !options.random_start)
    throw InputError(
        "--model: the networks start from a trained model; give its file, --init for random "
        "networks, or --method least-squares");
  if (target.n % 2 == 0)
    throw InputError(target.source + ": the signals have length " + std::to_string(target.n) +
                     ", and the networks need an odd one; use --method least-squares");
  if (options.model.empty()) {
    ShiftModelSettings settings;
    settings.encoder.n = static_cast<int>(target.n);
    settings.encoder.window = std::min(settings.encoder.window, settings.encoder.n);
    return ShiftModel(host, settings);
  }
  ShiftModel model = read_model(host, options.model);
  if (model.n() != target.n)
    throw InputError(fmt::format(
        "{}: the signals have length {}, but the model was trained for {}; train one with mra "
        "train --length {}",
        target.source, target.n, model.n(), target.n));
  return model;
}

Refined by_networks(CommandRun& run, const ReconstructOptions& options, const ShiftMoments& target,
                    const ShiftModel& model) {
  auto start = [&](const Context& where, Index instance) {
    return options.random_start ? random_model(where, model.settings(), options.seed, instance)
                                : copied(where, model);
  };
  const auto report = [&](Index done) {
    run.console.live(done == target.instances, [&] {
      return fmt::format("{} of {} instances, {} so far", done, target.instances,
                         duration_text(run.seconds()));
    });
  };
  Refined refined = refine(run.ctx, start, target, options.refinement, report);
  run.console.end_live();
  return refined;
}

int reconstruct(const CLI::App& command, const ReconstructOptions& options) {
  const bool networks = options.method == "network";
  if (networks)
    refuse_idle(command, {"--starts", "--least-squares-iterations"}, "with --method network");
  else
    refuse_idle(
        command,
        {"--model", "--init", "--iterations", "--learning-rate", "--lambda", "--early-stop"},
        "with --method least-squares");
  CommandRun run(command, options, {"estimates.h5", "errors.csv"});
  const ShiftMoments target = read_shift_moments(options.moments);
  if (target.n < 3)
    throw InputError(target.source + ": signals of " + std::to_string(target.n) +
                     " samples say nothing about their shifts; 3 or more do");
  std::optional<ShiftModel> model;
  if (networks) model.emplace(starting_model(options, target));
  run.begin();

  nlohmann::ordered_json extra = {{"method", options.method}};
  Estimates estimates;
  if (networks) {
    Refined refined = by_networks(run, options, target, *model);
    estimates = std::move(refined.estimates);
    extra["iterations"] = refined.iterations;
    extra["stopped_at_noise"] =
        std::count(refined.reached_noise.begin(), refined.reached_noise.end(), true);
  } else {
    estimates = by_least_squares(run.ctx, options, target);
  }
  const auto errors = errors_of(run.ctx, target, estimates);
  write_estimates(run.folder.path(), target, estimates, errors);
  auto figures = summary_of(target, errors);
  figures.update(extra);
  figures["seconds_per_instance"] = run.seconds() / static_cast<double>(target.instances);
  run.finish(figures);

  std::string text = fmt::format("{} instances; moment errors {:.5f}, {:.5f}", target.instances,
                                 figures["first_moment_error"].get<double>(),
                                 figures["second_moment_error"].get<double>());
  if (figures.contains("signal_error"))
    text += fmt::format(
        "; signal {:.4f}, density {:.4f} at the best whole shift, {:.4f}, {:.4f} at the best shift",
        figures["signal_error"].get<double>(), figures["density_error"].get<double>(),
        figures["signal_error_continuous"].get<double>(),
        figures["density_error_continuous"].get<double>());
  run.console.say(
      text + fmt::format("; {:.1f} s\nresults in {}", run.seconds(), run.folder.path().string()));
  return 0;
}

}  // namespace

void add_reconstruct(CLI::App& app) {
  auto options = std::make_shared<ReconstructOptions>();
  options->output = "reconstruction";
  auto& command = add_command(app, "reconstruct", "signals and densities fitted to moments",
                              [options](const CLI::App& c) { return reconstruct(c, *options); });
  ReconstructOptions& o = *options;
  command.add_option("moments", o.moments, "moments.h5 of mra simulate or mra moments")->required();
  command.add_option("--method", o.method, "network or least-squares")
      ->check(one_of({"network", "least-squares"}));

  command.option_defaults()->group("Method network");
  command.add_option("--model", o.model, "model.h5 of mra train to start from");
  command.add_flag("--init", o.random_start, "start from random networks of the model's kind");
  command.add_option("--iterations", o.refinement.iterations, "of Adam, at most")
      ->check(not_negative());
  command.add_option("--learning-rate", o.refinement.learning_rate, "of Adam")->check(positive());
  command.add_option("--lambda", o.refinement.lambda, "weight of the second moment in the loss")
      ->check(not_negative());
  add_choice(command, "--early-stop,!--no-early-stop", o.refinement.stops_at_noise,
             "at the loss that noise alone would leave, or go on below it");

  command.option_defaults()->group("Method least-squares");
  command
      .add_option("--starts", o.least_squares.starts, "starting points, the best result is kept")
      ->check(between(1, 10000));
  command.add_option("--least-squares-iterations", o.least_squares.most_iterations, "of each fit")
      ->check(positive());
  add_command_options(command, o);
}

}  // namespace orrery
