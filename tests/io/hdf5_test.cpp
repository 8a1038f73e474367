#include "io/hdf5.hpp"

#include <gmock/gmock.h>
#include <hdf5.h>

#include <cmath>
#include <fstream>
#include <thread>

#include "io/files.hpp"
#include "tests/support/expect_input_error.hpp"
#include "tests/support/temporary_folder.hpp"

namespace orrery::io {
namespace {

using test::input_error_of;
using test::TemporaryFolder;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Hdf5File sample() {
  Hdf5File file;
  file.arrays["first"] = {{2, 3}, std::vector<float>{0, 1, -2, 3.5f, INFINITY, 1e-30f}};
  file.arrays["second"] = {{2}, std::vector<double>{0.1, -1e300}};
  file.arrays["count"] = {{}, std::vector<std::int64_t>{-(1LL << 60)}};
  file.arrays["none"] = {{0, 7}, std::vector<float>{}};
  file.attributes["n"] = std::int64_t{25};
  file.attributes["voxel_size"] = 1.37;
  file.attributes["basis"] = "Hartley, 1 \u00c5";
  file.attributes["empty"] = "";
  return file;
}

class Hdf5 : public testing::Test {
 protected:
  TemporaryFolder folder;
  std::filesystem::path path = folder / "file.h5";
};

TEST_F(Hdf5, ReadsBackWhatItWrote) {
  const auto written = sample();
  write_hdf5(path, written);
  const auto read = read_hdf5(path);
  EXPECT_EQ(read.source, path.string());
  EXPECT_EQ(read.attributes, written.attributes);
  ASSERT_EQ(read.arrays.size(), written.arrays.size());
  for (const auto& [name, array] : written.arrays) {
    EXPECT_EQ(read.arrays.at(name).extents, array.extents) << name;
    EXPECT_EQ(read.arrays.at(name).numbers, array.numbers) << name;
  }
}

TEST_F(Hdf5, ReadsBackAnEmptyFile) {
  write_hdf5(path, {});
  EXPECT_THAT(read_hdf5(path).arrays, IsEmpty());
  EXPECT_THAT(read_hdf5(path).attributes, IsEmpty());
}

TEST_F(Hdf5, WritesEqualFilesForEqualContents) {
  write_hdf5(path, sample());
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));  // file times are whole seconds
  write_hdf5(folder / "again.h5", sample());
  EXPECT_EQ(read_text(path), read_text(folder / "again.h5"));
}

TEST_F(Hdf5, HandsOutFieldsOfTheRightTypeAndSize) {
  write_hdf5(path, sample());
  const auto file = read_hdf5(path);
  EXPECT_THAT(file.array<double>("second", {2}), ElementsAre(0.1, -1e300));
  EXPECT_EQ(file.array<float>("first", {0, 3}).size(), 6u);
  EXPECT_THAT(file.array<std::int64_t>("count", {}), ElementsAre(-(1LL << 60)));
  EXPECT_THAT(file.array<float>("none", {0, 7}), IsEmpty());
  EXPECT_EQ(file.attribute<std::int64_t>("n"), 25);
  EXPECT_EQ(file.attribute<double>("n"), 25);
  EXPECT_EQ(file.attribute<std::string>("basis"), "Hartley, 1 \u00c5");
}

TEST_F(Hdf5, NamesFileAndFieldOfWhatIsMissingOrOfAnotherKind) {
  write_hdf5(path, sample());
  const auto file = read_hdf5(path);
  EXPECT_THAT(input_error_of([&] { file.array<float>("third", {1}); }),
              AllOf(HasSubstr(path.string()), HasSubstr("no array \"third\""),
                    HasSubstr("count, first, none, second")));
  EXPECT_THAT(input_error_of([&] { file.array<float>("second", {2}); }),
              HasSubstr("\"second\" holds float64; write it as float32"));
  EXPECT_THAT(input_error_of([&] {
                file.array<float>("first", {0, 10});
              }),
              HasSubstr("\"first\" is 2 x 3, but should be any x 10"));
  EXPECT_THAT(input_error_of([&] { file.array<float>("first", {6}); }), HasSubstr("should be 6"));
  EXPECT_THAT(input_error_of([&] { file.attribute<double>("m"); }),
              AllOf(HasSubstr(path.string()), HasSubstr("no attribute \"m\"")));
  EXPECT_THAT(input_error_of([&] { file.attribute<std::int64_t>("voxel_size"); }),
              HasSubstr("\"voxel_size\" is float64, but should be int64"));
  EXPECT_THAT(input_error_of([&] { file.attribute<double>("basis"); }),
              HasSubstr("\"basis\" is string, but should be float64"));
}

TEST_F(Hdf5, RefusesWhatIsNoHdf5File) {
  EXPECT_THAT(input_error_of([&] { read_hdf5(path); }), HasSubstr("no such file"));
  EXPECT_THAT(input_error_of([&] { read_hdf5(folder.path()); }), HasSubstr("is a folder"));
  EXPECT_THAT(input_error_of([&] { read_hdf5("/dev/null"); }), HasSubstr("not a regular file"));
  write_text(path, "");
  EXPECT_THAT(input_error_of([&] { read_hdf5(path); }), HasSubstr("not an HDF5 file"));
  write_text(path, std::string(4096, 'x'));
  EXPECT_THAT(input_error_of([&] { read_hdf5(path); }), HasSubstr("not an HDF5 file"));
}

