#include "apps/reconstruct/objective.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "apps/reconstruct/problem.hpp"
#include "kernels/check.hpp"
#include "kernels/second_moment.hpp"
#include "kernels/shift_blur.hpp"
#include "kernels/slices.hpp"
#include "tests/support/compare.hpp"
#include "tests/support/threads_as_processes.hpp"

namespace orrery {
namespace {

constexpr int directions = 12, angles = 4;

FourierNetSettings small_network() {
  FourierNetSettings settings;
  settings.width = 6;
  settings.modulant_hidden_layers = 1;
  settings.envelope_hidden_layers = 0;
  settings.modulant_frequency = settings.envelope_frequency = 3;
  return settings;
}

/// The moments of the phantom on a small quadrature, views not uniform.
struct Target {
  Context ctx = Context::cpu(1);
  Quadrature quadrature;
  TargetMoments<float> moments;

  explicit Target(int n, Reductions reductions = Reductions::full)
      : quadrature(make_quadrature(spherical_design(directions, true), angles, reductions)) {
    ViewDensity density = random_view_density(3, 4);
    density.in_plane_concentration = 1;
    moments = moments_of(ctx, phantom(n), quadrature, view_weights(density, quadrature));
  }
};

/// A target with priors and an objective that compares them with it.
struct Example : Target {
  int n;
  Parameters<float> parameters;
  FourierNetPrior volume;
  FreeDensityPrior density;
  Objective objective;

  Example(int size, double penalty, Reductions reductions = Reductions::full,
          const Processes& processes = Processes::alone())
      : Target(size, reductions),
        n(size),
        parameters(ctx),
        volume(ctx, small_network(), n, &moments, parameters),
        density(ctx, quadrature, DensityOver::directions, parameters),
        objective(ctx, settings_of(n, penalty), n, n, quadrature, moments, volume, density,
                  allocated(), processes) {}

