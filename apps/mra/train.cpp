#include "apps/mra/train.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <sstream>

#include "apps/interruption.hpp"
#include "apps/mra/common.hpp"
#include "apps/mra/training.hpp"
#include "apps/step_time.hpp"
#include "io/numbers.hpp"
#include "io/tables.hpp"
#include "kernels/check.hpp"

namespace orrery {

namespace {

struct TrainOptions : CommandOptions {
  TrainingSettings training;
  std::string first_branch = "16,16,3", second_branch = "32,16,3", joint = "16,16",
              dense = "256,256";
  std::string centres = "anywhere", loss_shifts = "grid", activation = "leaky-relu",
              schedule = "cosine";
  double learning_rate = 4e-3;
  double sigma = 0, observations = 1e6;
  Index test_pairs = 250000, curve_pairs = 2048, curve_points = 50;
  double checkpoint_seconds = 60;
  bool resume = false;
};

/// "16,16,3" -> 16, 16, 3; "none" -> no layer.
std::vector<Index> layers_of(const char* option, const std::string& text) {
  std::vector<Index> layers;
  if (text == "none") return layers;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    const auto number = io::parse_number(part);
    if (!number || *number < 1 || *number > 65536 || *number != std::floor(*number))
      throw InputError(fmt::format(
          "{} {}: give whole numbers from 1 to 65536 with commas between, layer by layer", option,
          text));
    layers.push_back(static_cast<Index>(*number));
  }
  if (layers.empty()) throw InputError(fmt::format("{}: is empty; for no layer give none", option));
  return layers;
}

TrainingSettings settings_of(const TrainOptions& options) {
  TrainingSettings settings = options.training;
  settings.seed = settings.model.seed = options.seed;
  settings.shifts = options.loss_shifts == "grid" ? Shifts::grid : Shifts::continuous;
  settings.noise = MomentNoise::of(options.sigma, options.observations);
  settings.schedule.kind = options.schedule == "constant" ? LearningRateSchedule::Kind::constant
                           : options.schedule == "steps"  ? LearningRateSchedule::Kind::steps
                                                          : LearningRateSchedule::Kind::cosine;
  settings.schedule.initial = options.learning_rate;
  settings.schedule.drops = 2;  // the paper's three rates, each a tenth of the one before
  MomentEncoderSettings& encoder = settings.model.encoder;
  encoder.first_branch = layers_of("--first-branch", options.first_branch);
  encoder.second_branch = layers_of("--second-branch", options.second_branch);
  encoder.joint = layers_of("--joint", options.joint);
  encoder.dense = layers_of("--dense", options.dense);
  if (options.activation == "tanh")
    settings.model.encoder.activation_of_dense = TwoBranchSettings::Dense::tanh;
  if (settings.model.encoder.n % 2 == 0)
    throw InputError(
        "--length: the networks need an odd length, where every frequency but 0 has its negative; "
        "give " +
        std::to_string(settings.model.encoder.n + 1) +
        ", or use mra reconstruct --method least-squares");
  settings.law.centres_on_grid = options.centres == "grid";
  return settings;
}

/// The error curves, kept over interruptions in the checkpoint.
class Curves {
 public:
  static constexpr std::uint64_t columns = 9;

  void add(const TrainingLine& line) {
    rows_.push_back({double(line.step), line.samples, line.seconds, line.signal_loss,
                     line.density_loss, line.test.signal, line.test.density,
                     line.test.continuous_signal, line.test.continuous_density});
  }
  void write(const std::filesystem::path& path) const {
    io::write_csv(path, {.columns = {"step", "samples", "seconds", "train_signal", "train_density",
                                     "test_signal", "test_density", "test_signal_continuous",
                                     "test_density_continuous"},
                         .rows = rows_});
  }
  void store(io::Hdf5File& file) const {
    std::vector<double> numbers;
    for (const auto& row : rows_) numbers.insert(numbers.end(), row.begin(), row.end());
    file.arrays["curves"] = {{rows_.size(), columns}, numbers};
  }
  void fetch(const io::Hdf5File& file) {
    const auto& numbers = file.array<double>("curves", {0, columns});
    rows_.clear();
    for (std::size_t i = 0; i < numbers.size(); i += columns)
      rows_.emplace_back(numbers.begin() + i, numbers.begin() + i + columns);
  }
  double seconds() const { return rows_.empty() ? 0 : rows_.back()[2]; }

