#include "moments/image_coefficients.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <numbers>

#include "moments/particle_moments.hpp"
#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

using test::random_tensor;

const Context cpu = Context::cpu(2);
const View<const double, 2> no_shifts(nullptr, 0, 2);

// F(k) = 1/m sum_x image[x] exp(-2 pi i k.x / m), moved by d: F(k) exp(-2 pi i k.d / m),
// h(k) = (n/m)^2 (Re - Im)
Tensor<double, 2> direct_sums(const Tensor<float, 3>& images, View<const double, 2> shifts,
                              Index n) {
  const Index count = images.extent(0), m = images.extent(1), half = (n - 1) / 2, centre = m / 2;
  Tensor<double, 2> h(cpu, count, n * n);
  for (Index b = 0; b < count; ++b)
    for (Index ky = -half; ky <= half; ++ky)
      for (Index kx = -half; kx <= half; ++kx) {
        std::complex<double> sum = 0;
        const double dx = shifts.extent(0) ? shifts(b, 0) : 0;
        const double dy = shifts.extent(0) ? shifts(b, 1) : 0;
        for (Index y = 0; y < m; ++y)
          for (Index x = 0; x < m; ++x) {
            const double turn =
                double(kx) * (double(x - centre) + dx) + double(ky) * (double(y - centre) + dy);
            sum += double(images(b, y, x)) *
                   std::polar(1 / double(m), -2 * std::numbers::pi * turn / double(m));
          }
        const double crop = double(n) / double(m);
        h(b, (ky + half) * n + kx + half) = crop * crop * (sum.real() - sum.imag());
      }
  return h;
}

void expect_definition(const Context& ctx, Index m, Index n, bool moved) {
  const auto images = random_tensor<float>(3, Index{5}, m, m);
  const auto shifts = random_tensor<double>(4, Index{5}, Index{2});
  const auto used = moved ? shifts.view() : no_shifts;
  Tensor<float, 2> h(ctx, Index{5}, n * n);
  ImageTransform(ctx, m, n)(upload(ctx, images), used, h);
  EXPECT_LT(test::relative_difference(download(ctx, h), direct_sums(images, used, n)), 1e-6)
      << m << " to " << n;
}

TEST(ImageTransform, IsTheDirectSum) {
  for (const bool moved : {false, true}) {
    expect_definition(cpu, 1, 1, moved);
    expect_definition(cpu, 6, 5, moved);
    expect_definition(cpu, 7, 7, moved);
    expect_definition(cpu, 16, 9, moved);
    expect_definition(cpu, 13, 5, moved);
  }
}

TEST(ImageTransform, APointInTheCentreIsFlat) {
  auto image = Tensor<float, 3>::zeros(cpu, 1, 8, 8);
  image(0, 4, 4) = 64;
  Tensor<float, 2> h(cpu, 1, 25);
  ImageTransform(cpu, 8, 5)(image, no_shifts, h);
  for (const float x : h.view()) EXPECT_NEAR(x, 8 * 25 / 64., 1e-5);
}

// h(k) = (n/m)^2 / m cas(2 pi k.x / m) for one bright pixel at x: sizes that direct sums are too
// slow for.
TEST(ImageTransform, APointIsAWave) {
  for (const auto& [m, n] : {std::pair<Index, Index>{66, 65}, {131, 131}, {50, 39}})
    for (const auto& [x, y] : {std::pair<Index, Index>{0, 0}, {m - 1, 3}, {m / 2, 1}, {7, m / 2}}) {
      auto image = Tensor<float, 3>::zeros(cpu, 1, m, m);
      image(0, y, x) = 1;
      Tensor<float, 2> h(cpu, 1, n * n);
      Tensor<double, 2> wave(cpu, 1, n * n);
      ImageTransform(cpu, m, n)(image, no_shifts, h);
      for (Index k = 0; k < n * n; ++k) {
        const Index turn = (k % n - n / 2) * (x - m / 2) + (k / n - n / 2) * (y - m / 2);
        const double angle = 2 * std::numbers::pi * double(turn) / double(m);
        wave(0, k) =
            std::pow(double(n) / double(m), 2) / double(m) * (std::cos(angle) + std::sin(angle));
      }
      EXPECT_LT(test::relative_difference(h, wave), 3e-7) << m << " to " << n;
    }
}

TEST(ImageTransform, DoesNotDependOnTheThreads) {
  const auto images = random_tensor<float>(3, 7, 20, 20);
  Tensor<float, 2> one(cpu, 7, 121), three(cpu, 7, 121);
  ImageTransform(Context::cpu(1), 20, 11)(images, no_shifts, one);
  ImageTransform(Context::cpu(3), 20, 11)(images, no_shifts, three);
  EXPECT_TRUE(std::equal(one.view().begin(), one.view().end(), three.view().begin()));
}

