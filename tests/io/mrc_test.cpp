#include "io/mrc.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>

#include "io/files.hpp"
#include "io/mrc_header.hpp"
#include "kernels/random.hpp"
#include "tests/support/expect_input_error.hpp"
#include "tests/support/map_file.hpp"
#include "tests/support/temporary_folder.hpp"

namespace orrery::io {
namespace {

using test::input_error_of;
using test::MapFile;
using test::TemporaryFolder;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

float ramp(int i) { return static_cast<float>(i % 23) - 7; }

MapFile ramp_map() { return MapFile().fill<float>(ramp); }

class Mrc : public testing::Test {
 protected:
  std::filesystem::path save(const std::string& bytes, const std::string& name = "map.mrc") {
    const auto path = folder / name;
    std::filesystem::remove(path);  // rewriting a file in place waits for the disk
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  std::filesystem::path save(const MapFile& map) { return save(map.bytes()); }
  std::filesystem::path save_gzip(const std::string& bytes) {
    const auto path = folder / "map.map.gz";
    std::filesystem::remove(path);
    gzFile file = gzopen(path.c_str(), "wb");
    gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
    gzclose(file);
    return path;
  }
  /// The message with which the map is refused; it always names the file.
  std::string refusal(const std::filesystem::path& path, const MapReadOptions& options = {}) {
    const auto message = input_error_of([&] { read_map(path, options); });
    EXPECT_THAT(message, HasSubstr(path.string() + ": "));
    return message;
  }
  std::string refusal(const MapFile& map) { return refusal(save(map)); }

  TemporaryFolder folder;
};

TEST_F(Mrc, ReadsTheRealModes) {
  const auto expect_ramp = [&](const MapFile& map) {
    const auto read = read_map(save(map));
    EXPECT_EQ(read.volume.n, 4);
    EXPECT_DOUBLE_EQ(read.volume.voxel_size, 2);
    EXPECT_THAT(read.notes, IsEmpty());
    ASSERT_EQ(read.volume.voxels.size(), 64u);
    for (int i = 0; i < 64; ++i) EXPECT_EQ(read.volume.voxels[i], ramp(i)) << map.mode << " " << i;
  };
  expect_ramp(MapFile{.mode = 0}.fill<std::int8_t>(ramp));
  expect_ramp(MapFile{.mode = 1}.fill<std::int16_t>(ramp));
  expect_ramp(MapFile{.mode = 2}.fill<float>(ramp));
  expect_ramp(MapFile{.mode = 2, .stamp = "\x44\x41"}.fill<float>(ramp));
  // Half precision of small integers: sign, exponent 15 + log2, the fraction's top bits.
  expect_ramp(MapFile{.mode = 12}.fill<std::uint16_t>([](int i) {
    const float x = ramp(i);
    if (x == 0) return 0;
    const int exponent = std::ilogb(x);
    return (x < 0 ? 0x8000 : 0) | (exponent + 15) << 10 |
           int((std::abs(x) / std::ldexp(1.f, exponent) - 1) * 1024);
  }));
  const auto unsigned_words =
      MapFile{.mode = 6}.fill<std::uint16_t>([](int i) { return i * 1000; });
  EXPECT_EQ(read_map(save(unsigned_words)).volume.voxels[63], 63000);
}

TEST_F(Mrc, ReadsUnsignedBytesOfOldImod) {
  auto bytes = MapFile{.mode = 0}.fill<std::uint8_t>([](int i) { return i * 4; }).bytes();
  bytes.replace(152, 4, "IMOD");
  EXPECT_EQ(read_map(save(bytes)).volume.voxels[63], 252);
  bytes[156] = 1;  // bytes are signed after all
  EXPECT_EQ(read_map(save(bytes)).volume.voxels[63], -4);
}

TEST(FloatFromHalf, HandlesEveryKindOfNumber) {
  EXPECT_EQ(float_from_half(0x0000), 0.f);
  EXPECT_EQ(float_from_half(0x3c00), 1.f);
  EXPECT_EQ(float_from_half(0xc000), -2.f);
  EXPECT_EQ(float_from_half(0x7bff), 65504.f);
  EXPECT_EQ(float_from_half(0x0001), std::ldexp(1.f, -24));
  EXPECT_EQ(float_from_half(0x03ff), std::ldexp(1023.f, -24));
  EXPECT_EQ(float_from_half(0x0400), std::ldexp(1.f, -14));
  EXPECT_EQ(float_from_half(0x3555), 1365.f / 4096);
  EXPECT_EQ(float_from_half(0xfc00), -INFINITY);
  EXPECT_TRUE(std::isnan(float_from_half(0x7c01)));
}

TEST_F(Mrc, ReadsBigEndianWithOrWithoutItsStamp) {
  for (const std::string& stamp : {std::string("\x11\x11"), std::string("\0\0", 2)}) {
    MapFile map{.stamp = stamp, .big_endian = true};
    EXPECT_EQ(read_map(save(map.fill<float>(ramp))).volume.voxels[5], ramp(5));
    map = {.mode = 0, .stamp = stamp, .big_endian = true};
    EXPECT_EQ(read_map(save(map.fill<std::int8_t>(ramp))).volume.voxels[5], ramp(5));
  }
}

TEST_F(Mrc, PutsPermutedAxesInOrder) {
  // Columns run along z, rows along x, sections along y: x, y, z extents are ny, nz, nx.
  MapFile map{.nx = 6,
              .ny = 6,
              .nz = 6,
              .start = {1, 2, 3},
              .intervals = {6, 6, 6},
              .axes = {3, 1, 2},
              .cell = {12, 12, 12}};
  map.fill<float>([](int i) { return i; });
  const auto volume = read_map(save(map)).volume;
  for (int z = 0; z < 6; ++z)
    for (int y = 0; y < 6; ++y)
      for (int x = 0; x < 6; ++x) EXPECT_EQ(volume.view()(z, y, x), (y * 6 + x) * 6 + z);
  EXPECT_THAT(volume.origin, ElementsAre(2 * 2, 3 * 2, 1 * 2));
}

TEST_F(Mrc, PrefersOriginToStart) {
  auto map = ramp_map();
  map.start = {5, 6, 7};
  EXPECT_THAT(read_map(save(map)).volume.origin, ElementsAre(10, 12, 14));
  map.origin = {0, -3.5, 0};
  EXPECT_THAT(read_map(save(map)).volume.origin, ElementsAre(0, -3.5, 0));
}

TEST_F(Mrc, PadsToACubeAroundTheCentre) {
  MapFile map{.nx = 3,
              .ny = 4,
              .nz = 5,
              .intervals = {3, 4, 5},
              .cell = {6, 8, 10},
              .origin = {100, 200, 300}};
  // 7 at the centre voxel (1, 2, 2), faces of mean 1.
  map.fill<float>([](int i) { return i == (2 * 4 + 2) * 3 + 1 ? 7 : 1; });
  const auto read = read_map(save(map));
  EXPECT_EQ(read.volume.n, 5);
  EXPECT_EQ(read.volume.view()(2, 2, 2), 7);
  EXPECT_EQ(std::count(read.volume.voxels.begin(), read.volume.voxels.end(), 1.f), 124);
  EXPECT_THAT(read.volume.origin, ElementsAre(98, 200, 300));
  EXPECT_THAT(read.notes, ElementsAre("padded from 3 x 4 x 5 voxels to a cube of 5"));
}

TEST_F(Mrc, SkipsExtendedHeaderAndNotesTrailingBytes) {
  auto map = ramp_map();
  map.extended = 160;
  map.extended_bytes = std::string(160, 'x');
  map.trailing = "some more";
  const auto read = read_map(save(map));
  EXPECT_EQ(read.volume.voxels[9], ramp(9));
  EXPECT_THAT(read.notes, ElementsAre(HasSubstr("9 bytes after the data")));
}

TEST_F(Mrc, ReadsGzip) {
  auto map = ramp_map();
  const auto read = read_map(save_gzip(map.bytes()));
  EXPECT_EQ(read.volume.voxels[9], ramp(9));
  EXPECT_THAT(read.notes, IsEmpty());
  map.trailing = "x";
  EXPECT_THAT(read_map(save_gzip(map.bytes())).notes, ElementsAre(HasSubstr("1 bytes after")));
}

TEST_F(Mrc, RefusesWhatIsNoFile) {
  EXPECT_THAT(refusal(folder / "absent.mrc"), HasSubstr("no such file"));
  EXPECT_THAT(refusal(folder.path()), HasSubstr("is a folder"));
  EXPECT_THAT(refusal("/dev/null"), HasSubstr("not a regular file"));
  EXPECT_THAT(refusal("/dev/zero"), HasSubstr("not a regular file"));
  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);
  EXPECT_THAT(refusal(folder / "fifo"), HasSubstr("not a regular file"));
  EXPECT_THAT(refusal(save("")), HasSubstr("empty"));
}

TEST_F(Mrc, RefusesWhatIsNoMap) {
  EXPECT_THAT(refusal(save(std::string(5000, 'a'))), HasSubstr("not an MRC/CCP4 map"));
  EXPECT_THAT(refusal(save("data_x\n")), HasSubstr("not an MRC map"));
  EXPECT_THAT(refusal(save(std::string("\x1f\x8b", 2))), HasSubstr("gzip stream is cut off"));
  EXPECT_THAT(refusal(save("\x1f\x8b" + std::string(3000, 'a'))), HasSubstr("gzip stream"));
}

TEST_F(Mrc, RefusesModesThatAreNoRealMap) {
  for (const int mode : {3, 4}) {
    auto map = ramp_map();
    map.mode = mode;
    EXPECT_THAT(refusal(map), HasSubstr("complex"));
  }
  for (const int mode : {-1, 5, 7, 99, 101}) {
    auto map = ramp_map();
    map.mode = mode;
    EXPECT_THAT(refusal(map), HasSubstr("MODE " + std::to_string(mode) + " is not one of"));
  }
}

TEST_F(Mrc, RefusesImpossibleSizes) {
  auto map = ramp_map();
  map.nx = -4;
  EXPECT_THAT(refusal(map), HasSubstr("-4 x 4 x 4 voxels"));
  map.nx = map.ny = map.nz = 0;
  EXPECT_THAT(refusal(map), HasSubstr("0 x 0 x 0 voxels"));
  for (const int huge : {100000, std::numeric_limits<std::int32_t>::max()}) {
    map.nx = map.ny = map.nz = huge;
    EXPECT_THAT(refusal(map), AllOf(HasSubstr("the header says " + std::to_string(huge)),
                                    HasSubstr("the file has 1280 bytes")));
    EXPECT_THAT(refusal(save_gzip(map.bytes())), HasSubstr("(packed)"));
  }
  map.nx = map.ny = map.nz = 20;  // 32 kB may well be packed into this many bytes, but are not
  EXPECT_THAT(refusal(save_gzip(map.bytes())), HasSubstr("the data end after 256 bytes"));
}

TEST_F(Mrc, RefusesTruncatedFiles) {
  const auto bytes = ramp_map().bytes();
  EXPECT_THAT(refusal(save(bytes.substr(0, 600))), HasSubstr("has 600 bytes"));
  EXPECT_THAT(refusal(save(bytes.substr(0, 1024))), HasSubstr("the file has 1024 bytes"));
  EXPECT_THAT(refusal(save(bytes.substr(0, 1279))), HasSubstr("truncated"));
  const auto packed = read_text(save_gzip(bytes));
  for (std::size_t length = 3; length < packed.size(); length += 5)
    EXPECT_THAT(refusal(save(packed.substr(0, length))), HasSubstr("gzip stream is cut off"))
        << length;
  auto flipped = packed;
  flipped[flipped.size() - 6] ^= 1;  // in the checksum
  EXPECT_THAT(refusal(save(flipped)), HasSubstr("gzip stream is damaged"));
}

TEST_F(Mrc, RefusesImpossibleExtendedHeaders) {
  auto map = ramp_map();
  map.extended = -1024;
  EXPECT_THAT(refusal(map), HasSubstr("NSYMBT (bytes of extended header) is -1024"));
  map.extended = 1000000000;
  EXPECT_THAT(refusal(map), HasSubstr("NSYMBT says 1000000000 bytes"));
  map.extended = 100;
  EXPECT_THAT(refusal(map), HasSubstr("truncated"));
  map.extended = 20000;
  EXPECT_THAT(refusal(save_gzip(map.bytes())), HasSubstr("ends inside its extended header"));
}

TEST_F(Mrc, RefusesAxesThatAreNoPermutation) {
  for (const std::array axes : {std::array{1, 1, 1}, {1, 2, 4}, {0, 1, 2}, {-1, 2, 3}}) {
    auto map = ramp_map();
    map.axes = {axes[0], axes[1], axes[2]};
    EXPECT_THAT(refusal(map), HasSubstr("MAPC, MAPR, MAPS"));
  }
  auto map = ramp_map();
  map.axes = {0, 0, 0};
  EXPECT_THAT(read_map(save(map)).notes, ElementsAre(HasSubstr("taken as 1, 2, 3")));
}

TEST_F(Mrc, RefusesVoxelsThatCarryNoDensity) {
  for (const float bad : {NAN, INFINITY, -INFINITY})
    EXPECT_THAT(refusal(MapFile().fill<float>([&](int i) { return i == 17 ? bad : ramp(i); })),
                HasSubstr("1 of 64 voxels are NaN or infinite"));
  EXPECT_THAT(refusal(MapFile().fill<float>([](int) { return 0; })), HasSubstr("every voxel is 0"));
  EXPECT_THAT(refusal(MapFile().fill<float>([](int) { return 3.5; })),
              HasSubstr("every voxel is 3.5"));
}

TEST_F(Mrc, TakesTheVoxelSizeFromTheUserWhereTheHeaderHasNone) {
  auto map = ramp_map();
  map.cell = {0, 0, 0};
  EXPECT_THAT(refusal(map), HasSubstr("--voxel-size"));
  EXPECT_EQ(read_map(save(map), {.voxel_size = 5}).volume.voxel_size, 5);
  for (const double wrong : {0.0, -1.0, double(NAN), double(INFINITY)})
    EXPECT_THAT(refusal(save(map), {.voxel_size = wrong}), HasSubstr("--voxel-size"));
  map = ramp_map();
  map.intervals = {0, 0, 0};
  EXPECT_THAT(refusal(map), HasSubstr("no voxel size"));
  for (const float wrong : {-8.f, 1e-20f, 1e20f, NAN, INFINITY}) {
    map = ramp_map();
    map.cell = {wrong, wrong, wrong};
    EXPECT_THAT(refusal(map), HasSubstr("impossible")) << wrong;
  }
}

TEST_F(Mrc, RefusesVoxelsThatAreNoCubes) {
  auto map = ramp_map();
  map.cell = {8, 8, 8.5};
  EXPECT_THAT(refusal(map), AllOf(HasSubstr("not cubes"), HasSubstr("resample")));
  EXPECT_EQ(read_map(save(map), {.voxel_size = 2}).volume.voxel_size, 2);
  map.cell = {8, 8, 8.02f};
  const auto read = read_map(save(map));
  EXPECT_NEAR(read.volume.voxel_size, 2 + 0.005 / 3, 1e-6);
  EXPECT_THAT(read.notes, ElementsAre(HasSubstr("taken as cubes")));
  map = ramp_map();
  map.angles = {90, 94.3f, 90};
  EXPECT_THAT(refusal(map), HasSubstr("cell angles are 90, 94.3, 90"));
  map.angles = {90, 90, NAN};
  EXPECT_THAT(refusal(map), HasSubstr("cell angles"));
  map.angles = {0, 0, 0};
  EXPECT_THAT(read_map(save(map)).notes, IsEmpty());
}

TEST_F(Mrc, RefusesStacksAndImages) {
  MapFile map{.nz = 12};
  map.fill<float>(ramp);
  EXPECT_THAT(refusal(map), AllOf(HasSubstr("stack of volumes"), HasSubstr("of its own")));
  map = ramp_map();
  map.space_group = 401;
  EXPECT_THAT(refusal(map), HasSubstr("stack of volumes"));
  map = MapFile{.nz = 1, .intervals = {4, 4, 1}, .space_group = 0}.fill<float>(ramp);
  EXPECT_THAT(refusal(map), HasSubstr("single image"));
  map = MapFile{.nz = 3, .intervals = {4, 4, 1}, .space_group = 0}.fill<float>(ramp);
  EXPECT_THAT(refusal(map), HasSubstr("stack of 3 images"));
  map = MapFile{.nx = 20, .ny = 20, .intervals = {20, 20, 4}}.fill<float>(ramp);
  map.cell = {40, 40, 8};
  EXPECT_THAT(refusal(map), HasSubstr("stack of images or a slab"));
  EXPECT_THAT(refusal(save(ramp_map().bytes(), "stack.mrcs")), HasSubstr("stack of 4 images"));
  map = ramp_map();
  map.space_group = 0;  // what older programs write into volumes
  EXPECT_THAT(read_map(save(map)).notes, ElementsAre(HasSubstr("ISPG is 0")));
}

/// Random damage to a good file must end in a volume or in an InputError, nothing else.
TEST_F(Mrc, SurvivesDamage) {
  const auto whole = ramp_map().bytes();
  RandomSequence random(2023, 1);
  for (int trial = 0; trial < 2000; ++trial) {
    auto bytes = whole;
    for (int i = 0; i < 3; ++i)
      bytes[static_cast<std::size_t>(random.uniform() * 232)] =
          static_cast<char>(random.uniform() * 256);
    const auto path = trial % 2 == 0 ? save(bytes) : save_gzip(bytes);
    try {
      const auto volume = read_map(path).volume;
      EXPECT_EQ(volume.voxels.size(), std::size_t(volume.n) * volume.n * volume.n);
    } catch (const InputError&) {
    }
  }
}

Volume sample_volume(int n) {
  Volume volume{.n = n, .voxel_size = 1.37, .origin = {-3.5, 0, 12.25}, .voxels = {}};
  RandomSequence random(5, 0);
  for (int i = 0; i < n * n * n; ++i) volume.voxels.push_back(float(random.normal()) + 3);
  return volume;
}

TEST_F(Mrc, ReadsBackWhatItWrote) {
  const auto volume = sample_volume(5);
  write_map(folder / "out.mrc", volume, {"one"});
  const auto read = read_map(folder / "out.mrc");
  EXPECT_THAT(read.notes, IsEmpty());
  EXPECT_EQ(read.volume.n, 5);
  EXPECT_NEAR(read.volume.voxel_size, 1.37, 1e-6);
  EXPECT_EQ(read.volume.origin, volume.origin);
  EXPECT_EQ(read.volume.voxels, volume.voxels);
}

TEST_F(Mrc, WritesTheFieldsOfTheFormat) {
  const auto volume = sample_volume(5);
  std::vector<std::string> labels(12, "Orrery \u00c5ngstrom\n");
  labels[1] = std::string(100, 'x');
  write_map(folder / "out.mrc", volume, labels);
  const auto bytes = read_text(folder / "out.mrc");
  ASSERT_EQ(bytes.size(), 1024u + 4 * 125);
  const auto integer = [&](int word) {
    std::int32_t value;
    std::memcpy(&value, &bytes[4 * (word - 1)], 4);
    return value;
  };
  const auto number = [&](int word) { return std::bit_cast<float>(integer(word)); };
  for (int word : {1, 2, 3, 8, 9, 10}) EXPECT_EQ(integer(word), 5) << word;
  EXPECT_EQ(integer(4), 2);
  for (int word : {5, 6, 7, 24}) EXPECT_EQ(integer(word), 0) << word;
  for (int word : {11, 12, 13}) EXPECT_FLOAT_EQ(number(word), 5 * 1.37f) << word;
  for (int word : {14, 15, 16}) EXPECT_EQ(number(word), 90) << word;
  for (int axis : {1, 2, 3}) EXPECT_EQ(integer(16 + axis), axis);
  EXPECT_EQ(integer(23), 1);      // ISPG
  EXPECT_EQ(integer(28), 20141);  // NVERSION
  EXPECT_EQ(bytes.substr(208, 8), std::string("MAP \x44\x44\0\0", 8));
  EXPECT_EQ(integer(56), 10);  // NLABL
  EXPECT_EQ(bytes.substr(224, 80), "Orrery ??ngstrom?" + std::string(63, ' '));
  EXPECT_EQ(bytes.substr(304, 80), std::string(80, 'x'));

  double mean = 0, squares = 0;
  for (const float voxel : volume.voxels) mean += voxel / 125.;
  for (const float voxel : volume.voxels) squares += std::pow(voxel - mean, 2) / 125;
  EXPECT_EQ(number(20), *std::min_element(volume.voxels.begin(), volume.voxels.end()));
  EXPECT_EQ(number(21), *std::max_element(volume.voxels.begin(), volume.voxels.end()));
  EXPECT_FLOAT_EQ(number(22), float(mean));
  EXPECT_FLOAT_EQ(number(55), float(std::sqrt(squares)));
}

TEST_F(Mrc, WritesEqualFilesForEqualVolumes) {
  write_map(folder / "a.mrc", sample_volume(3), {"label"});
  write_map(folder / "b.mrc", sample_volume(3), {"label"});
  EXPECT_EQ(read_text(folder / "a.mrc"), read_text(folder / "b.mrc"));
}

TEST_F(Mrc, RefusesToWriteWhatIsNoVolume) {
  auto volume = sample_volume(3);
  volume.voxels.pop_back();
  EXPECT_THROW(write_map(folder / "out.mrc", volume, {}), std::invalid_argument);
  volume.voxels.push_back(NAN);
  EXPECT_THROW(write_map(folder / "out.mrc", volume, {}), std::invalid_argument);
  volume.voxels.back() = 1;
  volume.voxel_size = 0;
  EXPECT_THROW(write_map(folder / "out.mrc", volume, {}), std::invalid_argument);
  volume.voxel_size = 1;
  EXPECT_THAT(input_error_of([&] { write_map(folder / "no/such/out.mrc", volume, {}); }),
              HasSubstr("No such file or directory"));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace orrery::io
