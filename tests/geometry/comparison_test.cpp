#include "geometry/comparison.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/check.hpp"

namespace orrery {
namespace {

TEST(FourierShellCorrelation, OfAVolumeWithItselfIsOne) {
  for (const double one : fourier_shell_correlation(Context::cpu(), phantom(13), phantom(13)))
    EXPECT_NEAR(one, 1, 1e-12);
}

TEST(FourierShellCorrelation, SeesOneWaveInItsShell) {
  // a = cos(2 pi 3 x / n), b = cos(2 pi 3 x / n + phase): one pair of coefficients each, in shell
  // 3, whose correlation is cos(phase); all other shells are empty.
  const int n = 11;
  const double phase = 0.7;
  Volume a, b;
  a.n = b.n = n;
  for (int i = 0; i < n * n * n; ++i) {
    const double x = 2 * M_PI * 3 * (i % n) / n;
    a.voxels.push_back(float(std::cos(x)));
    b.voxels.push_back(float(std::cos(x + phase)));
  }
  const auto fsc = fourier_shell_correlation(Context::cpu(), a, b);
  ASSERT_EQ(fsc.size(), 6u);
  for (std::size_t s = 0; s < fsc.size(); ++s)
    EXPECT_NEAR(fsc[s], s == 3 ? std::cos(phase) : 0, 1e-6) << "shell " << s;
}

TEST(FourierShellCorrelation, RefusesTwoSizes) {
  EXPECT_THROW(fourier_shell_correlation(Context::cpu(), phantom(9), phantom(11)), InputError);
}

TEST(ResolutionAt, InterpolatesTheFirstCrossing) {
  const std::vector<double> fsc = {1, 0.9, 0.7, 0.3, 0.6, 0.1};
  const auto half = resolution_at(fsc, 0.5, 30);
  EXPECT_NEAR(half.shell, 2.5, 1e-12);
  EXPECT_NEAR(half.angstrom, 12, 1e-12);
  EXPECT_TRUE(half.reached);
  EXPECT_NEAR(resolution_at(fsc, 0.2, 30).shell, 4.8, 1e-12);
}

TEST(ResolutionAt, EndsAtTheLastShellOrBeginsAtTheFirst) {
  const auto never = resolution_at({1, 0.9, 0.8}, 0.5, 10);
  EXPECT_FALSE(never.reached);
  EXPECT_NEAR(never.angstrom, 5, 1e-12);
  EXPECT_NEAR(resolution_at({-1, 0.2, 0.1}, 0.5, 10).shell, 1, 1e-12);
}

TEST(RelativeError, IsTheNormOfTheDifference) {
  Volume a, b;
  a.n = b.n = 1;
  a.voxels = {2};
  b.voxels = {1.5};
  EXPECT_NEAR(relative_error(a, b), 0.25, 1e-12);
  EXPECT_THROW(relative_error(a, phantom(3)), InputError);
}

TEST(Correlation, IgnoresScale) {
  Volume a = phantom(5), b = a;
  for (float& x : b.voxels) x *= 3;
  EXPECT_NEAR(correlation(a, b), 1, 1e-6);
  b.voxels.assign(125, 0.0f);
  EXPECT_THROW(correlation(a, b), InputError);
}

TEST(Masked, KeepsTheBallAndFadesOut) {
  Volume v = phantom(15);
  std::fill(v.voxels.begin(), v.voxels.end(), 1.0f);
  const Volume ball = masked(v, 3, 2);
  EXPECT_EQ(ball.view()(7, 7, 10), 1);
  EXPECT_NEAR(ball.view()(7, 11, 7), 0.5, 1e-6);
  EXPECT_EQ(ball.view()(12, 7, 7), 0);
}

}  // namespace
}  // namespace orrery
