#include <gtest/gtest.h>

#include "apps/simulate/imaging.hpp"
#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

/// Images as a microscope sees them: shifted, of different contrast, through five CTFs, under noise
/// of a colour.
SimulateOptions everything_at_once(Index images) {
  SimulateOptions options;
  options.images = images;
  options.view_mixture = 2;
  options.shift_sigma = 0.8;
  options.contrast_sigma = 0.2;
  options.ctf = true;
  options.micrographs = 5;
  options.noise = "coloured";
  return options;
}

Volume random_volume(int n) {
  const auto numbers = test::random_tensor<float>(7, Index{n}, Index{n}, Index{n});
  Volume volume;
  volume.n = n;
  volume.voxel_size = 3;
  volume.voxels.assign(numbers.view().begin(), numbers.view().end());
  return volume;
}

class SimulatedImagesOnDevice : public testing::TestWithParam<test::BackendUnderTest> {};

TEST_P(SimulatedImagesOnDevice, AgreeWithTheCpu) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  constexpr Index count = 12;
  const SimulateOptions options = everything_at_once(20);
  const Context cpu = Context::cpu(1), device = test::make_context(GetParam());
  for (const int m : {9, 10}) {
    const Volume volume = random_volume(m);
    const ImageMaker here(cpu, options, volume), there(device, options, volume);
    const Index n = here.grid();
    const auto difference = [&](const auto& make) {
      const auto found = make(device, there), expected = make(cpu, here);
      return test::relative_difference(found, expected);
    };
    EXPECT_LT(difference([&](const Context& ctx, const ImageMaker& maker) {
                Tensor<float, 2> h(ctx, count, n * n);
                maker.signal(3, h);
                return download(ctx, h);
              }),
              1e-5);
    EXPECT_LT(difference([&](const Context& ctx, const ImageMaker& maker) {
                auto h = Tensor<float, 2>::zeros(ctx, count, n * n);
                maker.add_noise(2, 0.5, h.view());
                return download(ctx, h);
              }),
              1e-5);
    EXPECT_LT(difference([&](const Context& ctx, const ImageMaker& maker) {
                auto images = Tensor<float, 3>::zeros(ctx, count, Index{m}, Index{m});
                maker.add_noise(2, 0.5, images.view());
                return download(ctx, images);
              }),
              1e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, SimulatedImagesOnDevice,
                         testing::ValuesIn(test::device_backends()), test::backend_name);

}  // namespace
}  // namespace orrery