 private:
  std::vector<std::vector<double>> rows_;
};

std::unique_ptr<Training> training_of(const Context& ctx, const TrainingSettings& settings) {
  try {
    return std::make_unique<Training>(ctx, settings);
  } catch (const std::invalid_argument& error) {
    throw InputError(
        std::string("--window, --first-branch, --second-branch, --joint or --dense: ") +
        error.what());
  }
}

/// What of the training this process has done.
struct TrainingWork {
  double seconds = 0;  // without tests
  StepTime step_time;
};

/// Trains to the end or to an interruption, with tests for the curves and checkpoints on the way.
TrainingWork train_loop(CommandRun& run, const TrainOptions& options,
                        const TrainingSettings& settings, Training& training, Curves& curves) {
  const auto checkpoint = [&] {
    auto state = training.state();
    curves.store(state);
    run.folder.write_checkpoint(std::move(state));
  };

  std::optional<Interruption> interruption(std::in_place);
  const Index line_every = std::max<Index>(1, settings.steps / options.curve_points);
  const double seconds_before = curves.seconds();
  const Index steps_before = training.steps_done();
  StepTime step_time;
  const Stopwatch whole;
  Stopwatch since_saved;
  double testing = 0;
  const auto seconds_trained = [&] { return whole.seconds() - testing; };
  std::string latest = "not tested yet";
  while (!training.done() && !*interruption) {
    training.step();
    const Index step = training.steps_done();
    if (step - steps_before <= StepTime::left_out) {
      run.ctx.synchronize();  // done, and not only queued
      step_time.done(step - steps_before, seconds_trained());
    }
    if (step % line_every == 0 || training.done()) {
      const auto losses = training.take_losses();
      const Stopwatch test;
      const PairErrors errors =
          training.test(std::min(options.curve_pairs, options.test_pairs), settings.noise);
      testing += test.seconds();
      curves.add({.step = step,
                  .samples = double(step) * double(settings.batch),
                  .seconds = seconds_before + seconds_trained(),
                  .signal_loss = losses.signal,
                  .density_loss = losses.density,
                  .test = errors});
      latest = fmt::format("signal {:.4f}   density {:.4f}", errors.signal, errors.density);
    }
    run.console.live(training.done(), [&] {
      const double each = seconds_trained() / double(step - steps_before);
      return fmt::format("step {:>7}/{}   test errors: {}   {:.0f} pairs/s   {} left", step,
                         settings.steps, latest, double(settings.batch) / each,
                         duration_text(each * double(settings.steps - step)));
    });
    if (since_saved.seconds() > options.checkpoint_seconds) {
      checkpoint();
      since_saved.restart();
    }
  }
  const double seconds = seconds_trained();
  step_time.done(training.steps_done() - steps_before, seconds);
  interruption.reset();  // nothing that follows can be stopped half way
  run.console.end_live();
  checkpoint();
  curves.write(run.folder / "curves.csv");
  return {seconds, step_time};
}

nlohmann::ordered_json summary_of(const TrainOptions& options, const TrainingSettings& settings,
                                  const Training& training, const TrainingFacts& facts,
                                  const PairErrors& noisy, const TrainingWork& work,
                                  double seconds_before) {
  const double each = work.step_time.seconds();
  return {{"signal_error", facts.errors.signal},
          {"density_error", facts.errors.density},
          {"signal_error_continuous", facts.errors.continuous_signal},
          {"density_error_continuous", facts.errors.continuous_density},
          {"noisy_signal_error", noisy.signal},
          {"noisy_density_error", noisy.density},
          {"noisy_signal_error_continuous", noisy.continuous_signal},
          {"noisy_density_error_continuous", noisy.continuous_density},
          {"test_pairs", options.test_pairs},
          {"n", training.model().n()},
          {"mixture", facts.mixture},
          {"centres", facts.centres},
          {"sigma", options.sigma},
          {"observations", options.observations},
          {"parameters", training.model().parameters().count()},
          {"steps", settings.steps},
          {"batch", settings.batch},
          {"samples", facts.samples},
          {"training_seconds", seconds_before + work.seconds},
          {"seconds_per_step", each},
          {"samples_per_second", each > 0 ? double(settings.batch) / each : 0.0}};
}

int train(const CLI::App& command, const TrainOptions& options) {
  if (options.sigma == 0) refuse_idle(command, {"--observations"}, "without --noise-sigma");
  const TrainingSettings settings = settings_of(options);
  CommandRun run(command, options, {"model.h5", "checkpoint.h5", "curves.csv"}, options.resume);
  const auto training = training_of(run.ctx, settings);
  Curves curves;
  if (options.resume) {
    const auto state = run.folder.read_checkpoint();
    training->restore(state);
    curves.fetch(state);
  }
  run.begin();
  run.console.say(fmt::format(
      "{} parameters in two networks for signals of length {}; {} steps of {} pairs{} on {}",
      training->model().parameters().count(), training->model().n(), settings.steps, settings.batch,
      settings.set_size > 0 ? fmt::format(" from a set of {}", settings.set_size) : ", all new,",
      run.ctx.description()));

  const double seconds_before = curves.seconds();
  const TrainingWork work = train_loop(run, options, settings, *training, curves);
  if (!training->done()) {
    run.console.warn("interrupted; the checkpoint is written, go on with: mra train -o " +
                     options.output + " --resume");
    return 130;
  }

  const PairErrors errors = training->test(options.test_pairs, {});
  const PairErrors noisy =
      settings.noise.second > 0 ? training->test(options.test_pairs, settings.noise) : errors;
  const TrainingFacts facts{.mixture = settings.law.components,
                            .centres = options.centres,
                            .samples = std::int64_t{settings.steps} * settings.batch,
                            .noise = settings.noise.second,
                            .errors = errors};
  write_model(run.folder / "model.h5", training->model(), facts);
  run.finish(summary_of(options, settings, *training, facts, noisy, work, seconds_before));
  run.console.say(fmt::format(
      "errors over {} new pairs: signal {:.4f}, density {:.4f} at the best whole shift; {:.4f}, "
      "{:.4f} at the best shift\nresults in {}",
      options.test_pairs, errors.signal, errors.density, errors.continuous_signal,
      errors.continuous_density, run.folder.path().string()));
  return 0;
}

}  // namespace