// Moving an image by whole pixels and telling the transform of it brings back the transform.
TEST(ImageTransform, ShiftsMoveTheImage) {
  constexpr Index m = 12, n = 11;
  auto image = random_tensor<float>(8, Index{1}, m, m);
  Tensor<float, 3> moved(cpu, 1, m, m);
  for (Index y = 0; y < m; ++y)
    for (Index x = 0; x < m; ++x) moved(0, (y + 3) % m, (x + m - 2) % m) = image(0, y, x);
  Tensor<double, 2> shift(cpu, 1, 2);
  shift(0, 0) = 2, shift(0, 1) = -3;
  Tensor<float, 2> h(cpu, 1, n * n), expected(cpu, 1, n * n);
  const ImageTransform transform(cpu, m, n);
  transform(image, no_shifts, expected);
  transform(moved, shift, h);
  EXPECT_LT(test::relative_difference(h, expected), 1e-6);
}

TEST(ImageTransform, OfWhiteNoiseIsWhite) {
  constexpr Index m = 10, n = 7, count = 4000;
  const auto images = random_tensor<float>(9, count, m, m);
  const auto shifts = random_tensor<double>(10, count, Index{2});
  Tensor<float, 2> h(cpu, count, n * n);
  ImageTransform(cpu, m, n)(images, shifts, h);
  const double variance = std::pow(double(n) / m, 4);
  ParticleMoments moments(cpu, n * n, false);
  moments.add(h);
  const auto e = moments.estimate(variance);
  double chi_squared = 0;
  for (Index i = 0; i < n * n; ++i)
    for (Index j = i; j < n * n; ++j)
      chi_squared += std::pow(e.second[i * n * n + j] / e.second_error[i * n * n + j], 2);
  const double pairs = n * n * (n * n + 1) / 2.;
  EXPECT_NEAR(chi_squared / pairs, 1, 0.15);
}

TEST(ImageTransform, RefusesOtherShapes) {
  EXPECT_THROW(ImageTransform(cpu, 8, 4), std::invalid_argument);
  EXPECT_THROW(ImageTransform(cpu, 8, 9), std::invalid_argument);
  const ImageTransform transform(cpu, 8, 5);
  const auto images = random_tensor<float>(1, Index{2}, Index{8}, Index{8});
  Tensor<float, 2> h(cpu, 2, 25), narrow(cpu, 2, 24);
  EXPECT_THROW(transform(images, no_shifts, narrow), std::invalid_argument);
  EXPECT_THROW(transform(images, random_tensor<double>(1, Index{1}, Index{2}), h),
               std::invalid_argument);
  EXPECT_THROW(transform(random_tensor<float>(1, Index{2}, Index{7}, Index{8}), no_shifts, h),
               std::invalid_argument);
}

bool lies_within(Index m, Index y, Index x, double radius) {
  const double dy = double(y - m / 2), dx = double(x - m / 2);
  return dy * dy + dx * dx <= radius * radius;
}

void expect_sums(const Context& ctx, Index m, double radius) {
  const BackgroundCircle circle{m, radius};
  const auto images = random_tensor<float>(3, Index{4}, m, m);
  Tensor<double, 2> sums(ctx, Index{4}, Index{3});
  background_sums(ctx, circle, upload(ctx, images), sums);
  auto kept = upload(ctx, images);
  keep_background(ctx, circle, kept);
  const auto found = download(ctx, sums);
  const auto background = download(ctx, kept);
  for (Index b = 0; b < 4; ++b) {
    double outside = 0, squares = 0, middle = 0;
    Index pixels_outside = 0, pixels_in_middle = 0;
    for (Index y = 0; y < m; ++y)
      for (Index x = 0; x < m; ++x) {
        const double pixel = images(b, y, x);
        const bool is_outside = !lies_within(m, y, x, radius);
        if (is_outside) outside += pixel, squares += pixel * pixel, ++pixels_outside;
        if (lies_within(m, y, x, radius / 2)) middle += pixel, ++pixels_in_middle;
        EXPECT_EQ(background(b, y, x), is_outside ? images(b, y, x) : 0);
      }
    EXPECT_NEAR(found(b, 0), outside, 1e-9);
    EXPECT_NEAR(found(b, 1), squares, 1e-9);
    EXPECT_NEAR(found(b, 2), middle, 1e-9);
    EXPECT_EQ(circle.pixels_outside(), pixels_outside);
    EXPECT_EQ(circle.pixels_in_middle(), pixels_in_middle);
  }
}

TEST(Background, SumsAreTheDefinition) {
  expect_sums(cpu, 16, 8);
  expect_sums(cpu, 17, 8.5);
  expect_sums(cpu, 16, 3.2);
  expect_sums(cpu, 31, 20);
  expect_sums(cpu, 5, 0);
}

