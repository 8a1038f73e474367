#include "apps/reconstruct/estimated_moments.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/check.hpp"
#include "tests/apps/noisy_moments.hpp"
#include "tests/support/compare.hpp"
#include "tests/support/expect_input_error.hpp"

namespace orrery {
namespace {

using testing::HasSubstr;

constexpr float infinity = std::numeric_limits<float>::infinity();

Problem small_problem(int n) {
  Options options;
  options.box = n;
  options.directions = 20;
  options.angles = 4;
  settle(options, n);
  std::vector<std::string> notes;
  const Context ctx = Context::cpu(1);
  return make_problem(ctx, options, read_input(ctx, options, notes));
}

/// Moments of 5 x 5 coefficients with errors that are products of a function of |k|.
ViewMoments with_errors(double (*error)(int square)) {
  ViewMoments m;
  m.n = 5;
  m.first.assign(25, 1);
  m.second.assign(625, 1);
  m.first_error.assign(25, 1);
  for (int i = 0; i < 25; ++i)
    for (int j = 0; j < 25; ++j) {
      auto square = [](int k) { return (k % 5 - 2) * (k % 5 - 2) + (k / 5 - 2) * (k / 5 - 2); };
      m.second_error.push_back(float(error(square(i)) * error(square(j))));
    }
  return m;
}

TEST(NoiseWeights, MakeErrorsAlike) {
  const auto m = with_errors([](int square) { return 0.1 * (1 + square); });
  const auto w = noise_weights(m, "moments.h5");
  ASSERT_EQ(w.size(), 25u);
  double square = 0;
  for (int i = 0; i < 25; ++i) {
    square += w[i] * w[i] / 25;
    for (int j = 0; j < 25; ++j)
      EXPECT_NEAR(w[i] * w[j] * m.second_error[i * 25 + j], w[0] * w[0] * m.second_error[0],
                  1e-5 * w[0] * w[0]);
  }
  EXPECT_NEAR(square, 1, 1e-5);
}

TEST(NoiseWeights, AreZeroWhereNothingWasObserved) {
  auto m = with_errors([](int) { return 0.3; });
  EXPECT_TRUE(observed_weights(m).empty());
  // Nothing is known of the coefficient at (1, 0): its ring goes, and nothing else.
  const int blind = 2 * 5 + 3;
  m.first_error[blind] = infinity;
  for (int j = 0; j < 25; ++j)
    m.second_error[blind * 25 + j] = m.second_error[j * 25 + blind] = infinity;
  for (const auto& weights : {observed_weights(m), noise_weights(m, "moments.h5")}) {
    ASSERT_EQ(weights.size(), 25u);
    for (int i = 0; i < 25; ++i) {
      const int x = i % 5 - 2, y = i / 5 - 2;
      EXPECT_EQ(weights[i] == 0, x * x + y * y == 1) << i;
    }
  }
  // A single pair takes the ring of fewer coefficients with it, and none of the others.
  auto pair = with_errors([](int) { return 0.3; });
  const int corner = 0, centre = 12;
  pair.second_error[corner * 25 + centre] = pair.second_error[centre * 25 + corner] = infinity;
  const auto weights = observed_weights(pair);
  ASSERT_EQ(weights.size(), 25u);
  EXPECT_EQ(std::ranges::count(weights, 0.0f), 1);
  EXPECT_EQ(weights[centre], 0);
}

TEST(NoiseWeights, NeedErrors) {
  ViewMoments m = with_errors([](int) { return 1.0; });
  m.second_error.clear();
  EXPECT_THAT(test::input_error_of([&] { noise_weights(m, "moments.h5"); }),
              testing::AllOf(HasSubstr("moments.h5"), HasSubstr("second_moment_error"),
                             HasSubstr("--weighting none")));
}

/// The level foretold is the error that the truth has.
TEST(NoiseLevel, IsTheTruthsError) {
  const Context ctx = Context::cpu(1);
  const Problem problem = small_problem(9);
  EXPECT_FALSE(noise_level(problem.moments).has_value());
  const auto noisy = test::noisy_moments(ctx, problem, 0.5, 100000, 3);
  auto error = [](const std::vector<float>& found, const std::vector<float>& truth) {
    double difference = 0, norm = 0;
    for (std::size_t i = 0; i < truth.size(); ++i) {
      difference += std::pow(double(found[i]) - double(truth[i]), 2);
      norm += std::pow(double(found[i]), 2);
    }
    return std::sqrt(difference / norm);
  };
  const auto level = noise_level(noisy).value();
  const double first = error(noisy.first, problem.moments.first);
  const double second = error(noisy.second, problem.moments.second);
  EXPECT_NEAR(level.first, first, 0.2 * first);  // 81 numbers: 8 % to be expected
  EXPECT_NEAR(level.second, second, 0.05 * second);
  EXPECT_TRUE(level.reached_by({first, second, 0}));
  EXPECT_FALSE(level.reached_by({first, 2 * second, 0}));
}

TEST(NegativePower, IsSeenWhereTooMuchNoiseWasTakenOff) {
  const Context ctx = Context::cpu(1);
  const Problem problem = small_problem(9);
  EXPECT_EQ(negative_power_share(problem.moments), 0);
  auto noisy = test::noisy_moments(ctx, problem, 0.5, 100000, 3);
  EXPECT_EQ(negative_power_share(noisy), 0);
  for (int i = 0; i < 81; ++i) noisy.second[i * 81 + i] -= 0.05f;
  EXPECT_GT(negative_power_share(noisy), 0.3);
  EXPECT_LT(negative_power_share(noisy), 1);
}

/// Moments of images cropped to fewer pixels are those of the cropped volume.
TEST(Cropping, KeepsDensities) {
  const Context ctx = Context::cpu(1);
  Problem whole = small_problem(13);
  whole.moments.shift_deviation = 1.3;
  whole.moments.noise_variance = 2;
  whole.moments.noise_spectrum = {3, 1};
  whole.moments.halves = {{whole.moments.first, whole.moments.second, 4},
                          {whole.moments.first, whole.moments.second, 6}};
  const auto small = fourier_crop(ctx, whole.reference->volume, 9);
  const auto exact = moments_of(ctx, small, whole.quadrature, whole.reference->view_weights);
  const auto found = cropped(whole.moments, 9);
  EXPECT_EQ(found.n, 9);
  EXPECT_NEAR(found.voxel_size, 13.0 / 9, 1e-12);
  EXPECT_NEAR(found.shift_deviation, 0.9, 1e-12);
  const double factor = std::pow(9.0 / 13, 4);
  EXPECT_NEAR(found.noise_variance, 2 * factor, 1e-12);
  EXPECT_NEAR(found.noise_spectrum[0], 3 * factor, 1e-12);
  // Inside the smaller disc: slices of the cropped volume end there, those of the larger one don't.
  auto inside = [](int i) { return std::hypot(i % 9 - 4, i / 9 - 4) <= 4; };
  double largest = 0;
  for (const float x : exact.second.view()) largest = std::max(largest, double(std::abs(x)));
  for (int i = 0; i < 81; ++i)
    for (int j = 0; j < 81; ++j)
      if (inside(i) && inside(j)) {
        EXPECT_NEAR(found.second[i * 81 + j], exact.second(i, j), 2e-3 * largest);
      }
  EXPECT_EQ(found.halves[1].second, found.second);
  EXPECT_EQ(found.halves[1].observations, 6);
}

}  // namespace
}  // namespace orrery
