// Projections by RELION itself (not part of the repository; ORRERY_TEST_DATA names the folder)
// against projections of the same map by ours, at the angles and origins of their STAR files.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "geometry/projector.hpp"
#include "io/image_stack.hpp"
#include "io/mrc.hpp"
#include "kernels/slices.hpp"

namespace orrery {
namespace {

struct RelionStack {
  std::string name;
  double beside;  // pixels that the stack's images sit beside the map's centre, in x and y
};

struct Pose {
  EulerAngles angles;
  double origin_x = 0, origin_y = 0;
};

// Rows that name an image start with rot, tilt, psi, x and y; the pixel is 1 angstrom.
std::vector<Pose> read_poses(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<Pose> poses;
  for (std::string line; std::getline(file, line);) {
    if (line.find('@') == std::string::npos) continue;
    Pose pose;
    std::istringstream(line) >> pose.angles.rot >> pose.angles.tilt >> pose.angles.psi >>
        pose.origin_x >> pose.origin_y;
    poses.push_back(pose);
  }
  return poses;
}

double correlation(View<const float, 2> a, View<const float, 2> b) {
  double mean_a = 0, mean_b = 0, cross = 0, power_a = 0, power_b = 0;
  for (Index i = 0; i < a.size(); ++i) {
    mean_a += a.data[i] / double(a.size());
    mean_b += b.data[i] / double(a.size());
  }
  for (Index i = 0; i < a.size(); ++i) {
    const double x = a.data[i] - mean_a, y = b.data[i] - mean_b;
    cross += x * y;
    power_a += x * x;
    power_b += y * y;
  }
  return cross / std::sqrt(power_a * power_b);
}

class RelionProjections : public testing::TestWithParam<RelionStack> {};

TEST_P(RelionProjections, AreOurs) {
  const char* data = std::getenv("ORRERY_TEST_DATA");
  if (!data) GTEST_SKIP() << "ORRERY_TEST_DATA names no folder with RELION's projections";
  const std::filesystem::path folder = data;
  const Context ctx = Context::cpu(1);
  const io::ImageStack stack(folder / "particles" / (GetParam().name + ".mrcs"));
  const auto poses = read_poses(folder / "particles" / (GetParam().name + ".star"));
  ASSERT_EQ(stack.count(), static_cast<Index>(poses.size()));
  const auto map =
      io::read_map(folder / "maps/clean70SRibosome_vol_65p.mrc", {.voxel_size = 1}).volume;

  const Index m = stack.size(), count = stack.count();
  Tensor<float, 3> theirs(ctx, count, m, m), ours(ctx, count, m, m);
  const std::vector<Index> all = {0, 1, 2, 3};
  stack.read(all, theirs);

  // A map with more voxels than the images have pixels is cropped to what they can show. A positive
  // origin says that the image has to be moved by it to come to the centre.
  const int n = odd_below(static_cast<int>(m));
  const Projector projector(ctx, fourier_crop(ctx, map, n));
  std::vector<Rotation> rotations;
  Tensor<float, 2> shifts(ctx, count, 2), h(ctx, count, Index{n} * n);
  for (Index i = 0; i < count; ++i) {
    rotations.push_back(from_euler(poses[i].angles));
    const double voxels = double(n) / double(m);
    shifts(i, 0) = static_cast<float>(voxels * (GetParam().beside - poses[i].origin_x));
    shifts(i, 1) = static_cast<float>(voxels * (GetParam().beside - poses[i].origin_y));
  }
  projector.project(matrices_of<float>(ctx, rotations), h);
  shift_slices<float>(ctx, n, shifts, h);
  images_of_slices(ctx, n, h, ours);
  for (Index i = 0; i < count; ++i)
    EXPECT_GT(correlation(ours.view()[i], theirs.view()[i]), 0.999)
        << GetParam().name << ", image " << i + 1;
}

INSTANTIATE_TEST_SUITE_P(Stacks, RelionProjections,
                         testing::Values(RelionStack{"rln_proj_64_centered", 0},
                                         RelionStack{"rln_proj_64_shifted", 0},
                                         RelionStack{"rln_proj_65_centered", 1},
                                         RelionStack{"rln_proj_65_shifted", 1}),
                         [](const auto& stack) { return stack.param.name; });

}  // namespace
}  // namespace orrery
