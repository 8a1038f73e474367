#include "geometry/projector.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cmath>
#include <complex>
#include <cstdlib>
#include <fstream>
#include <numbers>
#include <sstream>
#include <string>

#include "kernels/slices.hpp"
#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

using test::relative_difference;

constexpr double two_pi = 2 * std::numbers::pi;

std::vector<Rotation> random_rotations(int count, std::uint64_t seed) {
  RandomSequence random(seed, 0);
  std::vector<Rotation> rotations;
  for (int i = 0; i < count; ++i) rotations.push_back(random_rotation(random));
  return rotations;
}

/// White noise inside the ball that fills the box: nothing is harder to interpolate.
Volume noise_ball(int n) {
  Volume v;
  v.n = n;
  RandomSequence random(5, 0);
  for (int z = 0; z < n; ++z)
    for (int y = 0; y < n; ++y)
      for (int x = 0; x < n; ++x) {
        const double value = random.normal(), c = n / 2;
        const bool inside = std::hypot(x - c, y - c, z - c) <= 0.5 * n;
        v.voxels.push_back(inside ? static_cast<float>(value) : 0.0f);
      }
  return v;
}

Tensor<float, 2> summed_directly(const Volume& v, const std::vector<Rotation>& rotations) {
  const Context host = Context::cpu(1);
  const auto half = slices_of(host, v, rotations);
  Tensor<float, 2> h(host, half.extent(0), Index{v.n} * v.n);
  hartley_pack<float>(host, half, h);
  return h;
}

Tensor<float, 2> projected(const Context& ctx, const Volume& v,
                           const std::vector<Rotation>& rotations, double oversampling = 2) {
  const Projector projector(ctx, v, oversampling);
  const auto matrices = matrices_of<float>(ctx, rotations);
  Tensor<float, 2> h(ctx, static_cast<Index>(rotations.size()),
                     Index{projector.size()} * projector.size());
  projector.project(matrices, h);
  return download(ctx, h);
}

double error_of(const Context& ctx, const Volume& v, double oversampling = 2) {
  const auto rotations = random_rotations(20, 3);
  return relative_difference(projected(ctx, v, rotations, oversampling),
                             summed_directly(v, rotations));
}

TEST(Projector, AgreesWithDirectSummation) {
  const Context ctx = Context::cpu(2);
  EXPECT_LT(error_of(ctx, phantom(25)), 5e-5);
  EXPECT_LT(error_of(ctx, phantom(41)), 5e-5);
  EXPECT_LT(error_of(ctx, noise_ball(25)), 2e-4);
  EXPECT_LT(error_of(ctx, noise_ball(13)), 2e-4);
  EXPECT_LT(error_of(ctx, noise_ball(5)), 4e-4);
}

TEST(Projector, MoreSamplesMakeItMoreExact) {
  const Context ctx = Context::cpu(1);
  EXPECT_LT(error_of(ctx, noise_ball(25), 3), 4e-5);
}

TEST(Projector, SeesTheGridItselfAndItsQuarterTurns) {
  std::vector<Rotation> rotations = {Rotation{}};
  for (int turn = 1; turn < 4; ++turn) rotations.push_back(rotation_about_z(turn * two_pi / 4));
  const Volume v = phantom(15);
  EXPECT_LT(
      relative_difference(projected(Context::cpu(1), v, rotations), summed_directly(v, rotations)),
      5e-5);
}

TEST(Projector, DoesNotDependOnTheThreads) {
  const auto rotations = random_rotations(9, 4);
  const auto one = projected(Context::cpu(1), phantom(13), rotations);
  const auto three = projected(Context::cpu(3), phantom(13), rotations);
  for (Index i = 0; i < one.size(); ++i) ASSERT_EQ(one.data()[i], three.data()[i]);
}

TEST(Projector, CropsEvenMapsToTheOddGridBelow) {
  const Volume v = phantom(26);
  const auto rotations = random_rotations(4, 6);
  const auto cropped = fourier_crop(Context::cpu(1), v, 25);
  EXPECT_LT(relative_difference(projected(Context::cpu(1), v, rotations),
                                summed_directly(cropped, rotations)),
            5e-5);
}

TEST(InterpolateSlices, RefusesWhatDoesNotFit) {
  const Context ctx = Context::cpu(1);
  const Projector projector(ctx, phantom(7));
  const auto matrices = matrices_of<float>(ctx, random_rotations(2, 1));
  Tensor<float, 2> wrong(ctx, 2, 48), too_many(ctx, 3, 49);
  EXPECT_THROW(projector.project(matrices, wrong), std::invalid_argument);
  EXPECT_THROW(projector.project(matrices, too_many), std::invalid_argument);
  EXPECT_THROW(Projector(ctx, phantom(7), 1.0), std::invalid_argument);
  Tensor<float, 4> samples = Tensor<float, 4>::zeros(ctx, 19, 19, 13, 2);
  Tensor<float, 2> window = Tensor<float, 2>::zeros(ctx, 9, 6), h(ctx, 2, 49);
  EXPECT_THROW(interpolate_slices(ctx, 7, {samples, window, 2.0f}, matrices, h),
               std::invalid_argument);
}

