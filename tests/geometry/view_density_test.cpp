#include "geometry/view_density.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "kernels/check.hpp"

namespace orrery {
namespace {

constexpr double pi = std::numbers::pi;

double sum(const std::vector<double>& x) { return std::accumulate(x.begin(), x.end(), 0.0); }

void expect_weights(const std::vector<double>& weights, const Quadrature& q) {
  ASSERT_EQ(static_cast<int>(weights.size()), q.view_count());
  for (double weight : weights) ASSERT_GE(weight, 0);
  EXPECT_NEAR(sum(weights), 1, 1e-13);
}

ViewDensity single(double concentration) { return {{{{0.3, -0.5, 0.6}, concentration, 1}}, 0, 0}; }

ViewDensity mixture() { return {{{{1, 0, 0.2}, 4, 1}, {{-1, 2, -1}, 7, 0.5}}, 1.5, 0.8}; }

TEST(RandomViewDensity, IsInItsRangesAndFollowsTheSeed) {
  const ViewDensity density = random_view_density(50, 3);
  ASSERT_EQ(density.components.size(), 50u);
  EXPECT_EQ(density.in_plane_concentration, 0);
  for (const VonMisesFisher& component : density.components) {
    EXPECT_NEAR(norm(component.mean), 1, 1e-15);
    EXPECT_GT(component.concentration, 3);
    EXPECT_LT(component.concentration, 12);
    EXPECT_GT(component.weight, 0.5);
    EXPECT_LT(component.weight, 1.5);
  }
  EXPECT_EQ(random_view_density(50, 3).components[49].mean, density.components[49].mean);
  EXPECT_NE(random_view_density(50, 4).components[49].mean, density.components[49].mean);
  EXPECT_THROW(random_view_density(0, 3), InputError);
}

// p(d, psi) = sum_c w_c kappa_c exp(kappa_c mean_c.d) / (4 pi sinh kappa_c) exp(k cos(psi - mean)).
TEST(ViewWeights, AreTheDensityOnTheViews) {
  const Quadrature q = make_quadrature(spherical_design(50, true), 8);
  const ViewDensity density = mixture();
  const std::vector<double> weights = view_weights(density, q);
  expect_weights(weights, q);

  std::vector<double> expected;
  for (const Rotation& view : q.views) {
    double p = 0;
    for (const auto& [mean, kappa, weight] : density.components)
      p += weight * kappa * std::exp(kappa * dot(normalised(mean), view.direction())) /
           (4 * pi * std::sinh(kappa));
    expected.push_back(p * std::exp(1.5 * std::cos(to_euler(view).psi * pi / 180 - 0.8)));
  }
  const double total = sum(expected);
  for (int j = 0; j < q.view_count(); ++j) EXPECT_NEAR(weights[j], expected[j] / total, 1e-15);
}

TEST(ViewWeights, AreEqualWhereTheDensityIsUniform) {
  const Quadrature q = make_quadrature(spherical_design(24, true), 4);
  for (double weight : view_weights(single(0), q)) EXPECT_NEAR(weight, 1.0 / 96, 1e-16);

  const Quadrature finer = make_quadrature(spherical_design(50, true), 12);
  const std::vector<double> weights = view_weights(single(9), finer);
  std::vector<double> first(finer.direction_count(), -1);
  for (int j = 0; j < finer.view_count(); ++j) {
    double& expected = first[finer.direction_of[j]];
    if (expected < 0) expected = weights[j];
    EXPECT_EQ(weights[j], expected);
  }
  EXPECT_GT(*std::max_element(first.begin(), first.end()),
            100 * *std::min_element(first.begin(), first.end()));
}

TEST(ViewWeights, DoNotDependOnTheReductionsOtherThanByOrder) {
  const SphericalDesign design = spherical_design(14, true);
  std::vector<double> full = view_weights(mixture(), make_quadrature(design, 8));
  std::vector<double> none = view_weights(mixture(), make_quadrature(design, 8, Reductions::none));
  std::sort(full.begin(), full.end());
  std::sort(none.begin(), none.end());
  for (std::size_t j = 0; j < full.size(); ++j) EXPECT_NEAR(full[j], none[j], 1e-16);
}

TEST(ViewWeights, OfADensityNarrowerThanTheQuadratureFallOnTheNearestViews) {
  const Quadrature q = make_quadrature(spherical_design(50, true), 4);
  for (double concentration : {1e5, 1e12, 1e300}) {
    const std::vector<double> weights = view_weights(single(concentration), q);
    expect_weights(weights, q);
    double closest = -1;
    for (const Vector3& d : q.design.points)
      closest = std::max(closest, dot(d, normalised({0.3, -0.5, 0.6})));
    for (int j = 0; j < q.view_count(); ++j)
      if (weights[j] > 1e-9) {
        EXPECT_NEAR(dot(q.views[j].direction(), normalised({0.3, -0.5, 0.6})), closest, 1e-14);
      }
  }
}

// Chi-squared of counts in equally likely bins; its mean is bins - 1, its deviation
// sqrt(2 (bins - 1)).
void expect_flat(const std::vector<int>& counts) {
  const double expected =
      static_cast<double>(std::accumulate(counts.begin(), counts.end(), 0)) / counts.size();
  double chi_squared = 0;
  for (int count : counts) chi_squared += (count - expected) * (count - expected) / expected;
  const double freedom = static_cast<double>(counts.size()) - 1;
  EXPECT_LT(chi_squared, freedom + 4 * std::sqrt(2 * freedom));
}

int bin_of(double fraction, int bins) {
  return std::clamp(static_cast<int>(fraction * bins), 0, bins - 1);
}

// c = mean.d has distribution function (exp(kappa (c-1)) - exp(-2 kappa)) / (1 - exp(-2 kappa)) and
// mean coth kappa - 1/kappa; the azimuth about the mean is uniform.
TEST(RandomView, DirectionsFollowVonMisesAndFisher) {
  constexpr int count = 40000, bins = 20;
  for (double kappa : {0.0, 1e-6, 0.5, 5.0, 400.0}) {
    const ViewDensity density = single(kappa);
    const Rotation frame = looking_along(density.components[0].mean);
    RandomSequence random(31, 0);
    std::vector<int> zone(bins), sector(bins);
    double mean = 0;
    for (int i = 0; i < count; ++i) {
      const Rotation view = random_view(density, random);
      ASSERT_NEAR(determinant(view), 1, 1e-14);
      const Vector3 d = frame * view.direction();
      const double below = kappa < 1e-3 ? (d[2] + 1) / 2
                                        : (std::exp(kappa * (d[2] - 1)) - std::exp(-2 * kappa)) /
                                              (1 - std::exp(-2 * kappa));
      zone[bin_of(below, bins)] += 1;
      sector[bin_of(std::atan2(d[1], d[0]) / (2 * pi) + 0.5, bins)] += 1;
      mean += d[2] / count;
    }
    expect_flat(zone);
    expect_flat(sector);
    const double expected = kappa < 1e-3 ? 0 : 1 / std::tanh(kappa) - 1 / kappa;
    EXPECT_NEAR(mean, expected, 4 / std::sqrt(count * std::max(3.0, kappa * kappa)));
  }
}

// psi - mean has density exp(k cos) / (2 pi I_0(k)): circular moments I_1/I_0 and I_2/I_0 for the
// cosines, 0 for the sine.
TEST(RandomView, PsiFollowsVonMises) {
  constexpr int count = 40000;
  for (double k : {0.0, 1e-9, 1e-4, 0.7, 6.0, 300.0}) {
    ViewDensity density = single(2);
    density.in_plane_concentration = k;
    density.in_plane_mean = -2.6;
    RandomSequence random(32, 0);
    double cosine = 0, sine = 0, second = 0;
    for (int i = 0; i < count; ++i) {
      const double psi = to_euler(random_view(density, random)).psi * pi / 180 + 2.6;
      cosine += std::cos(psi) / count;
      sine += std::sin(psi) / count;
      second += std::cos(2 * psi) / count;
    }
    const double i0 = std::cyl_bessel_i(0, k);
    const double tolerance = 4 / std::sqrt(count * std::max(2.0, k));
    EXPECT_NEAR(cosine, std::cyl_bessel_i(1, k) / i0, tolerance) << k;
    EXPECT_NEAR(sine, 0, tolerance) << k;
    EXPECT_NEAR(second, std::cyl_bessel_i(2, k) / i0, 4 * tolerance) << k;
  }
}

TEST(RandomView, PsiFillsItsHistogram) {
  constexpr int count = 40000, bins = 24, steps = 200;
  ViewDensity density = single(2);
  density.in_plane_concentration = 1.3;
  RandomSequence random(33, 0);
  std::vector<double> counts(bins), expected(bins);
  for (int i = 0; i < count; ++i)
    counts[bin_of(to_euler(random_view(density, random)).psi / 360 + 0.5, bins)] += 1;
  // The density's integral over each bin by the midpoint rule.
  for (int i = 0; i < bins * steps; ++i)
    expected[i / steps] += std::exp(1.3 * std::cos(2 * pi * (i + 0.5) / (bins * steps) - pi));
  const double total = sum(expected);
  double chi_squared = 0;
  for (int b = 0; b < bins; ++b) {
    const double mean = count * expected[b] / total;
    chi_squared += (counts[b] - mean) * (counts[b] - mean) / mean;
  }
  EXPECT_LT(chi_squared, bins - 1 + 4 * std::sqrt(2.0 * (bins - 1)));
}

// Sampling and weights are two accounts of one density: mean and mean square of every matrix
// entry agree, and a fine quadrature integrates them to far below the sampling error.
TEST(RandomView, AgreesWithTheWeights) {
  constexpr int count = 100000;
  const ViewDensity density = mixture();
  const Quadrature q = make_quadrature(spherical_design(240, true), 24);
  const std::vector<double> weights = view_weights(density, q);
  Rotation mean{{}}, square{{}}, sampled_mean{{}}, sampled_square{{}};
  for (int j = 0; j < q.view_count(); ++j)
    for (int e = 0; e < 9; ++e) {
      const double x = q.views[j].matrix[e];
      mean.matrix[e] += weights[j] * x;
      square.matrix[e] += weights[j] * x * x;
    }
  RandomSequence random(34, 0);
  for (int i = 0; i < count; ++i) {
    const Rotation view = random_view(density, random);
    for (int e = 0; e < 9; ++e) {
      sampled_mean.matrix[e] += view.matrix[e] / count;
      sampled_square.matrix[e] += view.matrix[e] * view.matrix[e] / count;
    }
  }
  for (int e = 0; e < 9; ++e) {
    EXPECT_NEAR(sampled_mean.matrix[e], mean.matrix[e], 4 / std::sqrt(count));
    EXPECT_NEAR(sampled_square.matrix[e], square.matrix[e], 2 / std::sqrt(count));
  }
}

TEST(RandomView, ChoosesComponentsByTheirWeights) {
  const ViewDensity density{
      {{{0, 0, 1}, 1e4, 1}, {{1, 0, 0}, 1e4, 0}, {{0, 0, -1}, 1e4, 3}, {{0, 1, 0}, 1e4, 0}}, 0, 0};
  RandomSequence random(35, 0);
  int up = 0, down = 0;
  for (int i = 0; i < 10000; ++i) {
    const double z = random_view(density, random).direction()[2];
    up += z > 0.9;
    down += z < -0.9;
  }
  EXPECT_EQ(up + down, 10000);
  EXPECT_NEAR(up, 2500, 180);
}

TEST(RandomView, StandsExtremeConcentrations) {
  RandomSequence random(36, 0);
  for (double concentration : {1e-300, 1e-12, 1e7, 1e9, 1e200, 1e300}) {
    ViewDensity density = single(concentration);
    density.in_plane_concentration = concentration;
    density.in_plane_mean = 1;
    for (int i = 0; i < 100; ++i) {
      const Rotation view = random_view(density, random);
      ASSERT_NEAR(determinant(view), 1, 1e-14);
      if (concentration < 1) continue;
      EXPECT_GT(dot(view.direction(), normalised({0.3, -0.5, 0.6})), 1 - 1e-5);
      EXPECT_NEAR(to_euler(view).psi * pi / 180, 1, 3e-3);
    }
  }
}

TEST(ViewDensity, RejectsWhatIsNoDensity) {
  const Quadrature q = make_quadrature(spherical_design(6, true), 4);
  RandomSequence random(37, 0);
  auto rejected = [&](auto change) {
    ViewDensity density = mixture();
    change(density);
    EXPECT_THROW(view_weights(density, q), InputError);
    EXPECT_THROW(random_view(density, random), InputError);
  };
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  rejected([](ViewDensity& d) { d.components.clear(); });
  rejected([](ViewDensity& d) { d.components[1].mean = {0, 0, 0}; });
  rejected([](ViewDensity& d) { d.components[1].mean = {0, nan, 1}; });
  rejected([](ViewDensity& d) { d.components[0].concentration = -1; });
  rejected([](ViewDensity& d) { d.components[0].concentration = infinity; });
  rejected([](ViewDensity& d) { d.components[0].weight = -0.1; });
  rejected([](ViewDensity& d) { d.components[0].weight = nan; });
  rejected([](ViewDensity& d) { d.components[0].weight = d.components[1].weight = 0; });
  rejected([](ViewDensity& d) { d.in_plane_concentration = -2; });
  rejected([](ViewDensity& d) { d.in_plane_mean = nan; });
}

TEST(TableOfViews, SharesEachViewsWeightByDistance) {
  const Quadrature q = make_quadrature(spherical_design(50, true), 8);
  RandomSequence random(38, 0);
  const std::vector<Rotation> views = {random_rotation(random), random_rotation(random)};
  const std::vector<double> weights = view_weights(views, {1, 3}, 20, q);
  expect_weights(weights, q);

  // sum_i w_i exp(kappa (cos angle_ij - 1)) / (the same summed over j), kappa = 1 / (20 degrees)^2.
  std::vector<double> expected(q.view_count(), 0.0);
  for (int i = 0; i < 2; ++i) {
    std::vector<double> share;
    for (const Rotation& view : q.views)
      share.push_back(std::exp((std::cos(angle_between(views[i], view)) - 1) * 81 / (pi * pi)));
    const double total = sum(share);
    for (int j = 0; j < q.view_count(); ++j)
      expected[j] += (i == 0 ? 0.25 : 0.75) * share[j] / total;
  }
  for (int j = 0; j < q.view_count(); ++j) EXPECT_NEAR(weights[j], expected[j], 1e-14);
}

TEST(TableOfViews, NarrowViewsFallOnTheNearestOne) {
  const Quadrature q = make_quadrature(spherical_design(24, true), 4);
  for (double width : {1.0, 1e-3, 1e-200}) {
    const std::vector<double> weights =
        view_weights({q.views[17], q.views[40], q.views[17]}, {1, 2, 1}, width, q);
    expect_weights(weights, q);
    EXPECT_NEAR(weights[17], 0.5, 1e-12);
    EXPECT_NEAR(weights[40], 0.5, 1e-12);
  }
}

TEST(TableOfViews, WideViewsSpreadEvenly) {
  const Quadrature q = make_quadrature(spherical_design(24, true), 4);
  for (double weight : view_weights({Rotation{}}, {5}, 1e6, q)) EXPECT_NEAR(weight, 1.0 / 96, 1e-9);
}

// Views drawn from a density, as a table, give that density's weights back when the kernel is
// narrower than what the density varies over.
TEST(TableOfViews, OfSampledViewsApproachesTheirDensity) {
  const Quadrature q = make_quadrature(spherical_design(100, true), 12);
  const ViewDensity density = mixture();
  RandomSequence random(39, 0);
  std::vector<Rotation> views;
  for (int i = 0; i < 20000; ++i) views.push_back(random_view(density, random));
  const std::vector<double> found = view_weights(views, std::vector<double>(views.size(), 1), 8, q);
  const std::vector<double> expected = view_weights(density, q);
  double difference = 0, norm_squared = 0;
  for (int j = 0; j < q.view_count(); ++j) {
    difference += (found[j] - expected[j]) * (found[j] - expected[j]);
    norm_squared += expected[j] * expected[j];
  }
  EXPECT_LT(std::sqrt(difference / norm_squared), 0.2);
}

TEST(TableOfViews, RejectsWhatIsNoTable) {
  const Quadrature q = make_quadrature(spherical_design(6, true), 4);
  const std::vector<Rotation> two(2);
  EXPECT_THROW(view_weights({}, {}, 5, q), InputError);
  EXPECT_THROW(view_weights(two, {1}, 5, q), InputError);
  EXPECT_THROW(view_weights(two, {1, -1}, 5, q), InputError);
  EXPECT_THROW(view_weights(two, {1, std::nan("")}, 5, q), InputError);
  EXPECT_THROW(view_weights(two, {0, 0}, 5, q), InputError);
  EXPECT_THROW(view_weights(two, {1, 1}, 0, q), InputError);
  EXPECT_THROW(view_weights(two, {1, 1}, std::nan(""), q), InputError);
}

}  // namespace
}  // namespace orrery
