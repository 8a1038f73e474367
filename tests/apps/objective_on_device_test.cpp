#include <gtest/gtest.h>

#include "apps/reconstruct/objective.hpp"
#include "kernels/slices.hpp"
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

/// The objective's value and its parameters' gradient on one backend, everything in them random but
/// the same: the whole chain from priors to loss and back.
struct Evaluated {
  ObjectiveValue value;
  Tensor<float, 1> weights;   // of the views
  Tensor<float, 1> gradient;  // of all parameters
};

Evaluated evaluate_on(const Context& ctx, DensityOver over, Index latent) {
  const auto quadrature = make_quadrature(spherical_design(8, true), 4);
  const Index pixels = n * n;
  auto first = test::random_tensor<float>(1, pixels);
  auto second = test::random_tensor<float>(2, pixels, pixels);
  for (Index i = 0; i < pixels; ++i)
    for (Index j = 0; j < i; ++j) second(i, j) = second(j, i);
  const auto target = make_target<float>(ctx, upload(ctx, first), upload(ctx, second));

  Parameters<float> parameters(ctx);
  FourierNetPrior volume(ctx, small_network(latent), n, &target, parameters);
  FreeDensityPrior density(ctx, quadrature, over, parameters);
  parameters.allocate();
  volume.initialise(3);
  const auto logits = test::random_tensor<float>(4, parameters.parts()[density.part()].count);
  copy<float, 1>(ctx, upload(ctx, logits), parameters.values(density.part()));

  const RealSpacePenaltySettings penalty{.support_radius = 1.5, .weight = 0.2, .scale = 2};
  Objective objective(ctx, penalty, n, n, quadrature, target, volume, density, parameters);
  Evaluated evaluated;
  evaluated.value = objective.value_and_gradient({LossKind::relative, 0.7});
  evaluated.gradient = download(ctx, parameters.gradients());
  Tensor<float, 1> weights(ctx, quadrature.view_count());
  density.evaluate(weights);
  evaluated.weights = download(ctx, weights);
  return evaluated;
}

class ObjectiveOnDevice : public testing::TestWithParam<test::BackendUnderTest> {};

TEST_P(ObjectiveOnDevice, AgreesWithTheCpu) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context device = test::make_context(GetParam());
  for (const auto over : {DensityOver::directions, DensityOver::rotations})
    for (const Index latent : {0, 2}) {
      const auto expected = evaluate_on(Context::cpu(), over, latent);
      const auto found = evaluate_on(device, over, latent);
      EXPECT_NEAR(found.value.errors.first, expected.value.errors.first, 1e-5);
      EXPECT_NEAR(found.value.errors.second, expected.value.errors.second, 1e-5);
      EXPECT_NEAR(found.value.penalty, expected.value.penalty, 1e-5 * expected.value.penalty);
      EXPECT_LT(test::relative_difference(found.weights, expected.weights), 1e-6);
      EXPECT_LT(test::relative_difference(found.gradient, expected.gradient), 1e-4);
    }
}

INSTANTIATE_TEST_SUITE_P(Backends, ObjectiveOnDevice, testing::ValuesIn(test::device_backends()),
                         test::backend_name);

}  // namespace
}  // namespace orrery
