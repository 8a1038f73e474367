#include <gmock/gmock.h>
#include <omp.h>
#include <png.h>

#include <algorithm>
#include <cmath>

#include "io/files.hpp"
#include "io/isosurface.hpp"
#include "tests/support/expect_input_error.hpp"
#include "tests/support/temporary_folder.hpp"

namespace orrery::io {
namespace {

using test::TemporaryFolder;
using testing::Each;
using testing::HasSubstr;

/// A Gaussian of the given width (voxels) at `centre` (voxels from the centre).
Volume gaussian(int n, double width, Vector3 centre = {0, 0, 0}) {
  Volume volume{.n = n, .voxel_size = 1, .voxels = {}};
  for (int z = 0; z < n; ++z)
    for (int y = 0; y < n; ++y)
      for (int x = 0; x < n; ++x) {
        const double dx = x - n / 2 - centre[0], dy = y - n / 2 - centre[1],
                     dz = z - n / 2 - centre[2];
        volume.voxels.push_back(
            float(std::exp(-(dx * dx + dy * dy + dz * dz) / (2 * width * width))));
      }
  return volume;
}

/// Pixels of a tile that show something, by column and row of tiles.
struct Covered {
  int count = 0;
  double x = 0, y = 0;  // their centre, pixels from the tile's top left
};
Covered covered(const Picture& picture, int tile, int column, int row) {
  Covered found;
  for (int y = 0; y < tile; ++y)
    for (int x = 0; x < tile; ++x) {
      const auto* pixel = &picture.rgb[3 * ((row * tile + y) * picture.width + column * tile + x)];
      if (pixel[0] == 255 && pixel[1] == 255 && pixel[2] == 255) continue;
      ++found.count;
      found.x += x;
      found.y += y;
    }
  found.x /= found.count;
  found.y /= found.count;
  return found;
}

TEST(Png, ReadsBackExactly) {
  const TemporaryFolder folder;
  Picture picture{.width = 5, .height = 3};
  for (int i = 0; i < 45; ++i) picture.rgb.push_back(static_cast<std::uint8_t>(5 * i));
  write_png(folder / "a.png", picture);

  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  ASSERT_TRUE(png_image_begin_read_from_file(&image, (folder / "a.png").c_str()));
  EXPECT_EQ(image.format, png_uint_32{PNG_FORMAT_RGB});
  ASSERT_EQ(image.width, 5u);
  ASSERT_EQ(image.height, 3u);
  std::vector<std::uint8_t> pixels(45);
  ASSERT_TRUE(png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr));
  EXPECT_EQ(pixels, picture.rgb);

