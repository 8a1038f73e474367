#include "apps/mra/training.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/check.hpp"
#include "kernels/gemm.hpp"
#include "kernels/parallel_tasks.hpp"
#include "kernels/pointwise.hpp"
#include "kernels/real_fourier.hpp"
#include "kernels/reduce.hpp"
#include "moments/shift_moments.hpp"
#include "nn/diverged.hpp"

namespace orrery {

namespace {

constexpr std::int64_t checkpoint_version = 1;

void store(io::Hdf5File& file, const std::string& name, const Context& ctx,
           View<const float, 1> numbers) {
  const auto host = download(ctx, numbers);
  file.arrays[name] = {{static_cast<std::uint64_t>(host.size())},
                       std::vector<float>(host.view().begin(), host.view().end())};
}

void fetch(const io::Hdf5File& file, const std::string& name, const Context& ctx,
           View<float, 1> numbers) {
  const auto& stored = file.array<float>(name, {static_cast<std::uint64_t>(numbers.size())});
  copy<float, 1>(ctx, upload_as<float>(ctx, stored), numbers);
}

ShiftModel initialised(const Context& ctx, const ShiftModelSettings& settings) {
  ShiftModel model(ctx, settings);
  model.initialise();
  return model;
}

/// Both on two threads, each one a thread's: they meet once, and not after every layer. Elsewhere
/// one after the other, all threads sharing each.
template <class F, class G>
void side_by_side(const Context& ctx, const F& f, const G& g) {
  if (ctx.backend() == Backend::cuda || ctx.threads() != 2) {
    f();
    g();
    return;
  }
  for_each_task(2, 2, [&](Index side) { side == 0 ? f() : g(); });
}

LearningRateSchedule over(LearningRateSchedule schedule, Index steps) {
  schedule.total_steps = steps;
  return schedule;
}

}  // namespace

Training::Training(const Context& ctx, const TrainingSettings& settings)
    : ctx_(ctx),
      settings_(settings),
      model_(initialised(ctx, settings.model)),
      adam_(ctx, model_.parameters(), {.amsgrad = false}, 0),
      clock_(ctx, over(settings.schedule, settings.steps)),
      test_clock_(ctx, {}),
      graph_(ctx, [this] { do_step(); }),
      basis_(real_fourier_basis<float>(ctx, model_.n())),
      signal_(ctx, settings.batch, model_.n()),
      density_(ctx, settings.batch, model_.n()),
      signal_coefficients_(ctx, settings.batch, model_.n()),
      density_coefficients_(ctx, settings.batch, model_.n()),
      first_(ctx, settings.batch, model_.n()),
      noise_first_(ctx, settings.batch, model_.n()),
      second_(ctx, settings.batch, model_.n(), model_.n()),
      noise_second_(ctx, settings.batch, model_.n(), model_.n()),
      workspace_(model_.workspace(settings.batch)),
      signal_estimate_(ctx, settings.batch, model_.n()),
      density_estimate_(ctx, settings.batch, model_.n()),
      dsignal_(ctx, settings.batch, model_.n()),
      ddensity_(ctx, settings.batch, model_.n()),
      signal_error_(ctx, settings.shifts, settings.batch, model_.n()),
      density_error_(ctx, settings.shifts, settings.batch, model_.n()),
      error_(ctx, settings.batch),
      shift_(ctx, settings.batch),
      density_error_now_(ctx, settings.batch),
      density_shift_(ctx, settings.batch),
      signal_losses_(Tensor<float, 1>::zeros(ctx, settings.batch)),
      density_losses_(Tensor<float, 1>::zeros(ctx, settings.batch)) {}

/// A batch of pairs and their moments in the real Fourier basis.
void Training::draw(PairSet set, const StepClock& clock, const MomentNoise& noise) {
  const std::uint64_t set_size = set == PairSet::training ? settings_.set_size : 0;
  draw_pairs<float>(ctx_, settings_.law, settings_.seed, set, clock.steps_taken(), set_size,
                    signal_, density_);
  gemm<float>(ctx_, Transpose::no, Transpose::yes, 1, signal_, basis_, 0, signal_coefficients_);
  gemm<float>(ctx_, Transpose::no, Transpose::yes, 1, density_, basis_, 0, density_coefficients_);
  fourier_shift_moments<float>(ctx_, signal_coefficients_, density_coefficients_, first_, second_);
  if (noise.second > 0)
    add_moment_noise<float>(ctx_, noise, settings_.seed, set, clock.steps_taken(), noise_first_,
                            noise_second_, first_, second_);
}

void Training::step() {
  graph_();
  ++step_;
}

void Training::do_step() {
  draw(PairSet::training, clock_, settings_.noise);
  model_.look_at(first_, second_, workspace_);
  model_.parameters().zero_gradients();
  side_by_side(
      ctx_,
      [&] {
        model_.signal_forward(workspace_, signal_estimate_);
        signal_error_.errors_and_gradient(signal_estimate_, signal_, error_, shift_, dsignal_);
        add_scaled<float>(ctx_, 1, error_, signal_losses_);
        model_.signal_backward(workspace_, dsignal_);
      },
      [&] {
        model_.density_forward(workspace_, density_estimate_);
        density_error_.errors_and_gradient(density_estimate_, density_, density_error_now_,
                                           density_shift_, ddensity_);
        add_scaled<float>(ctx_, 1, density_error_now_, density_losses_);
        model_.density_backward(workspace_, density_estimate_, ddensity_);
      });
  adam_.step(clock_);
  clock_.advance();
}

Training::Losses Training::take_losses() {
  const double count = static_cast<double>((step_ - losses_taken_) * settings_.batch);
  const Losses losses{sum<float>(ctx_, signal_losses_) / count,
                      sum<float>(ctx_, density_losses_) / count};
  if (!std::isfinite(losses.signal + losses.density))
    throw Diverged("at step " + std::to_string(step_));
  set_zero<float, 1>(ctx_, signal_losses_);
  set_zero<float, 1>(ctx_, density_losses_);
  losses_taken_ = step_;
  return losses;
}

PairErrors Training::test(Index pairs, const MomentNoise& noise) {
  const Index batch = settings_.batch, batches = (pairs + batch - 1) / batch;
  ShiftError<float> on_grid(ctx_, Shifts::grid, batch, model_.n());
  ShiftError<float> continuous(ctx_, Shifts::continuous, batch, model_.n());
  PairErrors total;
  test_clock_.set_steps_taken(0);
  for (Index i = 0; i < batches; ++i, test_clock_.advance()) {
    draw(PairSet::test, test_clock_, noise);
    model_.forward(first_, second_, workspace_, signal_estimate_, density_estimate_);
    const Index wanted = std::min(batch, pairs - i * batch);  // of the last batch
    auto mean = [&](ShiftError<float>& error, const Tensor<float, 2>& estimate,
                    const Tensor<float, 2>& truth) {
      error.errors(estimate, truth, error_, shift_);
      return sum<float>(ctx_, std::as_const(error_).view().rows(0, wanted)) /
             static_cast<double>(pairs);
    };
    total.signal += mean(on_grid, signal_estimate_, signal_);
    total.density += mean(on_grid, density_estimate_, density_);
    total.continuous_signal += mean(continuous, signal_estimate_, signal_);
    total.continuous_density += mean(continuous, density_estimate_, density_);
  }
  return total;
}

io::Hdf5File Training::state() {
  io::Hdf5File file;
  file.attributes["format_version"] = checkpoint_version;
  file.attributes["step"] = std::int64_t{step_};
  file.attributes["losses_taken"] = std::int64_t{losses_taken_};
  store(file, "weights", ctx_, model_.parameters().values());
  store(file, "adam_first_moment", ctx_, adam_.first_moment());
  store(file, "adam_second_moment", ctx_, adam_.second_moment());
  store(file, "signal_losses", ctx_, signal_losses_);
  store(file, "density_losses", ctx_, density_losses_);
  return file;
}

void Training::restore(const io::Hdf5File& file) {
  if (file.attribute<std::int64_t>("format_version") != checkpoint_version)
    throw InputError(file.source +
                     ": the checkpoint is of another version; start again with --overwrite");
  step_ = file.attribute<std::int64_t>("step");
  losses_taken_ = file.attribute<std::int64_t>("losses_taken");
  fetch(file, "weights", ctx_, model_.parameters().values());
  fetch(file, "adam_first_moment", ctx_, adam_.first_moment());
  fetch(file, "adam_second_moment", ctx_, adam_.second_moment());
  fetch(file, "signal_losses", ctx_, signal_losses_);
  fetch(file, "density_losses", ctx_, density_losses_);
  clock_.set_steps_taken(step_);
}

}  // namespace orrery
