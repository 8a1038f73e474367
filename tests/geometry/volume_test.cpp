#include "geometry/volume.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <numbers>

#include "kernels/check.hpp"
#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

using test::random_tensor;
using test::relative_difference;

constexpr double two_pi = 2 * std::numbers::pi;

Volume random_volume(int n, std::uint64_t seed) {
  Volume v;
  v.n = n;
  const auto numbers = random_tensor<float>(seed, n, n, n);
  v.voxels.assign(numbers.view().begin(), numbers.view().end());
  return v;
}

double relative_difference(const Volume& a, const Volume& b) {
  return test::relative_difference(a.view(), b.view());
}

// n^(-3/2) sum_x v(x) exp(-2 pi i k.x / n), x centred
std::complex<double> direct_transform(const Volume& v, const Vector3& k) {
  const int n = v.n, c = n / 2;
  std::complex<double> total = 0;
  for (int z = 0; z < n; ++z)
    for (int y = 0; y < n; ++y)
      for (int x = 0; x < n; ++x)
        total += double(v.view()(z, y, x)) *
                 std::polar(1.0, -two_pi / n * (k[0] * (x - c) + k[1] * (y - c) + k[2] * (z - c)));
  return total * std::pow(n, -1.5);
}

template <class T>
double transform_error(const Context& ctx, int n, int points) {
  const Volume v = random_volume(n, 3);
  auto frequencies = random_tensor<T>(4, points, 3);
  for (T& k : frequencies.view()) k *= T(0.3) * n;
  Tensor<double, 2> expected(Context::cpu(1), points, 2);
  for (int i = 0; i < points; ++i) {
    const auto f = direct_transform(v, {frequencies(i, 0), frequencies(i, 1), frequencies(i, 2)});
    expected(i, 0) = f.real();
    expected(i, 1) = f.imag();
  }
  Tensor<T, 2> values(ctx, points, 2);
  volume_transform_at<T>(ctx, v, upload(ctx, frequencies), values);
  return relative_difference(download(ctx, values), expected);
}

TEST(VolumeTransform, MatchesTheDirectSum) {
  const Context ctx = Context::cpu();
  for (const int n : {1, 2, 5, 8, 13, 25}) {
    EXPECT_LT(transform_error<double>(ctx, n, 67), 1e-12) << "n = " << n;
    EXPECT_LT(transform_error<float>(ctx, n, 67), 2e-6) << "n = " << n;
  }
}

TEST(VolumeTransform, DoesNotDependOnTheNumberOfThreads) {
  const Volume v = random_volume(9, 1);
  const auto frequencies = random_tensor<float>(2, 500, 3);
  const Context one = Context::cpu(1), three = Context::cpu(3);
  Tensor<float, 2> a(one, 500, 2), b(three, 500, 2);
  volume_transform_at<float>(one, v, frequencies, a);
  volume_transform_at<float>(three, v, frequencies, b);
  EXPECT_EQ(relative_difference(a, b), 0);
}

TEST(VolumeTransform, RefusesOtherShapes) {
  const Context ctx = Context::cpu(1);
  const Volume v = random_volume(3, 1);
  Tensor<float, 2> frequencies(ctx, 4, 2), values(ctx, 4, 2);
  EXPECT_THROW(volume_transform_at<float>(ctx, v, frequencies, values), std::invalid_argument);
}

class VolumeOnDevice : public testing::TestWithParam<test::BackendUnderTest> {};

TEST_P(VolumeOnDevice, TransformMatchesTheDirectSum) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  EXPECT_LT(transform_error<double>(ctx, 9, 1100), 1e-12);
  EXPECT_LT(transform_error<float>(ctx, 9, 1100), 2e-6);
}

TEST_P(VolumeOnDevice, RotatedAgreesWithTheCpu) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Volume v = phantom(15);
  const Rotation r = from_rotation_vector({0.3, -0.5, 0.8});
  EXPECT_LT(relative_difference(rotated(test::make_context(GetParam()), v, r),
                                rotated(Context::cpu(), v, r)),
            1e-5);
}

INSTANTIATE_TEST_SUITE_P(, VolumeOnDevice, testing::ValuesIn(test::device_backends()),
                         test::backend_name);

