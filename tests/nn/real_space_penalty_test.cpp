#include "nn/real_space_penalty.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

using test::BackendUnderTest;

int grid_index(int n, int x, int y, int z) { return ((z + n / 2) * n + y + n / 2) * n + x + n / 2; }

TEST(RealSpaceGrid, ListsOneOfEachPairInsideTheBall) {
  const int n = 7, radius = 3;
  const auto grid = make_real_space_grid<double>(Context::cpu(1), n);
  std::vector<int> seen(n * n * n);
  for (Index q = 0; q < grid.count(); ++q) {
    int k[3];
    for (int d = 0; d < 3; ++d)
      k[d] = static_cast<int>(std::lround(radius * grid.coordinates(q, d)));
    EXPECT_EQ(grid.frequencies(q), grid_index(n, k[0], k[1], k[2]));
    ++seen[grid_index(n, k[0], k[1], k[2])];
    if (q > 0) ++seen[grid_index(n, -k[0], -k[1], -k[2])];
  }
  EXPECT_EQ(grid.frequencies(0), grid_index(n, 0, 0, 0));
  for (int z = -radius; z <= radius; ++z)
    for (int y = -radius; y <= radius; ++y)
      for (int x = -radius; x <= radius; ++x)
        EXPECT_EQ(seen[grid_index(n, x, y, z)], x * x + y * y + z * z <= radius * radius ? 1 : 0);
}

// v(x) = n^(-3/2) (Re F(0) + sum over the half ball without 0 of
//        2 Re[F(k) exp(2 pi i k.x / n)]), summed term by term.
TEST(RealSpacePenalty, DensityIsTheSumOfItsWaves) {
  const Context ctx = Context::cpu(1);
  for (const int n : {3, 5, 9}) {
    const auto grid = make_real_space_grid<double>(ctx, n);
    const auto half = test::random_tensor<double>(n, grid.count(), Index{2});
    Tensor<double, 3> voxels(ctx, n, n, n), expected(ctx, n, n, n);
    to_density<double>(ctx, grid, half, voxels);
    const int radius = (n - 1) / 2;
    for (int z = -radius; z <= radius; ++z)
      for (int y = -radius; y <= radius; ++y)
        for (int x = -radius; x <= radius; ++x) {
          double v = half(0, 0);
          for (Index q = 1; q < grid.count(); ++q) {
            const double phase = 2 * std::numbers::pi / n * radius *
                                 (grid.coordinates(q, 0) * x + grid.coordinates(q, 1) * y +
                                  grid.coordinates(q, 2) * z);
            v += 2 * (half(q, 0) * std::cos(phase) - half(q, 1) * std::sin(phase));
          }
          expected.data()[grid_index(n, x, y, z)] = v / std::pow(n, 1.5);
        }
    EXPECT_LT(test::relative_difference(voxels, expected), 1e-13);
  }
}

// <A f, v> = <f, A* v>. Cancellation is bounded by |A f| |v|, the denominator.
TEST(RealSpacePenalty, ToDensityHasItsAdjoint) {
  const Context ctx = Context::cpu(2);
  for (const int n : {3, 5, 11}) {
    const auto grid = make_real_space_grid<double>(ctx, n);
    const auto f = test::random_tensor<double>(1, grid.count(), Index{2});
    const auto v = test::random_tensor<double>(2, n, n, n);
    Tensor<double, 3> af(ctx, n, n, n);
    Tensor<double, 2> av(ctx, grid.count(), 2);
    to_density<double>(ctx, grid, f, af);
    to_density_adjoint<double>(ctx, grid, v, av);
    const double size = std::sqrt(test::inner_product(af.view().flat(), af.view().flat()) *
                                  test::inner_product(v.view().flat(), v.view().flat()));
    EXPECT_NEAR(test::inner_product(af.view().flat(), v.view().flat()),
                test::inner_product(f.view().flat(), av.view().flat()), 1e-14 * size);
  }
}