TEST(Background, BrightnessIsAdjusted) {
  auto images = random_tensor<float>(3, Index{2}, Index{4}, Index{4});
  const auto before = upload(cpu, images);
  Tensor<float, 2> change(cpu, 2, 2);
  change(0, 0) = 1, change(0, 1) = 2, change(1, 0) = -1, change(1, 1) = -0.5f;
  adjust_brightness(cpu, change, images);
  for (Index i = 0; i < 16; ++i) {
    EXPECT_FLOAT_EQ(images.data()[i], 2 * (before.data()[i] - 1));
    EXPECT_FLOAT_EQ(images.data()[16 + i], -0.5f * (before.data()[16 + i] + 1));
  }
}

TEST(Background, RefusesOtherShapes) {
  const auto images = random_tensor<float>(3, Index{2}, Index{4}, Index{4});
  Tensor<double, 2> sums(cpu, 2, 3);
  EXPECT_THROW(background_sums(cpu, {5, 2}, images, sums), std::invalid_argument);
  EXPECT_THROW(background_sums(cpu, {4, 4}, images, sums), std::invalid_argument);
  EXPECT_THROW(background_sums(cpu, {4, 2}, images, View<double, 2>(sums.data(), 1, 3)),
               std::invalid_argument);
  EXPECT_THROW(keep_background(cpu, {5, 2}, upload(cpu, images)), std::invalid_argument);
  EXPECT_THROW(adjust_brightness(cpu, Tensor<float, 2>(cpu, 1, 2), upload(cpu, images)),
               std::invalid_argument);
}

/// Known objects, each image moved off the centre by a known shift, and seen through a CTF.
struct ShiftedImages {
  static constexpr Index m = 6, n = 5, pixels = n * n, count = 150;

  ParticleMomentsEstimate estimate(std::uint64_t seed) const {
    RandomSequence random(seed, 0);
    Tensor<float, 3> images(cpu, count, m, m);
    Tensor<double, 2> shifts(cpu, count, 2);
    Tensor<float, 2> h(cpu, count, pixels);
    for (Index b = 0; b < count; ++b) {
      const Index object = random.uniform() < 0.3 ? 0 : 1;
      const auto dx = static_cast<Index>(random.uniform(0, 3)) - 1;
      const auto dy = static_cast<Index>(random.uniform(0, 3)) - 1;
      shifts(b, 0) = double(dx), shifts(b, 1) = double(dy);
      for (Index y = 0; y < m; ++y)
        for (Index x = 0; x < m; ++x)
          images(b, y, x) =
              float(objects(object, (y + dy + m) % m, (x + dx + m) % m) + 2 * random.normal());
    }
    ImageTransform(cpu, m, n)(images, shifts, h);
    ParticleMoments moments(cpu, pixels, false);
    moments.add(h);
    return moments.estimate(4 * std::pow(double(n) / m, 4));
  }
  Tensor<float, 3> objects = random_tensor<float>(5, Index{2}, m, m);
};

// With known shifts the estimates have no bias: over 200 seeds their mean is within 4 of its
// standard errors of the moments of the images in the centre.
TEST(ImageTransform, MomentsOfShiftedImagesHaveNoBias) {
  constexpr Index pixels = ShiftedImages::pixels, seeds = 200;
  const ShiftedImages experiment;
  const auto h = direct_sums(experiment.objects, no_shifts, ShiftedImages::n);
  std::vector<double> sums(pixels * pixels), squares(pixels * pixels);
  for (Index seed = 0; seed < seeds; ++seed) {
    const auto e = experiment.estimate(500 + static_cast<std::uint64_t>(seed));
    for (Index i = 0; i < pixels * pixels; ++i) {
      sums[i] += e.second[i];
      squares[i] += double(e.second[i]) * e.second[i];
    }
  }
  for (Index i = 0; i < pixels; ++i)
    for (Index j = i; j < pixels; ++j) {
      const double truth = 0.3 * h(0, i) * h(0, j) + 0.7 * h(1, i) * h(1, j);
      const double mean = sums[i * pixels + j] / seeds;
      const double variance = squares[i * pixels + j] / seeds - mean * mean;
      EXPECT_LT(std::abs(mean - truth), 4 * std::sqrt(variance / seeds)) << i << ", " << j;
    }
}

class ImageCoefficientsOnDevice : public testing::TestWithParam<test::BackendUnderTest> {};

TEST_P(ImageCoefficientsOnDevice, AreTheDefinition) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context device = test::make_context(GetParam());
  expect_definition(device, 16, 9, true);
  expect_definition(device, 7, 7, false);
  expect_sums(device, 16, 8);
  expect_sums(device, 17, 5);
}

INSTANTIATE_TEST_SUITE_P(Backends, ImageCoefficientsOnDevice,
                         testing::ValuesIn(test::device_backends()), test::backend_name);

}  // namespace
}  // namespace orrery