  write_png(folder / "b.png", picture);
  EXPECT_EQ(read_text(folder / "a.png"), read_text(folder / "b.png"));
}

TEST(Png, RefusesWhatIsNoPictureOrHasNoPlace) {
  const TemporaryFolder folder;
  EXPECT_THROW(write_png(folder / "a.png", {}), std::invalid_argument);
  EXPECT_THROW(write_png(folder / "a.png", {.width = 2, .height = 2, .rgb = {1, 2, 3}}),
               std::invalid_argument);
  const Picture pixel{.width = 1, .height = 1, .rgb = {1, 2, 3}};
  EXPECT_THAT(test::input_error_of([&] { write_png(folder / "no/such.png", pixel); }),
              HasSubstr("No such file"));
}

TEST(Isosurfaces, ShowABallAsADisk) {
  constexpr int tile = 64;
  const auto picture = render_isosurfaces({gaussian(21, 3)}, 2, tile);
  EXPECT_EQ(picture.width, 3 * tile);
  EXPECT_EQ(picture.height, tile);
  for (int column = 0; column < 3; ++column) {
    const auto disk = covered(picture, tile, column, 0);
    // The disk fills the tile but for the margin, one voxel of room among it.
    const double radius = std::sqrt(disk.count / M_PI);
    EXPECT_GT(radius, 0.38 * tile);
    EXPECT_LT(radius, 0.5 * tile);
    EXPECT_NEAR(disk.x, 0.5 * (tile - 1), 0.5);
    EXPECT_NEAR(disk.y, 0.5 * (tile - 1), 0.5);
  }
}

/// Two balls, one displaced: where the smaller stands in each view tells the viewing directions.
TEST(Isosurfaces, LookFromTheFrontTheRightAndTheTop) {
  constexpr int tile = 48;
  auto volume = gaussian(25, 2, {-6, -6, -6});
  const auto other = gaussian(25, 2, {6, 6, 6});
  const auto marker = gaussian(25, 2, {6, -6, -6});
  for (std::size_t i = 0; i < volume.voxels.size(); ++i)
    volume.voxels[i] += other.voxels[i] + marker.voxels[i];
  const auto picture = render_isosurfaces({volume}, 3, tile);
  const auto shows = [&](int column, double right, double up) {
    const int x = static_cast<int>((0.5 + 0.2 * right) * tile),
              y = static_cast<int>((0.5 - 0.2 * up) * tile);
    return picture.rgb[3 * (y * picture.width + column * tile + x)] < 255;
  };
  // Front: x to the right, y up: balls at (-,-), (+,+), (+,-).
  EXPECT_TRUE(shows(0, -1, -1) && shows(0, 1, 1) && shows(0, 1, -1));
  EXPECT_FALSE(shows(0, -1, 1));
  // Right side: -z to the right, y up: balls at (+,-), (-,+), (+,-).
  EXPECT_TRUE(shows(1, 1, -1) && shows(1, -1, 1));
  EXPECT_FALSE(shows(1, -1, -1) || shows(1, 1, 1));
  // Top: x to the right, -z up: balls at (-,+), (+,-), (+,+).
  EXPECT_TRUE(shows(2, -1, 1) && shows(2, 1, -1) && shows(2, 1, 1));
  EXPECT_FALSE(shows(2, -1, -1));
}

TEST(Isosurfaces, ShareOneScaleInAngstrom) {
  constexpr int tile = 48;
  auto coarse = gaussian(13, 1.5);
  coarse.voxel_size = 2;  // the same ball on half the grid
  auto small = gaussian(25, 1.5);
  const auto picture = render_isosurfaces({gaussian(25, 3), coarse, small}, 2, tile);
  const double whole = covered(picture, tile, 0, 0).count;
  EXPECT_NEAR(covered(picture, tile, 0, 1).count, whole, 0.15 * whole);
  EXPECT_LT(covered(picture, tile, 0, 2).count, 0.6 * whole);
}

TEST(Isosurfaces, LeaveTilesWithoutSurfaceWhite) {
  Volume flat{.n = 5, .voxel_size = 1, .voxels = std::vector<float>(125, 2.5f)};
  EXPECT_THAT(render_isosurfaces({flat}, 3, 8).rgb, Each(255));
  flat.voxels[7] = NAN;
  EXPECT_THAT(render_isosurfaces({flat}, 3, 8).rgb, Each(255));
  EXPECT_THAT(render_isosurfaces({gaussian(9, 1)}, 1e6, 8).rgb, Each(255));
}

TEST(Isosurfaces, DoNotDependOnThreads) {
  const auto volume = gaussian(15, 2, {1, 2, 0});
  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  const auto one = render_isosurfaces({volume}, 2, 24);
  omp_set_num_threads(5);
  const auto five = render_isosurfaces({volume}, 2, 24);
  omp_set_num_threads(threads);
  EXPECT_EQ(one.rgb, five.rgb);
}

TEST(Isosurfaces, RefuseWhatCannotBeDrawn) {
  EXPECT_THROW(render_isosurfaces({}, 2, 64), std::invalid_argument);
  EXPECT_THROW(render_isosurfaces({gaussian(5, 1)}, 2, 7), std::invalid_argument);
  EXPECT_THROW(render_isosurfaces({Volume{.n = 3, .voxels = {1, 2}}}, 2, 64),
               std::invalid_argument);
}

}  // namespace
}  // namespace orrery::io
