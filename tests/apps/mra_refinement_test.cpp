#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "apps/mra/refinement.hpp"
#include "apps/mra/truth.hpp"
#include "kernels/real_fourier.hpp"
#include "moments/shift_moments.hpp"
#include "tests/support/expect_input_error.hpp"

namespace orrery {
namespace {

using testing::HasSubstr;

const Context cpu = Context::cpu(2);

/// Exact moments of a few pairs, signals of that norm.
ShiftMoments exact_moments(Index instances, Index n, double norm = 1) {
  ShiftMoments target{.instances = instances, .n = n};
  for (Index b = 0; b < instances; ++b) {
    const MixturePair pair = mixture_pair({.components = 2}, n, norm, 1, std::uint64_t(b));
    target.signal.insert(target.signal.end(), pair.signal.begin(), pair.signal.end());
    target.density.insert(target.density.end(), pair.density.begin(), pair.density.end());
  }
  target.first.resize(instances * n);
  target.second.resize(instances * n * n);
  shift_moments_forward<double>(
      cpu, {target.signal.data(), instances, n}, {target.density.data(), instances, n},
      {target.first.data(), instances, n}, {target.second.data(), instances, n, n});
  return target;
}

Estimates truth_of(const ShiftMoments& target) {
  Estimates truth{Tensor<double, 2>(cpu, target.instances, target.n),
                  Tensor<double, 2>(cpu, target.instances, target.n)};
  std::copy(target.signal.begin(), target.signal.end(), truth.signal.data());
  std::copy(target.density.begin(), target.density.end(), truth.density.data());
  return truth;
}

ShiftModel random_model(const Context& ctx, Index n, std::uint64_t seed) {
  ShiftModelSettings settings;
  settings.encoder.n = static_cast<int>(n);
  settings.encoder.dense = {64};
  settings.seed = seed;
  ShiftModel model(ctx, settings);
  model.initialise();
  return model;
}

TEST(EstimateErrors, OfTheTruthAreZeroAndOfAShiftedSignalAreNot) {
  const auto target = exact_moments(2, 13, 3);
  auto estimates = truth_of(target);
  for (const EstimateErrors& e : errors_of(cpu, target, estimates)) {
    EXPECT_LT(e.first_moment, 1e-12);
    EXPECT_LT(e.second_moment, 1e-12);
    EXPECT_LT(e.truth.signal, 1e-12);
    EXPECT_LT(e.truth.density, 1e-12);
  }
  // A shift of the signal alone changes the moments, but not the errors at the best shift.
  std::rotate(&estimates.signal(0, 0), &estimates.signal(0, 4), &estimates.signal(0, 0) + 13);
  const auto errors = errors_of(cpu, target, estimates);
  EXPECT_GT(errors[0].first_moment, 0.05);
  EXPECT_LT(errors[0].truth.signal, 1e-12);
  const EstimateErrors mean = mean_of(errors);
  EXPECT_DOUBLE_EQ(mean.first_moment, (errors[0].first_moment + errors[1].first_moment) / 2);
}

TEST(PairAlignment, FindsTheShiftThatFitsTheMoments) {
  const auto target = exact_moments(2, 15);
  auto estimates = truth_of(target);
  const auto basis = real_fourier_basis<double>(cpu, 15);
  const auto truth = truth_of(target);
  shift_signal<double>(basis, 4.25, truth.signal.view()[0], estimates.signal.view()[0]);
  EXPECT_EQ(best_joint_shift(cpu, target, 0, std::as_const(estimates.signal).view()[0],
                             std::as_const(estimates.density).view()[0]),
            15 - 4.25);
  align_pairs(cpu, target, estimates);
  for (const EstimateErrors& e : errors_of(cpu, target, estimates))
    EXPECT_LT(e.second_moment, 1e-10);
}

TEST(NoiseFloor, IsTheNormOfTheMomentsErrors) {
  auto target = exact_moments(1, 25, 2);
  EXPECT_EQ(noise_floor(target, 0, 1), 0);
  target.observations = 10000;
  target.noise_variance = 4;  // sigma / norm = 1
  EXPECT_NEAR(noise_floor(target, 0, 0.5), (5 + 0.5 * 1.03 * 25) / 100, 1e-10);
}

TEST(SignalNorm, IsRefusedWhereNothingIsLeftOfTheSignal) {
  auto target = exact_moments(1, 5);
  target.source = "moments.h5";
  for (Index i = 0; i < 5; ++i) target.second[6 * i] -= 1;
  EXPECT_THAT(test::input_error_of([&] { signal_norm(target, 0); }),
              HasSubstr("moments.h5: second_moment"));
}

TEST(Prediction, DoesNotDependOnTheScaleOfTheSignal) {
  const auto one = exact_moments(2, 13, 1), five = exact_moments(2, 13, 5);
  const ShiftModel model = random_model(cpu, 13, 1);
  const auto a = predict(cpu, model, one), b = predict(cpu, model, five);
  for (Index i = 0; i < 13; ++i) {
    EXPECT_NEAR(5 * a.signal(1, i), b.signal(1, i), 1e-4);
    EXPECT_NEAR(a.density(1, i), b.density(1, i), 1e-5);
  }
}

TEST(Prediction, RefusesSignalsOfAnotherLength) {
  const auto target = exact_moments(1, 13);
  const ShiftModel model = random_model(cpu, 11, 1);
  EXPECT_THAT(test::input_error_of([&] { predict(cpu, model, target); }),
              HasSubstr("length 13, but the model was trained for 11"));
}

class Refinement : public testing::Test {
 protected:
  ShiftMoments target_ = exact_moments(3, 13, 2);
  Refined refined(const Context& ctx, Index iterations, bool stops_at_noise = true) {
    return refine(
        ctx, [](const Context& where, Index b) { return random_model(where, 13, 5 + b); }, target_,
        {.iterations = iterations, .learning_rate = 1e-3, .stops_at_noise = stops_at_noise});
  }
};

TEST_F(Refinement, BringsTheMomentsNearer) {
  const auto before = mean_of(errors_of(cpu, target_, refined(cpu, 0).estimates));
  const Refined after = refined(cpu, 400);
  const auto errors = mean_of(errors_of(cpu, target_, after.estimates));
  EXPECT_LT(errors.second_moment, 0.2 * before.second_moment);
  EXPECT_EQ(after.iterations, std::vector<Index>(3, 400));
  EXPECT_EQ(after.reached_noise, std::vector<bool>(3, false));
}

TEST_F(Refinement, StopsWhereOnlyNoiseIsLeft) {
  target_.observations = 100;
  target_.noise_variance = 0.01;
  const Refined stopped = refined(cpu, 400);
  for (std::size_t b = 0; b < 3; ++b) {
    EXPECT_TRUE(stopped.reached_noise[b]);
    EXPECT_LT(stopped.iterations[b], 400);
    EXPECT_GT(stopped.iterations[b], 0);
  }
  EXPECT_EQ(refined(cpu, 100, false).iterations, std::vector<Index>(3, 100));
}

TEST_F(Refinement, DoesNotDependOnTheNumberOfThreads) {
  const Refined a = refined(Context::cpu(1), 5), b = refined(Context::cpu(3), 5);
  EXPECT_TRUE(std::equal(a.estimates.signal.view().begin(), a.estimates.signal.view().end(),
                         b.estimates.signal.view().begin()));
}

TEST_F(Refinement, ShowsItsWayAtTheIterationsAskedFor) {
  std::vector<std::vector<Index>> seen(3);
  std::vector<Index> reported;
  refine(
      Context::cpu(1), [](const Context& where, Index b) { return random_model(where, 13, b); },
      target_, {.iterations = 10}, [&](Index done) { reported.push_back(done); },
      {{0, 3, 10}, [&](Index b, const RefinementPoint& p) { seen[b].push_back(p.iteration); }});
  EXPECT_EQ(reported, (std::vector<Index>{1, 2, 3}));
  for (const auto& iterations : seen) EXPECT_EQ(iterations, (std::vector<Index>{0, 3, 10}));
}

}  // namespace
}  // namespace orrery