// Samples beyond 2^31 numbers, all but a few of them never touched.
TEST(InterpolateSlices, FindsSamplesFarFromTheFirst) {
  const Context ctx = Context::cpu(1);
  const auto [edge, width] = SampledSpectrum::needed(7, 2.0f);
  constexpr Index far_edge = 1625, far_width = 820;
  const auto bytes = static_cast<std::size_t>(far_edge * far_edge * far_width * 2) * sizeof(float);
  void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) GTEST_SKIP() << "the system does not lend 17 GB of addresses";
  const View<float, 4> far(static_cast<float*>(memory), far_edge, far_edge, far_width, Index{2});

  RandomSequence random(3, 0);
  Tensor<float, 4> near(ctx, edge, edge, width, 2);
  const Index shift = (far_edge - edge) / 2;
  for (Index z = 0; z < edge; ++z)
    for (Index y = 0; y < edge; ++y)
      for (Index x = 0; x < width; ++x)
        for (Index part = 0; part < 2; ++part)
          near(z, y, x, part) = far(z + shift, y + shift, x, part) =
              static_cast<float>(random.normal());
  Tensor<float, 2> window(ctx, 9, 6), expected(ctx, 2, 49), found(ctx, 2, 49);
  for (Index i = 0; i < window.size(); ++i) window.data()[i] = static_cast<float>(random.normal());
  const auto rotations = matrices_of<float>(ctx, random_rotations(2, 1));
  interpolate_slices(ctx, 7, {near, window, 2.0f}, rotations, expected);
  interpolate_slices(ctx, 7, {far, window, 2.0f}, rotations, found);
  EXPECT_EQ(relative_difference(found, expected), 0);
  ::munmap(memory, bytes);
}

class ProjectorOnDevice : public testing::TestWithParam<test::BackendUnderTest> {};

TEST_P(ProjectorOnDevice, AgreesWithTheCpu) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context device = test::make_context(GetParam());
  for (const int n : {5, 14}) {
    const auto rotations = random_rotations(3, 8);
    const auto here = projected(Context::cpu(1), noise_ball(n), rotations);
    EXPECT_LT(relative_difference(projected(device, noise_ball(n), rotations), here), 1e-5);
  }
}

TEST_P(ProjectorOnDevice, MakesTheSameImages) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context device = test::make_context(GetParam()), host = Context::cpu(1);
  const auto h = test::random_tensor<float>(7, 2, 49);
  Tensor<float, 3> here(host, 2, 10, 10), there(device, 2, 10, 10);
  images_of_slices(host, 7, h, here);
  images_of_slices(device, 7, upload(device, h), there);
  EXPECT_LT(relative_difference(download(device, there), here), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Backends, ProjectorOnDevice, testing::ValuesIn(test::device_backends()),
                         test::backend_name);

// image(x) = (m/n)^2 (1/m) sum over |kx|, |ky| <= (n-1)/2 of s(k) exp(2 pi i k.x / m), x centred,
// where s(k) = (h(k) + h(-k))/2 + i (h(-k) - h(k))/2.
TEST(ImagesOfSlices, AreTheInverseTransform) {
  for (const auto& [n, m] : {std::pair{5, 5}, {5, 6}, {5, 9}, {1, 4}}) {
    const auto h = test::random_tensor<float>(9, 2, n * n);
    Tensor<double, 3> expected(Context::cpu(1), 2, m, m);
    for (int b = 0; b < 2; ++b)
      for (int y = 0; y < m; ++y)
        for (int x = 0; x < m; ++x) {
          std::complex<double> sum = 0;
          for (int i = 0; i < n * n; ++i) {
            const double kx = i % n - n / 2, ky = i / n - n / 2;
            const double plus = h(b, i), minus = h(b, n * n - 1 - i);
            sum += std::complex<double>(plus + minus, minus - plus) / 2.0 *
                   std::polar(1.0, two_pi / m * (kx * (x - m / 2) + ky * (y - m / 2)));
          }
          EXPECT_NEAR(sum.imag(), 0, 1e-5);
          expected(b, y, x) = sum.real() * m / (double(n) * n);
        }
    Tensor<float, 3> images(Context::cpu(1), 2, m, m);
    images_of_slices(Context::cpu(1), n, h, images);
    EXPECT_LT(relative_difference(images, expected), 1e-6);
  }
}

// Seen along z, an image is the sum of the voxels along z.
TEST(ImagesOfSlices, AreSumsAlongTheLineOfSight) {
  for (const int m : {24, 25}) {
    const Volume v = phantom(m);
    auto expected = Tensor<double, 3>::zeros(Context::cpu(1), 1, m, m);
    for (int z = 0; z < m; ++z)
      for (int y = 0; y < m; ++y)
        for (int x = 0; x < m; ++x) expected(0, y, x) += v.view()(z, y, x);
    const auto h = projected(Context::cpu(1), v, {Rotation{}});
    Tensor<float, 3> images(Context::cpu(1), 1, m, m);
    images_of_slices(Context::cpu(1), odd_below(m), h, images);
    EXPECT_LT(relative_difference(images, expected), 1e-3);
  }
}

}  // namespace
}  // namespace orrery