TEST(Slices, AreProjectionsInsideTheNyquistDisc) {
  // The sum of voxels along z, unitary DFT over the plane, is the slice at the identity; points
  // with |k| > n/2 are zero.
  const int n = 7, h = 3;
  const Volume v = random_volume(n, 5);
  const auto slices = slices_of(Context::cpu(), v, {Rotation{}});
  for (int p = 0; p < (n * n + 1) / 2; ++p) {
    const int index = (n * n - 1) / 2 + p, kx = index % n - h, ky = index / n - h;
    std::complex<double> expected = 0;
    for (int z = 0; z < n && 4 * (kx * kx + ky * ky) <= n * n; ++z)
      for (int y = 0; y < n; ++y)
        for (int x = 0; x < n; ++x)
          expected += double(v.view()(z, y, x)) *
                      std::polar(1.0 / n, -two_pi / n * (kx * (x - h) + ky * (y - h)));
    EXPECT_NEAR(slices(0, p, 0), expected.real(), 1e-5);
    EXPECT_NEAR(slices(0, p, 1), expected.imag(), 1e-5);
  }
}

TEST(Slices, SampleAtTheTransposedRotation) {
  const Volume v = phantom(9);
  const Rotation r = from_rotation_vector({0.4, 1.1, -0.6});
  const auto slices = slices_of(Context::cpu(), v, {Rotation{}, r});
  const int p = 11, index = (81 - 1) / 2 + p;  // any point of the half plane
  const Vector3 k = {double(index % 9 - 4), double(index / 9 - 4), 0};
  const auto expected = 3.0 * direct_transform(v, transposed(r) * k);
  EXPECT_NEAR(slices(1, p, 0), expected.real(), 1e-6);
  EXPECT_NEAR(slices(1, p, 1), expected.imag(), 1e-6);
}

TEST(Phantom, IsPositiveCompactNormalisedAndCentred) {
  const Volume v = phantom();
  ASSERT_EQ(v.n, 25);
  EXPECT_NEAR(frobenius_norm(v), 1, 1e-6);
  double peak = 0, edge = 0, total = 0;
  Vector3 centre = {0, 0, 0};
  for (int z = 0; z < 25; ++z)
    for (int y = 0; y < 25; ++y)
      for (int x = 0; x < 25; ++x) {
        const double density = v.view()(z, y, x);
        ASSERT_GE(density, 0);
        const Vector3 at = {x - 12.0, y - 12.0, z - 12.0};
        peak = std::max(peak, density);
        if (norm(at) >= 12.5) edge = std::max(edge, density);
        total += density;
        for (int axis = 0; axis < 3; ++axis) centre[axis] += density * at[axis];
      }
  EXPECT_LT(edge, 1e-3 * peak);
  EXPECT_LT(norm(centre) / total, 0.01);  // voxels
}

TEST(Phantom, IsTheSameDensityInEveryBox) {
  // Cropping the fine phantom is sampling its band-limited self: equal up to the tails.
  EXPECT_LT(
      relative_difference(normalised(fourier_crop(Context::cpu(), phantom(41), 25)), phantom(25)),
      2e-4);
}

TEST(FourierCrop, KeepsDensitiesBoxAndCentre) {
  // A trigonometric polynomial that both grids hold, about centres n/2 = 4 and (7-1)/2 = 3.
  const auto wave = [](double x, double y, double z) {
    return 1.5 + std::cos(two_pi * (2 * x - y + z)) - 0.5 * std::sin(two_pi * (x + 3 * z));
  };
  const auto sampled = [&](int n) {
    Volume v;
    v.n = n;
    v.voxel_size = 16.0 / n;
    for (int i = 0; i < n * n * n; ++i)
      v.voxels.push_back(float(wave(double(i % n - n / 2) / n, double(i / n % n - n / 2) / n,
                                    double(i / n / n - n / 2) / n)));
    return v;
  };
  for (const int from : {8, 9, 12})
    for (const int to : {7, 9, 15}) {
      const Volume cropped = fourier_crop(Context::cpu(), sampled(from), to);
      EXPECT_EQ(cropped.n, to);
      EXPECT_NEAR(cropped.box(), 16, 1e-12);
      EXPECT_LT(relative_difference(cropped, sampled(to)), 1e-6) << from << " to " << to;
      const double moved = cropped.origin[0] + cropped.voxel_size * (to / 2);
      EXPECT_NEAR(moved, 16.0 / from * (from / 2), 1e-12) << "the centre stays where it was";
    }
}

TEST(FourierCrop, RefusesEvenAndEmptyBoxes) {
  EXPECT_THROW(fourier_crop(Context::cpu(), phantom(9), 6), InputError);
  EXPECT_THROW(fourier_crop(Context::cpu(), phantom(9), -1), InputError);
}