// P = weight / scale^2 sum_x r(x)^2, voxel by voxel from the density.
TEST(RealSpacePenalty, CountsEachVoxelOnce) {
  const Context ctx = Context::cpu(1);
  const int n = 9;
  const RealSpacePenaltySettings settings{.support_radius = 3, .weight = 0.7, .scale = 2.5};
  const auto grid = make_real_space_grid<double>(ctx, n);
  const auto half = test::random_tensor<double>(4, grid.count(), Index{2});
  Tensor<double, 2> dhalf(ctx, grid.count(), 2);
  Tensor<double, 3> voxels(ctx, n, n, n);
  to_density<double>(ctx, grid, half, voxels);
  double total = 0;
  int outside = 0;
  for (int z = 0; z < n; ++z)
    for (int y = 0; y < n; ++y)
      for (int x = 0; x < n; ++x) {
        const double v = voxels(z, y, x);
        const double distance =
            std::sqrt((x - 4) * (x - 4) + (y - 4) * (y - 4) + (z - 4) * (z - 4));
        outside += distance > 3;
        if (distance > 3 || v < 0) total += v * v;
      }
  EXPECT_EQ(outside, 9 * 9 * 9 - 123);  // 123 points of the integer grid have |x| <= 3
  EXPECT_NEAR(real_space_penalty<double>(ctx, grid, settings, half, dhalf),
              0.7 / (2.5 * 2.5) * total, 1e-12 * total);
}

TEST(RealSpacePenalty, HasItsGradient) {
  const Context ctx = Context::cpu(2);
  for (const int n : {3, 7}) {
    const RealSpacePenaltySettings settings{.support_radius = 0.3 * n, .weight = 0.3, .scale = 1.7};
    const auto grid = make_real_space_grid<double>(ctx, n);
    auto half = test::random_tensor<double>(6, grid.count(), Index{2});
    Tensor<double, 2> dhalf(ctx, grid.count(), 2), unused(ctx, grid.count(), 2);
    real_space_penalty<double>(ctx, grid, settings, half, dhalf);
    test::expect_gradient(
        [&] { return real_space_penalty<double>(ctx, grid, settings, half, unused); },
        half.view().flat(), dhalf.view().flat(), 1e-6, 1e-6);
  }
}

// Raising a constant volume through zero: P is c v^2 below and 0 above, its derivative runs through
// zero without a jump, and no density at all costs nothing.
TEST(RealSpacePenalty, IsSmoothWhereDensityChangesSign) {
  const Context ctx = Context::cpu(1);
  const RealSpacePenaltySettings settings{.support_radius = 10, .weight = 1, .scale = 1};
  const auto grid = make_real_space_grid<double>(ctx, 3);
  auto half = Tensor<double, 2>::zeros(ctx, grid.count(), Index{2});
  Tensor<double, 2> dhalf(ctx, grid.count(), 2);
  auto penalty = [&](double mean) {
    half(0, 0) = mean;
    return real_space_penalty<double>(ctx, grid, settings, half, dhalf);
  };
  EXPECT_EQ(penalty(0), 0);
  EXPECT_EQ(dhalf(0, 0), 0);
  const double small = 1e-6;
  EXPECT_NEAR(penalty(-small), small * small, 1e-24);  // the transform keeps the norm
  EXPECT_NEAR(dhalf(0, 0), -2 * small, 1e-18);
  EXPECT_EQ(penalty(small), 0);
  EXPECT_EQ(dhalf(0, 0), 0);
}

TEST(RealSpacePenalty, SparesPositiveDensityInsideTheSupport) {
  const Context ctx = Context::cpu(1);
  const int n = 5;
  const auto grid = make_real_space_grid<double>(ctx, n);
  // Positive everywhere, of unit norm: the support decides.
  auto half = Tensor<double, 2>::zeros(ctx, grid.count(), Index{2});
  Tensor<double, 2> dhalf(ctx, grid.count(), 2);
  half(0, 0) = 1;
  auto penalty = [&](double radius) {
    return real_space_penalty<double>(
        ctx, grid, {.support_radius = radius, .weight = 1, .scale = 1}, half, dhalf);
  };
  EXPECT_EQ(penalty(4), 0);
  EXPECT_NEAR(penalty(0), 124.0 / 125, 1e-13);
  EXPECT_NEAR(penalty(1), 118.0 / 125, 1e-13);  // a voxel on the border is inside
}

