#include "apps/reconstruct/recorded_steps.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/shift_blur.hpp"
#include "nn/diverged.hpp"
#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

constexpr int n = 5;

FourierNetSettings small_network(Index latent) {
  FourierNetSettings settings;
  settings.width = 6;
  settings.modulant_hidden_layers = 1;
  settings.envelope_hidden_layers = 0;
  settings.modulant_frequency = settings.envelope_frequency = 3;
  settings.latent = latent;
  return settings;
}

/// What a small reconstruction has beside the plainest.
struct Variant {
  double clip = 0;       // largest norm of the gradient
  bool blurred = false;  // a target of images with unknown shifts
  Index latent = 0;      // of the volume
  bool encoder = false;  // of the density
};

/// A small reconstruction of random moments.
struct Problem {
  Context ctx;
  Quadrature quadrature = make_quadrature(spherical_design(8, true), 4);
  TargetMoments<float> target;
  Parameters<float> parameters;
  FourierNetPrior volume;
  std::unique_ptr<DensityPrior> density;
  std::unique_ptr<Objective> objective;
  std::unique_ptr<Adam<float>> adam;
  LossSettings loss{LossKind::relative, 0.7};
  LearningRateSchedule schedule;

  static TargetMoments<float> random_target(const Context& ctx) {
    const Index pixels = n * n;
    auto second = test::random_tensor<float>(2, pixels, pixels);
    for (Index i = 0; i < pixels; ++i)
      for (Index j = 0; j < i; ++j) second(i, j) = second(j, i);
    return make_target<float>(ctx, upload(ctx, test::random_tensor<float>(1, pixels)),
                              upload(ctx, second));
  }

  explicit Problem(const Context& context, const Variant& variant = {})
      : ctx(context),
        target(random_target(ctx)),
        parameters(ctx),
        volume(ctx, small_network(variant.latent), n, &target, parameters) {
    constexpr auto over = DensityOver::directions;
    if (variant.encoder)
      density = std::make_unique<EncoderDensityPrior>(ctx, quadrature, over, target, n, parameters);
    else
      density = std::make_unique<FreeDensityPrior>(ctx, quadrature, over, parameters);
    parameters.allocate();
    volume.initialise(3);
    density->initialise(3);
    if (variant.blurred) target.blur = shift_blur_factors<float>(ctx, n, 0.05);
    const RealSpacePenaltySettings penalty{.support_radius = 1.5, .weight = 0.2, .scale = 2};
    objective = std::make_unique<Objective>(ctx, penalty, n, n, quadrature, target, volume,
                                            *density, parameters);
    adam = std::make_unique<Adam<float>>(ctx, parameters, AdamSettings{}, variant.clip);
    schedule.kind = LearningRateSchedule::Kind::cosine;
    schedule.initial = 0.01;
    schedule.total_steps = 20;
  }
};

class RecordedStepsOn : public testing::TestWithParam<test::BackendUnderTest> {};

/// The same steps, waiting for each and not, from a later one on too.
void expect_same_steps(const test::BackendUnderTest& backend, const Variant& variant) {
  const Context ctx = test::make_context(backend);
  Problem one_by_one(ctx, variant), recorded(ctx, variant);
  std::vector<ObjectiveValue> expected;
  const auto step = [](Problem& problem) {
    const auto value = problem.objective->value_and_gradient(problem.loss);
    problem.adam->step(problem.schedule(problem.adam->steps_taken()));
    return value;
  };
  for (int i = 0; i < 9; ++i) expected.push_back(step(one_by_one));

  std::vector<ObjectiveValue> found;
  for (int i = 0; i < 2; ++i) found.push_back(step(recorded));
  const auto from = [&](Index steps_taken) {
    return RecordedSteps(ctx, *recorded.objective, recorded.loss, *recorded.adam, recorded.schedule,
                         steps_taken);
  };
  const auto take = [&](RecordedSteps& steps) {
    for (const auto& value : steps.take()) found.push_back(value);
  };
  {
    RecordedSteps steps = from(2);
    steps.queue(2);
    steps.queue(1);
    EXPECT_FALSE(steps.has_room());
    EXPECT_EQ(steps.under_way(), 3);
    take(steps);
    EXPECT_EQ(steps.under_way(), 1);
    steps.queue(1);
    take(steps);
    take(steps);
    EXPECT_EQ(steps.under_way(), 0);
  }
  // Interrupted, and gone on with.
  RecordedSteps steps = from(6);
  steps.queue(3);
  take(steps);

  EXPECT_EQ(recorded.adam->steps_taken(), 9);
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_NEAR(found[i].errors.first, expected[i].errors.first, 1e-5) << i;
    EXPECT_NEAR(found[i].errors.second, expected[i].errors.second, 1e-5) << i;
    EXPECT_NEAR(found[i].errors.loss, expected[i].errors.loss, 1e-5) << i;
    EXPECT_NEAR(found[i].penalty, expected[i].penalty, 1e-5) << i;
    EXPECT_NEAR(found[i].total, expected[i].total, 1e-5) << i;
  }
  EXPECT_LT(test::relative_difference(download(ctx, recorded.parameters.values()).view(),
                                      download(ctx, one_by_one.parameters.values()).view()),
            1e-4);
}

TEST_P(RecordedStepsOn, AreTheSameSteps) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  expect_same_steps(GetParam(), {});
}

TEST_P(RecordedStepsOn, ClipGradientsAndBlurModels) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  constexpr double often_exceeded = 0.3;
  expect_same_steps(GetParam(), {.clip = often_exceeded, .blurred = true});
}

TEST_P(RecordedStepsOn, EncodeMomentsForVolumeAndDensity) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  expect_same_steps(GetParam(), {.latent = 4, .encoder = true});
}

TEST_P(RecordedStepsOn, SayThatALossIsNotFinite) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  Problem problem(ctx);
  problem.volume.set_amplitude({NAN});
  RecordedSteps steps(ctx, *problem.objective, problem.loss, *problem.adam, problem.schedule, 0);
  steps.queue(2);
  EXPECT_THROW(steps.take(), Diverged);
}

TEST(RecordedSteps, AreQueuedInTwoGroups) {
  const Context ctx = Context::cpu(1);
  Problem problem(ctx);
  RecordedSteps steps(ctx, *problem.objective, problem.loss, *problem.adam, problem.schedule, 0);
  EXPECT_THROW(steps.take(), std::invalid_argument);
  EXPECT_THROW(steps.queue(0), std::invalid_argument);
  EXPECT_THROW(steps.queue(RecordedSteps::most_together + 1), std::invalid_argument);
  steps.queue(1);
  steps.queue(1);
  EXPECT_THROW(steps.queue(1), std::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(Backends, RecordedStepsOn, testing::ValuesIn(test::all_backends()),
                         test::backend_name);

}  // namespace
}  // namespace orrery