TEST(Normalised, RefusesZeroAndNonFinite) {
  Volume v = phantom(5);
  EXPECT_NEAR(frobenius_norm(normalised(v)), 1, 1e-6);
  v.voxels[3] = NAN;
  EXPECT_THROW(normalised(v), InputError);
  std::fill(v.voxels.begin(), v.voxels.end(), 0.0f);
  EXPECT_THROW(normalised(v), InputError);
}

TEST(OddBelow, IsTheLargestOddNumber) {
  EXPECT_EQ(odd_below(64), 63);
  EXPECT_EQ(odd_below(63), 63);
}

TEST(Rotated, ByTheIdentityCutsToTheBall) {
  const Volume v = random_volume(9, 8);
  const Context ctx = Context::cpu();
  EXPECT_LT(relative_difference(rotated(ctx, v, Rotation{}), band_limited(ctx, v, 4)), 1e-5);
}

TEST(Rotated, QuarterTurnMovesVoxels) {
  // Rz(90): x -> y, so that (R.v)(x, y, z) = v(y, -x, z).
  const Context ctx = Context::cpu();
  const Volume v = band_limited(ctx, random_volume(9, 8), 4);
  const Volume turned = rotated(ctx, v, rotation_about_z(std::numbers::pi / 2));
  Volume expected = v;
  for (int z = 0; z < 9; ++z)
    for (int y = 0; y < 9; ++y)
      for (int x = 0; x < 9; ++x) expected.view()(z, y, x) = v.view()(z, 8 - x, y);
  EXPECT_LT(relative_difference(turned, expected), 1e-5);
}

TEST(Rotated, ShiftsTowardsTheGivenSide) {
  const Context ctx = Context::cpu();
  const Volume v = band_limited(ctx, random_volume(9, 8), 4);
  const Volume moved = rotated(ctx, v, Rotation{}, {2, 0, -1});
  EXPECT_NEAR(moved.view()(4, 4, 6), v.view()(5, 4, 4), 1e-5);
}

TEST(Rotated, MirrorIsTheOtherHand) {
  const Context ctx = Context::cpu();
  const Volume v = band_limited(ctx, random_volume(9, 8), 4);
  EXPECT_LT(relative_difference(rotated(ctx, v, Rotation{}, {0, 0, 0}, true), mirrored(v)), 1e-5);
  const Rotation r = from_rotation_vector({1, 0.3, -0.7});
  EXPECT_LT(relative_difference(rotated(ctx, v, r, {1, 2, 0.5}, true),
                                rotated(ctx, mirrored(v), r, {1, 2, 0.5})),
            1e-5);
}

TEST(Rotated, RoundTripIsTheIdentity) {
  const Context ctx = Context::cpu();
  const Volume v = phantom(25);
  const Rotation r = from_rotation_vector({1, 0.3, -0.7});
  EXPECT_LT(relative_difference(rotated(ctx, rotated(ctx, v, r), transposed(r)), v), 2e-3);
}

TEST(Rotated, TurnsThePhantomsGaussians) {
  // (R.v)(x) = v(R^T x), sampled from the formula.
  const Context ctx = Context::cpu();
  const Rotation r = from_rotation_vector({-0.4, 0.9, 0.5});
  const int n = 25;
  Vector3 before = phantom_gaussians()[1].mean, after = r * before;
  const Volume turned = rotated(ctx, phantom(n), r);
  // The heaviest Gaussian's voxel is where R carries it.
  const auto at = [&](const Vector3& x) {
    return turned.view()(std::lround(x[2] * n) + 12, std::lround(x[1] * n) + 12,
                         std::lround(x[0] * n) + 12);
  };
  EXPECT_GT(at(after), 1.3 * at(before));
}

TEST(Mirrored, TwiceIsTheIdentity) {
  for (const int n : {7, 8}) {
    const Volume v = random_volume(n, 2);
    EXPECT_EQ(relative_difference(mirrored(mirrored(v)), v), 0);
    EXPECT_EQ(mirrored(v).view()(n / 2 + 1, n / 2, n / 2 - 2),
              v.view()(n / 2 - 1, n / 2, n / 2 + 2));
  }
}

TEST(BandLimited, KeepsLowFrequenciesAlone) {
  const Context ctx = Context::cpu();
  const Volume v = random_volume(9, 6), limited = band_limited(ctx, v, 2.5);
  EXPECT_LT(std::abs(direct_transform(limited, {1, 2, 0}) - direct_transform(v, {1, 2, 0})), 1e-6);
  EXPECT_LT(std::abs(direct_transform(limited, {1, 2, 2})), 1e-6);
}

}  // namespace
}  // namespace orrery
