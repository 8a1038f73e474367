#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "apps/mra/pairs.hpp"
#include "apps/mra/training.hpp"
#include "kernels/gemm.hpp"
#include "kernels/real_fourier.hpp"
#include "moments/shift_moments.hpp"
#include "tests/support/compare.hpp"
#include "tests/support/expect_input_error.hpp"
#include "tests/support/temporary_folder.hpp"

namespace orrery {
namespace {

using test::relative_difference;
using testing::HasSubstr;

const Context cpu = Context::cpu(2);

TrainingSettings small_training() {
  TrainingSettings settings;
  settings.model.encoder.n = 11;
  settings.model.encoder.first_branch = {4, 3};
  settings.model.encoder.second_branch = {6, 3};
  settings.model.encoder.joint = {6};
  settings.model.encoder.dense = {32};
  settings.law = {.components = 1, .least_width = 0.06, .centres_on_grid = true};
  settings.batch = 32;
  settings.steps = 300;
  settings.schedule.initial = 5e-3;
  return settings;
}

std::vector<float> weights_of(const Training& training) {
  const auto weights = download(cpu, training.model().parameters().values());
  return {weights.view().begin(), weights.view().end()};
}

TEST(Training, BringsTheErrorsDown) {
  Training training(cpu, small_training());
  const PairErrors before = training.test(500, {});
  while (!training.done()) training.step();
  const PairErrors after = training.test(500, {});
  EXPECT_GT(before.signal, 0.9);
  EXPECT_LT(after.signal, 0.15);
  EXPECT_LT(after.density, 0.3);
  // Whole shifts are among all shifts.
  EXPECT_LE(after.continuous_signal, after.signal + 1e-6);
  EXPECT_LE(after.continuous_density, after.density + 1e-6);
}

TEST(Training, DoesNotDependOnTheNumberOfThreads) {
  auto settings = small_training();
  settings.noise = {.first = 0.01, .second = 0.01};
  Training alone(Context::cpu(1), settings), two(Context::cpu(2), settings);
  Training three(Context::cpu(3), settings);
  for (int i = 0; i < 5; ++i) alone.step(), two.step(), three.step();
  EXPECT_EQ(weights_of(alone), weights_of(two));
  EXPECT_EQ(weights_of(alone), weights_of(three));
}

TEST(Training, GoesOnExactlyFromItsState) {
  Training whole(cpu, small_training());
  for (int i = 0; i < 4; ++i) whole.step();
  const io::Hdf5File state = whole.state();
  for (int i = 0; i < 3; ++i) whole.step();

  Training resumed(cpu, small_training());
  resumed.restore(state);
  EXPECT_EQ(resumed.steps_done(), 4);
  for (int i = 0; i < 3; ++i) resumed.step();
  EXPECT_EQ(weights_of(resumed), weights_of(whole));
  EXPECT_EQ(resumed.take_losses().signal, whole.take_losses().signal);
}

TEST(Training, RefusesTheStateOfAnotherVersion) {
  Training training(cpu, small_training());
  auto state = training.state();
  state.attributes["format_version"] = std::int64_t{99};
  EXPECT_THAT(test::input_error_of([&] { training.restore(state); }), HasSubstr("another version"));
}

/// Mean errors of both networks on a fixed batch, and the gradient of their sum.
TEST(ShiftModel, GradientMatchesDifferencesOfTheErrors) {
  const Index batch = 16, n = 11;
  // Trained a little: near zero, the best shift of an answer jumps about.
  Training training(cpu, small_training());
  for (int i = 0; i < 100; ++i) training.step();
  ShiftModel model(cpu, small_training().model);
  copy<float, 1>(cpu, training.model().parameters().values(), model.parameters().values());
  Tensor<float, 2> signal(cpu, batch, n), density(cpu, batch, n), first(cpu, batch, n);
  Tensor<float, 2> v(cpu, batch, n), p(cpu, batch, n), dv(cpu, batch, n), dp(cpu, batch, n);
  Tensor<float, 3> second(cpu, batch, n, n);
  const auto batch_number = Tensor<std::uint64_t, 1>::zeros(cpu, 1);
  draw_pairs<float>(cpu, small_training().law, 1, PairSet::training, batch_number, 0, signal,
                    density);
  const auto basis = real_fourier_basis<float>(cpu, n);
  gemm<float>(cpu, Transpose::no, Transpose::yes, 1, signal, basis, 0, v);
  gemm<float>(cpu, Transpose::no, Transpose::yes, 1, density, basis, 0, p);
  fourier_shift_moments<float>(cpu, v, p, first, second);

  ShiftError<float> error(cpu, Shifts::grid, batch, n);
  Tensor<float, 1> errors(cpu, batch), shifts(cpu, batch);
  auto workspace = model.workspace(batch);
  auto value = [&] {
    model.forward(first, second, workspace, v, p);
    double total = 0;
    error.errors_and_gradient(v, signal, errors, shifts, dv);
    for (const float e : errors.view()) total += e;
    error.errors_and_gradient(p, density, errors, shifts, dp);
    for (const float e : errors.view()) total += e;
    return total / double(batch);
  };
  value();
  model.parameters().zero_gradients();
  model.backward(workspace, p, dv, dp);

  const View<float, 1> weights = model.parameters().values();
  const auto direction = test::random_tensor<float>(5, weights.size());
  const double analytic = test::inner_product(model.parameters().gradients(), direction.view());
  const float step = 2e-4f;
  auto moved = [&](float amount) {
    for (Index i = 0; i < weights.size(); ++i) weights(i) += amount * direction(i);
    return value();
  };
  const double above = moved(step), below = moved(-2 * step);
  const double numeric = (above - below) / (2 * double(step));
  EXPECT_NEAR(analytic / numeric, 1, 2e-2) << analytic << ", " << numeric;
}

class ModelFile : public testing::Test {
 protected:
  ModelFile() : model_(cpu, small_training().model) {
    model_.initialise();
    write_model(path_, model_, {.mixture = 2, .centres = "grid", .errors = {.signal = 0.25}});
  }
  std::string error_with(const std::function<void(io::Hdf5File&)>& change) {
    auto file = io::read_hdf5(path_);
    change(file);
    io::write_hdf5(path_, file);
    return test::input_error_of([&] { read_model(cpu, path_); });
  }
  test::TemporaryFolder folder_;
  std::filesystem::path path_ = folder_ / "model.h5";
  ShiftModel model_;
};

TEST_F(ModelFile, GivesTheModelBack) {
  TrainingFacts facts;
  const ShiftModel found = read_model(cpu, path_, &facts);
  EXPECT_EQ(facts.mixture, 2);
  EXPECT_EQ(facts.centres, "grid");
  EXPECT_EQ(facts.errors.signal, 0.25);
  EXPECT_EQ(
      relative_difference(found.parameters().values(), std::as_const(model_).parameters().values()),
      0);
  EXPECT_EQ(found.settings().encoder.dense, model_.settings().encoder.dense);
}

TEST_F(ModelFile, RefusesWhatIsNoModelOrOfAnotherVersion) {
  EXPECT_THAT(error_with([](auto& file) {
                file.arrays["weights"].extents = {1};
                file.arrays["weights"].numbers = std::vector<float>{1};
              }),
              HasSubstr("weights"));
  EXPECT_THAT(error_with([](auto& file) { file.attributes["window"] = std::int64_t{4}; }),
              HasSubstr("do not fit together"));
  EXPECT_THAT(error_with([](auto& file) { file.attributes["format_version"] = std::int64_t{9}; }),
              HasSubstr("version 9"));
  EXPECT_THAT(error_with([](auto& file) { file.attributes.erase("kind"); }),
              HasSubstr("is not a model"));
}

}  // namespace
}  // namespace orrery
