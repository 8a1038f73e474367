// Reads every file of the collection named by ORRERY_TEST_DATA (not part of the repository): maps
// of the EMDB and one file of each kind of trouble, made from one of them.
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "io/mrc.hpp"
#include "tests/support/expect_input_error.hpp"

namespace orrery::io {
namespace {

using testing::HasSubstr;

struct Expected {
  std::string file;
  std::string refused = "";  // part of the message; empty where the file is read
  int n = 24;
  double voxel_size = 2.234;
  std::string note = "";
  // To the reference, up to the mode's rounding; negative: not compared.
  double largest_difference = -1;
};

void PrintTo(const Expected& expected, std::ostream* out) { *out << expected.file; }

const std::vector<Expected> collection = {
    {"headers/3pqr-mode0.ccp4", "cell angles are 90, 90, 120"},
    {"headers/EMD-3001.map", "cell angles are 90, 94.33, 90"},
    {"headers/emd_3001.map.gz", "cell angles are 90, 94.33, 90"},
    {"headers/EMD-3197.map", "", 20, 11.4},
    {"headers/axes321_map.mrc", "not cubes (0.7488 x 0.6872 x 0.7453"},
    {"headers/float16.mrc", "single image"},
    {"headers_made/all_zero.mrc", "every voxel is 0"},
    {"headers_made/axes312_same_density.mrc", "", 24, 2.234, "", 0},
    {"headers_made/bigendian.mrc", "", 24, 2.234, "", 0},
    {"headers_made/broken.map.gz", "gzip stream is cut off"},
    {"headers_made/constant.mrc", "every voxel is 3.5"},
    {"headers_made/duplicate_axes.mrc", "MAPC, MAPR, MAPS are 1, 1, 1"},
    {"headers_made/exthdr_seri_1024.mrc", "", 24, 2.234, "", 0},
    {"headers_made/huge_dims.mrc", "100000 x 100000 x 100000 voxels (MODE 2, 4e+15 bytes)"},
    {"headers_made/mode0_int8.mrc", "", 24, 2.234, "", 1. / 2 / 1570},
    {"headers_made/mode12_float16.mrc", "", 24, 2.234, "", 3.1e-5},
    {"headers_made/mode1_int16.mrc", "", 24, 2.234, "", 1. / 4e5},
    {"headers_made/mode2_ref.mrc", "", 24, 2.234, "", 0},
    {"headers_made/mode4_complex64.mrc", "MODE 4 holds complex numbers"},
    {"headers_made/mode6_uint16.mrc", "", 24, 2.234, "", 1. / 4e5},
    {"headers_made/mode99.mrc", "MODE 99 is not one of"},
    {"headers_made/nan_inf_voxels.mrc", "2 of 13824 voxels are NaN or infinite"},
    {"headers_made/negative_nx.mrc", "-24 x 24 x 24 voxels"},
    {"headers_made/nsymbt_negative.mrc", "NSYMBT (bytes of extended header) is -1024"},
    {"headers_made/nsymbt_past_eof.mrc", "NSYMBT says 1000000000 bytes"},
    {"headers_made/ref.mrc.gz", "", 24, 2.234, "", 0},
    {"headers_made/trailing_junk.mrc", "", 24, 2.234, "1000 bytes after the data", 0},
    {"headers_made/truncated_half.mrc", "the file has 28672 bytes"},
    {"headers_made/truncated_header.mrc", "has 600 bytes"},
    {"headers_made/vstack401.mrc", "stack of volumes"},
    {"headers_made/zero_dims.mrc", "0 x 0 x 0 voxels"},
    {"maps/clean70SRibosome_vol_65p.mrc", "--voxel-size"},
    {"maps/emd_0409_63.mrc", "", 63, 142.976 / 63},
    {"maps/emd_0409_64.mrc", "", 64, 2.234},
    {"maps/emd_25892_63.mrc", "", 63, 537.6 / 63},
    {"maps/emd_25892_64.mrc", "", 64, 8.4},
    {"maps/sim_3sn6_b2ar_gs_63.mrc", "", 63, 243. / 63},
    {"particles/empiar_10076_7.mrc", "stack of images or a slab"},
    {"particles/rln_proj_64_centered.mrcs", "stack of 4 images"},
    {"particles/rln_proj_65_centered.mrcs", "stack of 4 images"},
    {"particles/sample.mrcs", "stack of 17 images"},
    {"particles/rln_proj_65_centered.star", "not an MRC"},
};

const char* data_folder() { return std::getenv("ORRERY_TEST_DATA"); }

/// The largest difference to the reference after the best linear map onto it: integer modes hold a
/// scaled copy.
double difference_to_reference(const std::vector<float>& voxels, const std::vector<float>& b) {
  double sum_a = 0, sum_b = 0, sum_aa = 0, sum_ab = 0;
  const auto count = static_cast<double>(b.size());
  for (std::size_t i = 0; i < b.size(); ++i) {
    sum_a += voxels[i];
    sum_b += b[i];
    sum_aa += double(voxels[i]) * voxels[i];
    sum_ab += double(voxels[i]) * b[i];
  }
  const double scale = (sum_ab - sum_a * sum_b / count) / (sum_aa - sum_a * sum_a / count);
  const double offset = (sum_b - scale * sum_a) / count;
  double largest = 0;
  for (std::size_t i = 0; i < b.size(); ++i)
    largest = std::max(largest, std::abs(scale * voxels[i] + offset - b[i]));
  return largest;
}

class MrcFiles : public testing::TestWithParam<Expected> {};

TEST_P(MrcFiles, IsReadOrRefused) {
  if (data_folder() == nullptr) GTEST_SKIP() << "ORRERY_TEST_DATA names no folder of test maps";
  const std::filesystem::path folder = data_folder();
  const auto& expected = GetParam();
  const auto path = folder / expected.file;
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  if (!expected.refused.empty()) {
    const auto message = test::input_error_of([&] { read_map(path); });
    EXPECT_THAT(message, testing::AllOf(HasSubstr(path.string()), HasSubstr(expected.refused)));
    return;
  }
  const auto map = read_map(path);
  EXPECT_EQ(map.volume.n, expected.n);
  EXPECT_NEAR(map.volume.voxel_size, expected.voxel_size, 1e-6);
  if (expected.note.empty())
    EXPECT_THAT(map.notes, testing::IsEmpty());
  else
    EXPECT_THAT(map.notes, testing::ElementsAre(HasSubstr(expected.note)));
  if (expected.largest_difference < 0) return;
  const auto reference = read_map(folder / "headers_made/mode2_ref.mrc").volume;
  if (expected.largest_difference == 0)
    EXPECT_EQ(map.volume.voxels, reference.voxels);
  else
    EXPECT_LE(difference_to_reference(map.volume.voxels, reference.voxels),
              1.05 * expected.largest_difference);
}

std::string test_name(const testing::TestParamInfo<Expected>& test) {
  std::string name = test.param.file;
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Collection, MrcFiles, testing::ValuesIn(collection), test_name);

TEST(MrcFilesList, NamesEveryHeaderFile) {
  if (data_folder() == nullptr) GTEST_SKIP() << "ORRERY_TEST_DATA names no folder of test maps";
  for (const char* folder : {"headers", "headers_made", "maps"}) {
    const auto path = std::filesystem::path(data_folder()) / folder;
    if (!std::filesystem::exists(path)) continue;
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      const auto name = std::string(folder) + "/" + entry.path().filename().string();
      EXPECT_TRUE(std::any_of(collection.begin(), collection.end(),
                              [&](const Expected& expected) { return expected.file == name; }))
          << name << " is not in the table";
    }
  }
}

TEST(MrcFilesOptions, VoxelSizeMakesUpForAnEmptyCell) {
  if (data_folder() == nullptr) GTEST_SKIP() << "ORRERY_TEST_DATA names no folder of test maps";
  const auto path = std::filesystem::path(data_folder()) / "maps/clean70SRibosome_vol_65p.mrc";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  const auto volume = read_map(path, {.voxel_size = 5}).volume;
  EXPECT_EQ(volume.n, 65);
  EXPECT_DOUBLE_EQ(volume.box(), 325);
}

TEST(MrcFilesOptions, StartIsKeptAsOrigin) {
  if (data_folder() == nullptr) GTEST_SKIP() << "ORRERY_TEST_DATA names no folder of test maps";
  const auto path = std::filesystem::path(data_folder()) / "headers/EMD-3197.map";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  EXPECT_NEAR(read_map(path).volume.origin[0], -2 * 11.4, 1e-5);
}

}  // namespace
}  // namespace orrery::io
