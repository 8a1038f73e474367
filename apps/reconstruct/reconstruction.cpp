#include "apps/reconstruct/reconstruction.hpp"

#include <algorithm>
#include <cmath>

#include "apps/stopwatch.hpp"
#include "kernels/check.hpp"
#include "kernels/pointwise.hpp"
#include "kernels/profiling.hpp"
#include "kernels/reduce.hpp"
#include "nn/diverged.hpp"
#include "nn/lbfgs.hpp"

namespace orrery {

namespace {

LearningRateSchedule schedule_of(const Options& o) {
  LearningRateSchedule schedule;
  schedule.kind = o.schedule == "constant" ? LearningRateSchedule::Kind::constant
                  : o.schedule == "steps"  ? LearningRateSchedule::Kind::steps
                                           : LearningRateSchedule::Kind::cosine;
  schedule.initial = o.learning_rate;
  schedule.total_steps = o.steps;
  return schedule;
}

/// Mean power of a slice at each |x|, from the diagonal of the second moment (in the Hartley basis
/// the mean of h(k)^2 and h(-k)^2 is |s(k)|^2), on 2n + 1 nodes of |x| from 0 to sqrt(3). Between
/// rings, beyond the corners and where the weights are zero the last ring's power stands.
struct SlicePower {
  std::vector<double> radial;
  double mean = 0;  // over the whole slice
};
SlicePower slice_power(View<const float, 1> diagonal, View<const float, 1> weights, int n) {
  const int nodes = 2 * n + 1;
  const double h = (n - 1) / 2.0;
  std::vector<double> power(nodes, 0), count(nodes, 0);
  double total = 0, coefficients = 0;
  for (Index i = 0; i < Index{n} * n; ++i) {
    const double weight = weights.size() > 0 ? weights[i] : 1;
    if (weight == 0) continue;
    const double r = std::hypot(i / n - h, i % n - h) / h;
    const int node = static_cast<int>(std::lround(r / std::sqrt(3.0) * (nodes - 1)));
    const double of_coefficient = diagonal[i] / (weight * weight);
    power[node] += of_coefficient;
    count[node] += 1;
    total += of_coefficient;
    coefficients += 1;
  }
  const auto innermost = std::ranges::find_if(count, [](double c) { return c > 0; });
  require(innermost != count.end(), "slice_power", "every weight is zero");
  const auto first = innermost - count.begin();
  double last = std::max(power[first] / count[first], 0.0);
  for (int node = 0; node < nodes; ++node) {
    if (count[node] > 0) last = std::max(power[node] / count[node], 0.0);
    power[node] = last;
  }
  return {power, total / coefficients};
}

/// The amplitude that the network's output is multiplied by: the root of the mean power, or where
/// that is less and a profile is asked for, of the power at that radius. (With the full profile,
/// its peak at the origin included, training got less far in as many steps: docs/method.md.)
std::vector<double> output_amplitude(const SlicePower& power, bool flat, double initial_power) {
  std::vector<double> amplitude;
  for (double p : power.radial) {
    const double wanted = flat ? power.mean : std::clamp(p, 1e-6 * power.mean, power.mean);
    amplitude.push_back(std::sqrt(wanted / initial_power));
  }
  return amplitude;
}

/// The norm of sqrt(n) v for a volume with that mean power at each radius (see slice_power).
double expected_norm(const std::vector<double>& power, int n) {
  const int h = (n - 1) / 2;
  double total = 0;
  for (int z = -h; z <= h; ++z)
    for (int y = -h; y <= h; ++y)
      for (int x = -h; x <= h; ++x) {
        const double r = std::sqrt(double(x * x + y * y + z * z)) / h;
        if (r <= 1) total += power[std::lround(r / std::sqrt(3.0) * (power.size() - 1))];
      }
  return std::sqrt(total);
}

std::vector<float> on_host(const Context& ctx, View<const float, 1> numbers) {
  const auto host = download(ctx, numbers);
  return {host.view().begin(), host.view().end()};
}

void put_back(const Context& ctx, const std::vector<float>& numbers, View<float, 1> to) {
  copy<float, 1>(ctx, upload_as<float>(ctx, numbers), to);
}

}  // namespace

Reconstruction::Reconstruction(const Context& ctx, const Options& options,
                               const Quadrature& quadrature, const TargetMoments<float>& target,
                               const std::vector<double>& known_weights, int n, double voxel_size,
                               const Processes& processes)
    : ctx_(ctx),
      options_(options),
      processes_(processes),
      quadrature_(quadrature),
      target_(target),
      n_(n),
      voxel_size_(voxel_size),
      parameters_(ctx),
      grid_(make_real_space_grid<float>(ctx, n)) {
  volume_ = std::make_unique<FourierNetPrior>(ctx, fourier_net_settings(options), n, &target,
                                              parameters_);
  const auto over =
      options.density_over == "rotations" ? DensityOver::rotations : DensityOver::directions;
  if (options.density_prior == "known") {
    density_ = std::make_unique<KnownDensity>(ctx, known_weights);
  } else if (options.density_prior == "encoder") {
    density_ = std::make_unique<EncoderDensityPrior>(ctx, quadrature, over, target, n, parameters_);
  } else {
    auto free = std::make_unique<FreeDensityPrior>(ctx, quadrature, over, parameters_);
    density_part_ = free->part();
    density_ = std::move(free);
  }
  parameters_.allocate();

  const auto power =
      slice_power(second_diagonal(ctx, target), download(ctx, target.weights).view(), n);
  const RealSpacePenaltySettings penalty{.support_radius = options.support * n,
                                         .weight = options.penalty,
                                         .scale = expected_norm(power.radial, n)};
  fine_ = std::make_unique<Objective>(ctx, penalty, n, n, quadrature, target, *volume_, *density_,
                                      parameters_, processes);
  if (options.coarse_box > 0 && options.coarse_box < n) {
    coarse_target_ = std::make_unique<TargetMoments<float>>(
        restrict_to_band(ctx, target, n, options.coarse_box));
    coarse_ =
        std::make_unique<Objective>(ctx, penalty, n, options.coarse_box, quadrature,
                                    *coarse_target_, *volume_, *density_, parameters_, processes);
  }

  // The first start's volume gets about the power that the second moment says it has; all starts
  // share its amplitude.
  start(0);
  volume_->set_amplitude({1.0});
  Tensor<float, 2> values(ctx_, grid_.count(), Index{2});
  volume_->evaluate(grid_.coordinates, values);
  const double initial = squared_norm<float>(ctx_, values.view().flat()) / double(grid_.count());
  volume_->set_amplitude(output_amplitude(power, options.amplitude == "flat", initial));
}

void Reconstruction::start(int restart) {
  restart_ = restart;
  step_ = 0;
  const std::uint64_t seed = options_.seed + 1000 * static_cast<std::uint64_t>(restart);
  volume_->initialise(seed);
  density_->initialise(seed);

  AdamSettings settings;
  settings.amsgrad = true;
  adam_ = std::make_unique<Adam<float>>(ctx_, parameters_, settings, options_.clip);
  if (density_part_ >= 0) adam_->set_rate_multiplier(density_part_, options_.density_rate);
}

bool Reconstruction::run(const std::function<bool(const ProgressLine&)>& report) {
  try {
    for (;;) {
      if (!run_adam(report) || !run_lbfgs(report)) return false;
      if (restart_ + 1 >= options_.restarts) return true;
      start(restart_ + 1);
    }
  } catch (const Diverged& error) {
    throw InputError(std::string(error.what()) + "; lower --learning-rate");
  }
}

bool Reconstruction::run_adam(const std::function<bool(const ProgressLine&)>& report) {
  const auto schedule = schedule_of(options_);
  const LossSettings loss = loss_settings(options_);
  Objective& objective = coarse_ ? *coarse_ : *fine_;
  // A device is not waited for in each step, where no other process is.
  if (ctx_.backend() == Backend::cuda && !processes_.are_several())
    return run_recorded_adam(objective, report);
  while (step_ < options_.steps) {
    const ProfilingRange range("Adam steps");
    const ObjectiveValue value = objective.value_and_gradient(loss);
    const double rate = schedule(step_);
    adam_->step(rate);
    ++step_;
    ++steps_done_;
    if (!report(record({restart_, false, step_, options_.steps, value, rate}))) return false;
  }
  return true;
}

bool Reconstruction::run_recorded_adam(Objective& objective,
                                       const std::function<bool(const ProgressLine&)>& report) {
  recorded_ = std::make_unique<RecordedSteps>(ctx_, objective, loss_settings(options_), *adam_,
                                              schedule_of(options_), step_);
  // As many steps together as take about half a second: progress still moves, and an interruption
  // is still heard.
  constexpr double seconds_together = 0.5;
  Index together = 1;
  bool go_on = true;
  std::size_t told = history_.size();
  Stopwatch since_told;
  while (go_on && step_ < options_.steps) {
    const ProfilingRange range("Adam steps");
    // The next steps are under way while what the last ones saw is read and told.
    while (recorded_->has_room() && step_ + recorded_->under_way() < options_.steps)
      recorded_->queue(std::min(together, options_.steps - step_ - recorded_->under_way()));
    const Index steps_before = step_;
    record_steps();
    const double rate = static_cast<double>(step_ - steps_before) / since_told.seconds();
    together = static_cast<Index>(
        std::clamp(seconds_together * rate, 1.0, double(RecordedSteps::most_together)));
    since_told.restart();
    // A checkpoint that is taken while they are told waits for all steps, and they become history.
    while (go_on && told < history_.size()) {
      const ProgressLine line = history_[told++];
      go_on = report(line);
    }
  }
  finish_steps();
  recorded_.reset();
  return go_on;
}

/// What the steps queued first saw becomes history.
void Reconstruction::record_steps() {
  const auto schedule = schedule_of(options_);
  for (const ObjectiveValue& value : recorded_->take()) {
    record({restart_, false, step_ + 1, options_.steps, value, schedule(step_)});
    ++step_;
    ++steps_done_;
  }
}

/// No step is under way afterwards.
void Reconstruction::finish_steps() {
  while (recorded_ && recorded_->under_way() > 0) record_steps();
}

bool Reconstruction::run_lbfgs(const std::function<bool(const ProgressLine&)>& report) {
  if (static_cast<int>(finished_.size()) > restart_) return true;
  // Interrupted here, the run goes on from the start of this phase: L-BFGS keeps no state worth it.
  const auto before = download(ctx_, parameters_.values());
  const Index steps_before = steps_done_;
  const std::size_t history_before = history_.size();
  bool go_on = true;
  ObjectiveValue value;
  // Line searches take the same way in all processes only from the same bits on.
  processes_.take_from_first(ctx_, parameters_.values());
  // Near the optimum the squared loss is smooth, which L-BFGS needs.
  const LossSettings squared{LossKind::squared, options_.lambda};
  auto minimise = [&](Objective& objective, int most_evaluations) {
    if (most_evaluations < 1 || !go_on) return;
    auto evaluate = [&] {
      const ProfilingRange range("L-BFGS evaluation");
      value = objective.value_and_gradient(squared);
      ++steps_done_;
      return value.total;
    };
    auto progress = [&](int, double) {
      const Index evaluations = steps_done_ - steps_before;
      go_on = report(record({restart_, true, evaluations, options_.finish, value, 0}));
      return go_on;
    };
    minimise_lbfgs<float>(ctx_, parameters_, evaluate, most_evaluations, progress);
  };
  const int coarse = coarse_ ? static_cast<int>(options_.coarse_fraction * options_.finish) : 0;
  if (coarse_) minimise(*coarse_, coarse);
  minimise(*fine_, options_.finish - coarse);
  if (!go_on) {
    copy<float, 1>(ctx_, upload(ctx_, before), parameters_.values());
    steps_done_ = steps_before;
    history_.resize(history_before);
    return false;
  }
  value = fine_->value_and_gradient(squared);
  finished_.push_back({download(ctx_, parameters_.values()), value});
  return true;
}

const ProgressLine& Reconstruction::record(const ProgressLine& line) {
  history_.push_back(line);
  return history_.back();
}

namespace {

constexpr std::int64_t checkpoint_version = 1;
constexpr int history_columns = 9;

io::Array array_of(std::vector<float> numbers) { return {{numbers.size()}, std::move(numbers)}; }

io::Array array_of(const std::vector<ProgressLine>& history) {
  std::vector<double> numbers;
  for (const auto& line : history)
    for (double x : {double(line.restart), double(line.finishing), double(line.step),
                     double(line.steps), line.value.errors.first, line.value.errors.second,
                     line.value.penalty, line.value.total, line.learning_rate})
      numbers.push_back(x);
  return {{history.size(), history_columns}, std::move(numbers)};
}

std::vector<ProgressLine> history_from(const std::vector<double>& numbers) {
  std::vector<ProgressLine> history;
  for (std::size_t i = 0; i + history_columns <= numbers.size(); i += history_columns) {
    const double* x = numbers.data() + i;
    ProgressLine line{int(x[0]), x[1] != 0, Index(x[2]), Index(x[3]), {}, x[8]};
    line.value = {{x[4], x[5], x[7] - x[6]}, x[6], x[7]};
    history.push_back(line);
  }
  return history;
}

}  // namespace

io::Hdf5File Reconstruction::state() {
  finish_steps();
  io::Hdf5File file;
  file.attributes["format_version"] = checkpoint_version;
  file.attributes["restart"] = std::int64_t{restart_};
  file.attributes["step"] = std::int64_t{step_};
  file.attributes["steps_done"] = std::int64_t{steps_done_};
  file.attributes["adam_steps"] = std::int64_t{adam_->steps_taken()};
  file.attributes["finished"] = static_cast<std::int64_t>(finished_.size());
  file.arrays["parameters"] = array_of(on_host(ctx_, parameters_.values()));
  file.arrays["adam_first_moment"] = array_of(on_host(ctx_, adam_->first_moment()));
  file.arrays["adam_second_moment"] = array_of(on_host(ctx_, adam_->second_moment()));
  file.arrays["adam_largest_second_moment"] =
      array_of(on_host(ctx_, adam_->largest_second_moment()));
  file.arrays["history"] = array_of(history_);
  for (std::size_t r = 0; r < finished_.size(); ++r) {
    const auto& [parameters, value] = finished_[r];
    const std::string name = "finished_" + std::to_string(r);
    file.arrays[name] =
        array_of(std::vector<float>(parameters.view().begin(), parameters.view().end()));
    file.arrays[name + "_value"] = {
        {4},
        std::vector<double>{value.errors.first, value.errors.second, value.penalty, value.total}};
  }
  return file;
}

void Reconstruction::restore(const io::Hdf5File& file) {
  if (file.attribute<std::int64_t>("format_version") != checkpoint_version)
    throw InputError(file.source +
                     ": the checkpoint is of another version; start again with --overwrite");
  const auto count = static_cast<std::uint64_t>(parameters_.count());
  auto numbers = [&](const std::string& name) -> const std::vector<float>& {
    return file.array<float>(name, {count});
  };
  start(static_cast<int>(file.attribute<std::int64_t>("restart")));
  step_ = file.attribute<std::int64_t>("step");
  steps_done_ = file.attribute<std::int64_t>("steps_done");
  put_back(ctx_, numbers("parameters"), parameters_.values());
  adam_->set_steps_taken(file.attribute<std::int64_t>("adam_steps"));
  put_back(ctx_, numbers("adam_first_moment"), adam_->first_moment());
  put_back(ctx_, numbers("adam_second_moment"), adam_->second_moment());
  put_back(ctx_, numbers("adam_largest_second_moment"), adam_->largest_second_moment());
  history_ = history_from(file.array<double>("history", {0, history_columns}));

  finished_.clear();
  for (std::int64_t r = 0; r < file.attribute<std::int64_t>("finished"); ++r) {
    const std::string name = "finished_" + std::to_string(r);
    Finished finished;
    finished.parameters = Tensor<float, 1>(Context::cpu(1), parameters_.count());
    std::ranges::copy(numbers(name), finished.parameters.data());
    const auto& value = file.array<double>(name + "_value", {4});
    finished.value = {{value[0], value[1], value[3] - value[2]}, value[2], value[3]};
    finished_.push_back(std::move(finished));
  }
}

Volume Reconstruction::volume_now() {
  Tensor<float, 2> values(ctx_, grid_.count(), Index{2});
  volume_->evaluate(grid_.coordinates, values);
  // The prior's values are slices, sqrt(n) times the unitary transform.
  scale<float>(ctx_, 1.0f / std::sqrt(static_cast<float>(n_)), values.view().flat());
  Tensor<float, 3> voxels(ctx_, Index{n_}, Index{n_}, Index{n_});
  to_density<float>(ctx_, grid_, values, voxels);
  Volume volume;
  volume.n = n_;
  volume.voxel_size = voxel_size_;
  volume.voxels = on_host(ctx_, voxels.view().flat());
  return volume;
}

Reconstruction::Outcome Reconstruction::outcome() {
  const auto best =
      std::min_element(finished_.begin(), finished_.end(),
                       [](const auto& a, const auto& b) { return a.value.total < b.value.total; });
  require(best != finished_.end(), "Reconstruction::outcome", "no restart has finished");
  copy<float, 1>(ctx_, upload(ctx_, best->parameters), parameters_.values());

  Outcome outcome;
  outcome.volume = volume_now();
  outcome.errors = best->value.errors;
  Tensor<float, 1> weights(ctx_, quadrature_.view_count());
  density_->evaluate(weights);
  const auto host = download(ctx_, weights);
  outcome.view_weights.assign(host.view().begin(), host.view().end());
  return outcome;
}

}  // namespace orrery