TEST(RealSpacePenalty, RefusesWhatItCannotUse) {
  const Context ctx = Context::cpu(1);
  EXPECT_THROW(make_real_space_grid<float>(ctx, 4), std::invalid_argument);
  EXPECT_THROW(make_real_space_grid<float>(ctx, 1), std::invalid_argument);
  const auto grid = make_real_space_grid<float>(ctx, 3);
  Tensor<float, 2> half(ctx, grid.count(), 2), dhalf(ctx, grid.count(), 2), wrong(ctx, 2, 2);
  Tensor<float, 3> voxels(ctx, 3, 3, 3), wrong_voxels(ctx, 3, 3, 5);
  EXPECT_THROW(to_density<float>(ctx, grid, wrong, voxels), std::invalid_argument);
  EXPECT_THROW(to_density<float>(ctx, grid, half, wrong_voxels), std::invalid_argument);
  EXPECT_THROW(to_density_adjoint<float>(ctx, grid, voxels, wrong), std::invalid_argument);
  auto penalise = [&](RealSpacePenaltySettings settings, View<float, 2> gradient) {
    real_space_penalty<float>(ctx, grid, settings, half, gradient);
  };
  EXPECT_THROW(penalise({}, wrong), std::invalid_argument);
  EXPECT_THROW(penalise({.scale = 0}, dhalf), std::invalid_argument);
  EXPECT_THROW(penalise({.weight = -1}, dhalf), std::invalid_argument);
  EXPECT_THROW(penalise({.support_radius = -1}, dhalf), std::invalid_argument);
}

class RealSpacePenaltyOnBackend : public testing::TestWithParam<BackendUnderTest> {};
INSTANTIATE_TEST_SUITE_P(Backends, RealSpacePenaltyOnBackend,
                         testing::ValuesIn(test::device_backends()), test::backend_name);

template <class T>
void expect_agreement_with_the_cpu(const Context& device, double tolerance) {
  const Context host = Context::cpu(2);
  for (const int n : {3, 11}) {
    const RealSpacePenaltySettings settings{.support_radius = 0.4 * n, .weight = 0.3, .scale = 2};
    const auto half = [&] {
      const auto points = make_real_space_grid<T>(host, n).count();
      return test::random_tensor<T>(9, points, Index{2});
    }();
    auto run = [&](const Context& ctx) {
      const auto grid = make_real_space_grid<T>(ctx, n);
      const auto f = upload(ctx, half);
      Tensor<T, 2> dhalf(ctx, grid.count(), 2);
      Tensor<T, 3> voxels(ctx, n, n, n);
      to_density<T>(ctx, grid, f, voxels);
      const double penalty = real_space_penalty<T>(ctx, grid, settings, f, dhalf);
      return std::tuple(penalty, download(ctx, dhalf), download(ctx, voxels),
                        download(ctx, grid.coordinates));
    };
    const auto [penalty, dhalf, voxels, coordinates] = run(device);
    const auto [expected_penalty, expected_dhalf, expected_voxels, expected_coordinates] =
        run(host);
    EXPECT_NEAR(penalty, expected_penalty, tolerance * expected_penalty);
    EXPECT_LT(test::relative_difference(dhalf, expected_dhalf), tolerance);
    EXPECT_LT(test::relative_difference(voxels, expected_voxels), tolerance);
    EXPECT_EQ(test::relative_difference(coordinates, expected_coordinates), 0);
  }
}

TEST_P(RealSpacePenaltyOnBackend, AgreesWithTheCpu) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context device = test::make_context(GetParam());
  expect_agreement_with_the_cpu<double>(device, 1e-12);
  expect_agreement_with_the_cpu<float>(device, 1e-5);
}

}  // namespace
}  // namespace orrery