  Parameters<float>& allocated() {
    parameters.allocate();
    volume.initialise(3);
    volume.set_amplitude({2.0, 1.0, 0.3});
    auto logits = parameters.values(density.part());
    const auto noise = test::random_tensor<float>(8, logits.size());
    for (Index i = 0; i < logits.size(); ++i) logits[i] = 0.5f * noise(i);
    return parameters;
  }
  static RealSpacePenaltySettings settings_of(int n, double penalty) {
    return {.support_radius = 0.3 * n, .weight = penalty, .scale = 2};
  }
};

/// The slope of the loss along a direction of unit length, by central differences of third and
/// higher order: (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12 h. Single precision wants a long step.
double numeric_slope(Example& example, const LossSettings& loss, View<const float, 1> direction) {
  const auto values = example.parameters.values();
  const auto start = download(example.ctx, values);
  auto at = [&](double amount) {
    for (Index i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>(start(i) + amount * direction[i]);
    return example.objective.value_and_gradient(loss).total;
  };
  constexpr double h = 0.01;
  const double slope = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
  at(0);
  return slope;
}

TEST(Objective, HasItsGradient) {
  for (int n : {5, 7})
    for (double penalty : {0.0, 0.3})
      for (auto kind : {LossKind::absolute, LossKind::relative, LossKind::squared}) {
        Example example(n, penalty);
        const LossSettings loss{kind, 0.7};
        const auto value = example.objective.value_and_gradient(loss);
        EXPECT_EQ(value.penalty > 0, penalty > 0);
        EXPECT_DOUBLE_EQ(value.total, value.errors.loss + value.penalty);
        const auto gradient = download(example.ctx, example.parameters.gradients());

        for (std::uint64_t seed : {1, 2, 3, 4}) {
          // Half of each direction goes down the gradient, so that the slope is not lost in
          // rounding.
          auto direction = test::random_tensor<float>(seed, gradient.size());
          const double norm = std::sqrt(test::inner_product(gradient.view(), gradient.view()));
          const double length = std::sqrt(double(gradient.size()));
          for (Index i = 0; i < gradient.size(); ++i)
            direction(i) =
                static_cast<float>(0.7 * gradient(i) / norm + 0.7 * direction(i) / length);
          const double expected = numeric_slope(example, loss, direction);
          const double slope = test::inner_product(gradient.view(), direction.view());
          EXPECT_NEAR(slope, expected, 3e-3 * std::abs(expected))
              << "n " << n << ", penalty " << penalty << ", direction " << seed;
        }
      }
}

/// Weights that depend on |k| alone, and the blur of unknown shifts.
void weigh_and_blur(Example& example) {
  const int n = example.n, h = n / 2;
  std::vector<float> weights;
  for (int i = 0; i < n * n; ++i)
    weights.push_back(1 /
                      (1 + 0.1f * float((i % n - h) * (i % n - h) + (i / n - h) * (i / n - h))));
  example.moments.weights = upload_as<float>(example.ctx, weights);
  example.moments.blur = shift_blur_factors<float>(example.ctx, n, 0.05);
}

TEST(Objective, HasItsGradientWithWeightsAndUnknownShifts) {
  Example example(7, 0);
  const LossSettings loss{LossKind::squared, 0.7};
  const double plain = example.objective.value_and_gradient(loss).total;
  weigh_and_blur(example);
  EXPECT_NE(example.objective.value_and_gradient(loss).total, plain);
  auto direction = download(example.ctx, example.parameters.gradients());
  const double norm = std::sqrt(test::inner_product(direction.view(), direction.view()));
  for (float& d : direction.view()) d = static_cast<float>(d / norm);
  EXPECT_NEAR(numeric_slope(example, loss, direction), norm, 3e-3 * norm);
}

/// Weighted slices have weighted moments: W M1 and W M2 W.
TEST(Objective, ComparesWeightedMomentsWithWeightedSlices) {
  Example example(5, 0);
  weigh_and_blur(example);
  example.moments.blur = {};
  const auto weighted = example.objective.errors_against(example.moments);
  // The model's own moments, by hand: nothing is left.
  Tensor<float, 1> first(example.ctx, 25);
  Tensor<float, 2> second(example.ctx, 25, 25);
  const auto half_points = Index{13};
  const auto& quadrature = example.quadrature;
  const Index distinct = static_cast<Index>(quadrature.distinct.size());
  Tensor<float, 3> coordinates(example.ctx, distinct, half_points, 3);
  slice_coordinates<float>(example.ctx, 5, 0.5f,
                           matrices_of<float>(example.ctx, quadrature.distinct), coordinates);
  Tensor<float, 2> values(example.ctx, distinct * half_points, 2), base(example.ctx, distinct, 25),
      slices(example.ctx, quadrature.view_count(), 25);
  example.volume.evaluate(coordinates.view().reshaped(distinct * half_points, Index{3}), values);
  hartley_pack<float>(example.ctx, values.view().reshaped(distinct, half_points, Index{2}), base);
  expand_copies<float>(example.ctx, 5, quadrature.copies, base, slices);
  Tensor<float, 1> weights(example.ctx, quadrature.view_count());
  example.density.evaluate(weights);
  weighted_moments_forward<float>(example.ctx, slices, weights, first, second);
  const auto& w = example.moments.weights;
  for (Index i = 0; i < 25; ++i) {
    first(i) *= w(i);
    for (Index j = 0; j < 25; ++j) second(i, j) *= w(i) * w(j);
  }
  auto own = make_target<float>(example.ctx, std::move(first), std::move(second));
  own.weights = upload(example.ctx, w);
  const auto none = example.objective.errors_against(own);
  EXPECT_GT(weighted.second, 0.1);
  EXPECT_LT(none.first, 1e-5);
  EXPECT_LT(none.second, 1e-5);
}

TEST(RestrictToBand, KeepsWeightsAndBlur) {
  Example example(7, 0);
  weigh_and_blur(example);
  const auto restricted = restrict_to_band(example.ctx, example.moments, 7, 3);
  EXPECT_EQ(restricted.weights.size(), 9);
  EXPECT_EQ(restricted.weights(4), example.moments.weights(24));
  EXPECT_EQ(restricted.weights(0), example.moments.weights(16));
  EXPECT_EQ(restricted.blur.size(), 3);
  EXPECT_EQ(restricted.blur(2), example.moments.blur(2));
}

TEST(Objective, ViewLogitsHaveTheirGradient) {
  Example example(7, 0);
  const LossSettings loss{LossKind::squared, 1};
  example.objective.value_and_gradient(loss);
  const auto gradient = download(example.ctx, example.parameters.gradients());
  const auto part = example.parameters.parts()[example.density.part()];
  double largest = 0;
  for (Index i = 0; i < part.count; ++i)
    largest = std::max(largest, std::abs(double(gradient(part.offset + i))));
  EXPECT_GT(largest, 0);
  for (Index i = 0; i < part.count; ++i) {
    auto direction = Tensor<float, 1>::zeros(example.ctx, gradient.size());
    direction(part.offset + i) = 1;
    EXPECT_NEAR(gradient(part.offset + i), numeric_slope(example, loss, direction), 1e-2 * largest)
        << "logit " << i;
  }
}

/// The symmetries that reduce the number of slices are exact: only rounding tells them apart.
TEST(Objective, ReductionsChangeNothing) {
  const LossSettings loss{LossKind::relative, 1};
  for (double penalty : {0.0, 0.3}) {
    Example plain(7, penalty, Reductions::none);
    const auto expected = plain.objective.value_and_gradient(loss);
    // 12 x 4 slices of (49 + 1) / 2 points, twice for the Hermitian average.
    if (penalty == 0) {
      EXPECT_EQ(plain.objective.decoder_points(), 2 * 48 * 25);
    }
    for (const auto& [reductions, copies] :
         {std::pair{Reductions::fourfold, 4}, {Reductions::full, 8}}) {
      Example reduced(7, penalty, reductions);
      EXPECT_EQ(reduced.quadrature.copies, copies);
      if (penalty == 0) {
        EXPECT_EQ(reduced.objective.decoder_points(), plain.objective.decoder_points() / copies);
      }
      const auto value = reduced.objective.value_and_gradient(loss);
      EXPECT_NEAR(value.errors.first, expected.errors.first, 2e-6 * expected.errors.first);
      EXPECT_NEAR(value.errors.second, expected.errors.second, 2e-6 * expected.errors.second);
      EXPECT_NEAR(value.penalty, expected.penalty, 2e-6 * expected.penalty);
      EXPECT_LT(
          test::relative_difference(reduced.parameters.gradients(), plain.parameters.gradients()),
          1e-5);
    }
  }
}

/// Six slices, shared out evenly and unevenly.
TEST(Objective, IsTheSameSharedAmongProcesses) {
  const LossSettings loss{LossKind::relative, 1};
  for (double penalty : {0.0, 0.3})
    for (bool blurred : {false, true}) {
      Example whole(7, penalty);
      if (blurred) weigh_and_blur(whole);
      const auto expected = whole.objective.value_and_gradient(loss);
      const auto errors = whole.objective.errors_against(whole.moments);
      for (int count : {2, 3, 4}) {
        std::vector<Tensor<float, 1>> gradients(count);
        test::run_as_processes(count, [&](Processes& processes) {
          Example shared(7, penalty, Reductions::full, processes);
          if (blurred) weigh_and_blur(shared);
          const auto value = shared.objective.value_and_gradient(loss);
          EXPECT_NEAR(value.errors.first, expected.errors.first, 2e-6 * expected.errors.first);
          EXPECT_NEAR(value.errors.second, expected.errors.second, 2e-6 * expected.errors.second);
          EXPECT_NEAR(value.penalty, expected.penalty, 2e-6 * expected.penalty);
          EXPECT_DOUBLE_EQ(value.total, value.errors.loss + value.penalty);
          EXPECT_EQ(shared.objective.decoder_points(), whole.objective.decoder_points());
          auto& gradient = gradients[processes.rank()];
          gradient = download(shared.ctx, shared.parameters.gradients());
          EXPECT_LT(test::relative_difference(gradient.view(), whole.parameters.gradients()), 1e-5);
          const auto again = shared.objective.errors_against(shared.moments);
          EXPECT_NEAR(again.second, errors.second, 2e-6 * errors.second);
        });
        for (const auto& gradient : gradients)
          EXPECT_TRUE(std::ranges::equal(gradient.view(), gradients[0].view()));
      }
    }
}

TEST(Objective, NeedsASliceForEachProcess) {
  EXPECT_THROW(test::run_as_processes(
                   7, [](Processes& processes) { Example(5, 0, Reductions::full, processes); }),
               InputError);
}

TEST(Objective, IsZeroAtTheTruth) {
  // Against its own moments a model has no error, and no gradient but the penalty's.
  Example example(7, 0);
  const Index pixels = 49, views = example.quadrature.view_count();
  const Index distinct = static_cast<Index>(example.quadrature.distinct.size());
  const Context& ctx = example.ctx;
  Tensor<float, 2> coordinates(ctx, distinct * 25, Index{3}), values(ctx, distinct * 25, Index{2});
  slice_coordinates<float>(ctx, 7, 2.0f / 6, matrices_of<float>(ctx, example.quadrature.distinct),
                           coordinates.view().reshaped(distinct, Index{25}, Index{3}));
  example.volume.evaluate(coordinates, values);
  Tensor<float, 2> base(ctx, distinct, pixels), slices(ctx, views, pixels);
  hartley_pack<float>(ctx, values.view().reshaped(distinct, Index{25}, Index{2}), base);
  expand_copies<float>(ctx, 7, example.quadrature.copies, base, slices);
  Tensor<float, 1> weights(ctx, views), first(ctx, pixels);
  example.density.evaluate(weights);
  Tensor<float, 2> second(ctx, pixels, pixels);
  weighted_moments_forward<float>(ctx, slices, weights, first, second);
  example.moments = make_target<float>(ctx, std::move(first), std::move(second));

  const auto value = example.objective.value_and_gradient({LossKind::squared, 1});
  EXPECT_LT(value.errors.first, 1e-6);
  EXPECT_LT(value.errors.second, 1e-6);
}

TEST(RestrictToBand, IsTheMomentsOfCroppedSlices) {
  const Target target(9);
  const Context& ctx = target.ctx;
  const int n = 9, band = 5, edge = 2;
  const auto slices = test::random_tensor<float>(1, Index{30}, Index{n * n});
  auto weights = test::random_tensor<float>(2, Index{30});
  for (float& w : weights.view()) w *= w;

  auto moments = [&](const Tensor<float, 2>& of) {
    const Index pixels = of.extent(1);
    Tensor<float, 1> first(ctx, pixels);
    Tensor<float, 2> second(ctx, pixels, pixels);
    weighted_moments_forward<float>(ctx, of, weights, first, second);
    return make_target<float>(ctx, std::move(first), std::move(second));
  };
  Tensor<float, 2> cropped(ctx, 30, band * band);
  for (Index j = 0; j < 30; ++j)
    for (int y = 0; y < band; ++y)
      for (int x = 0; x < band; ++x)
        cropped(j, y * band + x) = slices(j, (y + edge) * n + x + edge);

  const auto expected = moments(cropped), found = restrict_to_band(ctx, moments(slices), n, band);
  EXPECT_LT(test::relative_difference(found.first, expected.first), 1e-6);
  EXPECT_LT(test::relative_difference(found.second, expected.second), 1e-6);
  EXPECT_NEAR(found.first_norm, expected.first_norm, 1e-5 * expected.first_norm);
  EXPECT_NEAR(found.second_norm, expected.second_norm, 1e-5 * expected.second_norm);
  EXPECT_THROW(restrict_to_band(ctx, moments(slices), n, 4), std::invalid_argument);
  EXPECT_THROW(restrict_to_band(ctx, moments(slices), n, 11), std::invalid_argument);
}

TEST(Objective, OnABandSeesThatBandOfTheSameVolume) {
  // The model compared on a band equals the model compared on all frequencies, then cropped: so
  // both have no error against the moments of one and the same model.
  Example example(9, 0);
  const Context& ctx = example.ctx;
  const auto band_target = restrict_to_band(ctx, example.moments, 9, 5);
  Objective band(ctx, {.weight = 0}, 9, 5, example.quadrature, band_target, example.volume,
                 example.density, example.parameters);
  EXPECT_EQ(band.decoder_points(), 2 * 6 * 13);

  const LossSettings loss{LossKind::squared, 1};
  const auto coarse = band.value_and_gradient(loss);
  // By plain evaluation of the same slices.
  Tensor<float, 2> x(ctx, Index{6 * 41}, Index{3}), values(ctx, Index{6 * 41}, Index{2});
  slice_coordinates<float>(ctx, 9, 2.0f / 8, matrices_of<float>(ctx, example.quadrature.distinct),
                           x.view().reshaped(Index{6}, Index{41}, Index{3}));
  example.volume.evaluate(x, values);
  Tensor<float, 2> base(ctx, 6, 81), slices(ctx, 48, 81), second(ctx, 81, 81);
  hartley_pack<float>(ctx, values.view().reshaped(Index{6}, Index{41}, Index{2}), base);
  expand_copies<float>(ctx, 9, 8, base, slices);
  Tensor<float, 1> weights(ctx, 48), first(ctx, 81);
  example.density.evaluate(weights);
  weighted_moments_forward<float>(ctx, slices, weights, first, second);
  const auto model =
      restrict_to_band(ctx, make_target<float>(ctx, std::move(first), std::move(second)), 9, 5);
  EXPECT_NEAR(coarse.errors.first, test::relative_difference(model.first, band_target.first), 1e-5);
  EXPECT_NEAR(coarse.errors.second, test::relative_difference(model.second, band_target.second),
              1e-5);
}

TEST(ViewGroups, ShareAProbability) {
  const Context ctx = Context::cpu(1);
  const auto quadrature = make_quadrature(spherical_design(directions, true), angles);
  const auto over_directions = ViewGroups(ctx, quadrature, DensityOver::directions);
  const auto over_rotations = ViewGroups(ctx, quadrature, DensityOver::rotations);
  EXPECT_EQ(over_directions.count(), directions);
  EXPECT_EQ(over_rotations.count(), directions * angles);

  for (const ViewGroups* groups : {&over_directions, &over_rotations}) {
    const auto logits = test::random_tensor<float>(6, groups->count());
    Tensor<float, 1> weights(ctx, directions * angles);
    const auto backward = groups->softmax(logits, weights);
    double total = 0, partition = 0;
    for (float w : weights.view()) total += w;
    EXPECT_NEAR(total, 1, 1e-6);
    for (float logit : logits.view()) partition += std::exp(double(logit));
    const Index size = directions * angles / groups->count();
    for (int j = 0; j < directions * angles; ++j) {
      const int group = groups == &over_directions ? quadrature.direction_of[j] : j;
      EXPECT_NEAR(weights(j), std::exp(double(logits(group))) / partition / double(size), 1e-7);
    }

    // The pullback is the transposed derivative: of sum_j c_j w_j, by the formula
    // dL/dlogit_g = p_g (mean of c over the group - sum_j c_j w_j).
    const auto c = test::random_tensor<float>(7, weights.size());
    Tensor<float, 1> dlogits(ctx, groups->count());
    backward(c, dlogits);
    const double all = test::inner_product(c.view(), weights.view());
    std::vector<double> expected(groups->count(), 0.0);
    for (int j = 0; j < directions * angles; ++j) {
      const int group = groups == &over_directions ? quadrature.direction_of[j] : j;
      expected[group] += weights(j) * (c(j) - all);
    }
    for (Index g = 0; g < groups->count(); ++g) EXPECT_NEAR(dlogits(g), expected[g], 1e-7);
  }
}

TEST(DensityPriors, GiveProbabilities) {
  Example example(7, 0);
  const Context& ctx = example.ctx;
  Parameters<float> parameters(ctx);
  EncoderDensityPrior encoder(ctx, example.quadrature, DensityOver::rotations, example.moments, 7,
                              parameters);
  parameters.allocate();
  encoder.initialise(1);
  std::vector<double> known(example.quadrature.view_count(), 0.0);
  known[3] = 0.25;
  known[40] = 0.75;
  KnownDensity fixed(ctx, known);
  for (DensityPrior* prior :
       {static_cast<DensityPrior*>(&example.density), static_cast<DensityPrior*>(&encoder),
        static_cast<DensityPrior*>(&fixed)}) {
    Tensor<float, 1> weights(ctx, example.quadrature.view_count());
    prior->evaluate(weights);
    double total = 0;
    for (float w : weights.view()) {
      EXPECT_GE(w, 0);
      total += w;
    }
    EXPECT_NEAR(total, 1, 1e-6);
  }
}

TEST(Objective, TrainsTheLatentsEncoder) {
  // With a latent the volume's own encoder is part of the parameters, and has a gradient.
  Target target(7);
  FourierNetSettings settings = small_network();
  settings.latent = 2;
  Parameters<float> parameters(target.ctx);
  FourierNetPrior volume(target.ctx, settings, 7, &target.moments, parameters);
  FreeDensityPrior density(target.ctx, target.quadrature, DensityOver::directions, parameters);
  parameters.allocate();
  volume.initialise(3);
  density.initialise(3);
  Objective objective(target.ctx, {.weight = 0}, 7, 7, target.quadrature, target.moments, volume,
                      density, parameters);
  objective.value_and_gradient({LossKind::relative, 1});
  const auto gradients = parameters.gradients(2);
  EXPECT_EQ(parameters.parts()[2].name, "latent encoder");
  EXPECT_GT(test::inner_product(gradients, gradients), 0);
  EXPECT_THROW(FourierNetPrior(target.ctx, settings, 7, nullptr, parameters),
               std::invalid_argument);
}

}  // namespace
}  // namespace orrery