void add_train(CLI::App& app) {
  auto options = std::make_shared<TrainOptions>();
  options->output = "training";
  auto& command = add_command(app, "train", "teach networks to turn moments into signals",
                              [options](const CLI::App& c) { return train(c, *options); });
  TrainOptions& o = *options;
  MixtureLaw& law = o.training.law;
  MomentEncoderSettings& encoder = o.training.model.encoder;

  command.option_defaults()->group("Pairs");
  command.add_option("--length", encoder.n, "samples in a signal, an odd number")
      ->check(between(3, 1001));
  command.add_option("--components", law.components, "Gaussians in each signal and density")
      ->check(between(1, Mixture::most_components));
  command.add_option("--centres", o.centres, "of the Gaussians: anywhere, or on the grid")
      ->check(one_of({"anywhere", "grid"}));
  command.add_option("--training-set", o.training.set_size, "pairs in all; 0: every pair is new")
      ->check(not_negative());
  command
      .add_option("--noise-sigma", o.sigma,
                  "largest noise of an observation, for signals of norm 1")
      ->check(not_negative());
  command.add_option("--observations", o.observations, "observations behind the moments' noise")
      ->check(positive());

  command.option_defaults()->group("Networks");
  command.add_option("--window", encoder.window, "of every convolution, an odd number")
      ->check(positive());
  command.add_option("--first-branch", o.first_branch, "channels of its convolutions, as 16,16,3");
  command.add_option("--second-branch", o.second_branch, "the same for the second moment");
  command.add_option("--joint", o.joint, "the same after both are stacked");
  command.add_option("--dense", o.dense, "widths of the hidden dense layers");
  command.add_option("--activation", o.activation, "of dense layers: leaky-relu or tanh")
      ->check(one_of({"leaky-relu", "tanh"}));

  command.option_defaults()->group("Learning");
  command.add_option("--steps", o.training.steps, "of Adam")->check(positive());
  command.add_option("--batch", o.training.batch, "pairs a step")->check(between(1, 1 << 20));
  command.add_option("--learning-rate", o.learning_rate, "of the first step")->check(positive());
  command.add_option("--schedule", o.schedule, "cosine, constant, or steps (the paper's)")
      ->check(one_of({"cosine", "constant", "steps"}));
  command
      .add_option("--loss-shifts", o.loss_shifts,
                  "shifts that the loss is minimised over: grid or continuous")
      ->check(one_of({"grid", "continuous"}));
  command.add_option("--test-pairs", o.test_pairs, "new pairs for the last test")
      ->check(positive());
  add_command_options(command, o);
  add_checkpoint_options(command, o.checkpoint_seconds, o.resume);
}

}  // namespace orrery