TEST_F(Hdf5, RefusesTruncatedFiles) {
  write_hdf5(path, sample());
  const auto whole = read_text(path);
  for (std::size_t length = 8; length < whole.size(); length += 97) {
    const auto cut = folder / ("cut" + std::to_string(length));
    std::ofstream(cut, std::ios::binary) << whole.substr(0, length);
    EXPECT_THAT(input_error_of([&] { read_hdf5(cut); }), HasSubstr(cut.string())) << length;
  }
}

TEST_F(Hdf5, RefusesDamagedHeaders) {
  write_hdf5(path, sample());
  const auto whole = read_text(path);
  for (std::size_t at = 0; at < 48; ++at) {  // the superblock, its checksum at the end
    auto bytes = whole;
    bytes[at] ^= 4;
    const auto damaged = folder / ("damaged" + std::to_string(at));
    std::ofstream(damaged, std::ios::binary) << bytes;
    EXPECT_THAT(input_error_of([&] { read_hdf5(damaged); }), HasSubstr(damaged.string())) << at;
  }
}

/// A file as other programs make them: fixed strings, big-endian and small numbers, a group, a
/// packed data set, a data set whose numbers were never written.
TEST_F(Hdf5, ReadsFilesOfOtherPrograms) {
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const hid_t scalar = H5Screate(H5S_SCALAR);
  const auto fixed_string = [&](const char* name, H5T_str_t padding, std::string text) {
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, text.size());
    H5Tset_strpad(type, padding);
    const hid_t id = H5Acreate2(file, name, type, scalar, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(id, type, text.data());
    H5Aclose(id);
    H5Tclose(type);
  };
  fixed_string("null_padded", H5T_STR_NULLPAD, "abc");
  fixed_string("null_terminated", H5T_STR_NULLTERM, std::string("abc\0", 4));
  fixed_string("blank_padded", H5T_STR_SPACEPAD, "abc  ");

  const hsize_t four = 4, million = 1'000'000;
  const hid_t small = H5Screate_simple(1, &four, nullptr);
  const std::array<std::int16_t, 4> shorts = {-1, 2, -3, 4};
  const hid_t big_endian =
      H5Dcreate2(file, "short", H5T_STD_I16BE, small, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  H5Dwrite(big_endian, H5T_NATIVE_INT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, shorts.data());
  H5Dclose(big_endian);
  H5Gclose(H5Gcreate2(file, "group", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));

  const hid_t large = H5Screate_simple(1, &million, nullptr);
  const hid_t packed = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_chunk(packed, 1, &million);
  H5Pset_deflate(packed, 9);
  const std::vector<float> zeros(million);
  const hid_t set =
      H5Dcreate2(file, "zeros", H5T_IEEE_F32BE, large, H5P_DEFAULT, packed, H5P_DEFAULT);
  H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, zeros.data());
  H5Dclose(set);
  H5Pclose(packed);
  H5Sclose(large);
  H5Sclose(small);
  H5Sclose(scalar);
  H5Fclose(file);

  const auto read = read_hdf5(path);
  for (const char* name : {"null_padded", "null_terminated", "blank_padded"})
    EXPECT_EQ(read.attribute<std::string>(name), "abc") << name;
  EXPECT_THAT(read.array<std::int64_t>("short", {4}), ElementsAre(-1, 2, -3, 4));
  EXPECT_EQ(read.array<float>("zeros", {0}), zeros);
  EXPECT_EQ(read.arrays.size(), 2u);
}

TEST_F(Hdf5, TakesNoMemoryForNumbersThatAreNotThere) {
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const std::array<hsize_t, 3> huge = {1 << 20, 1 << 20, 1 << 20};
  const hid_t space = H5Screate_simple(3, huge.data(), nullptr);
  H5Dclose(H5Dcreate2(file, "huge", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  H5Sclose(space);
  H5Fclose(file);
  EXPECT_THAT(input_error_of([&] { read_hdf5(path); }),
              AllOf(HasSubstr("\"huge\" could not be read"), HasSubstr("not in the file")));
}

TEST_F(Hdf5, RefusesToWriteNonsenseOrToNowhere) {
  Hdf5File file;
  file.arrays["x"] = {{2, 2}, std::vector<float>(3)};
  EXPECT_THROW(write_hdf5(path, file), std::invalid_argument);
  EXPECT_THAT(input_error_of([&] { write_hdf5(folder / "no/such.h5", sample()); }),
              HasSubstr("No such file or directory"));
  file = {};
  file.attributes["text"] = std::string(100000, 'x');  // variable-length: not in the 64 kB header
  write_hdf5(path, file);
  EXPECT_EQ(read_hdf5(path).attribute<std::string>("text").size(), 100000u);
}

}  // namespace
}  // namespace orrery::io
