#include "apps/view_moments_file.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "io/hdf5.hpp"
#include "tests/support/expect_input_error.hpp"
#include "tests/support/temporary_folder.hpp"

namespace orrery {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class ViewMomentsFile : public testing::Test {
 protected:
  test::TemporaryFolder folder;
  std::filesystem::path path = folder / "moments.h5";

  static ViewMoments example() {
    ViewMoments m;
    m.n = 3;
    m.voxel_size = 2.5;
    m.observations = 12;
    m.noise_variance = 0.25;
    for (int i = 0; i < 9; ++i) m.first.push_back(0.5f * float(i) - 1);
    for (int i = 0; i < 9; ++i)
      for (int j = 0; j < 9; ++j) m.second.push_back(float(i * j) + 0.125f * float(i == j));
    return m;
  }
  static ViewMoments full_example() {
    auto m = example();
    m.shift_deviation = 1.5;
    m.first_error.assign(9, 0.1f);
    m.second_error.assign(81, 0.2f);
    m.second_error[4] = std::numeric_limits<float>::infinity();
    m.noise_spectrum = {3, 2.5};
    m.halves = {{m.first, m.second, 7}, {m.first, m.second, 5}};
    m.halves[1].first[2] = 9;
    m.source = "particles.star";
    return m;
  }

  /// The file's contents, changed, and what reading them says.
  template <class Change>
  std::string complaint(const Change& change) {
    write_view_moments(path, full_example());
    auto file = io::read_hdf5(path);
    change(file);
    io::write_hdf5(path, file);
    const auto text = test::input_error_of([&] { read_view_moments(path); });
    EXPECT_THAT(text, HasSubstr("moments.h5"));
    return text;
  }
};

void expect_equal(const ViewMoments& a, const ViewMoments& b) {
  EXPECT_EQ(a.n, b.n);
  EXPECT_EQ(a.voxel_size, b.voxel_size);
  EXPECT_EQ(a.first, b.first);
  EXPECT_EQ(a.second, b.second);
  EXPECT_EQ(a.observations, b.observations);
  EXPECT_EQ(a.noise_variance, b.noise_variance);
  EXPECT_EQ(a.shift_deviation, b.shift_deviation);
  EXPECT_EQ(a.first_error, b.first_error);
  EXPECT_EQ(a.second_error, b.second_error);
  EXPECT_EQ(a.noise_spectrum, b.noise_spectrum);
  EXPECT_EQ(a.source, b.source);
  ASSERT_EQ(a.halves.size(), b.halves.size());
  for (std::size_t half = 0; half < a.halves.size(); ++half) {
    EXPECT_EQ(a.halves[half].first, b.halves[half].first);
    EXPECT_EQ(a.halves[half].second, b.halves[half].second);
    EXPECT_EQ(a.halves[half].observations, b.halves[half].observations);
  }
}

TEST_F(ViewMomentsFile, GivesBackWhatWasWritten) {
  write_view_moments(path, example());
  expect_equal(read_view_moments(path), example());
  write_view_moments(path, full_example());
  expect_equal(read_view_moments(path), full_example());
}

TEST_F(ViewMomentsFile, FilesOfBeforeTheEstimatesAreStillRead) {
  write_view_moments(path, example());
  auto file = io::read_hdf5(path);
  file.attributes.erase("shift_deviation");
  io::write_hdf5(path, file);
  expect_equal(read_view_moments(path), example());
}

TEST_F(ViewMomentsFile, WhatCannotBeUsedIsRefusedByName) {
  const auto set = [](const std::string& name, io::Attribute value) {
    return [=](io::Hdf5File& file) { file.attributes[name] = value; };
  };
  EXPECT_THAT(complaint(set("format_version", std::int64_t{2})), HasSubstr("format version 2"));
  EXPECT_THAT(complaint(set("basis", std::string("real space"))), HasSubstr("\"real space\""));
  EXPECT_THAT(complaint(set("n", std::int64_t{4})), HasSubstr("odd"));
  EXPECT_THAT(complaint(set("n", std::int64_t{5})), HasSubstr("\"first_moment\""));
  EXPECT_THAT(complaint(set("voxel_size", 0.0)), HasSubstr("\"voxel_size\""));
  EXPECT_THAT(complaint(set("voxel_size", double(NAN))), HasSubstr("\"voxel_size\""));
  EXPECT_THAT(complaint(set("observations", std::int64_t{-1})), HasSubstr("\"observations\""));
  EXPECT_THAT(complaint(set("noise_variance", -1.0)), HasSubstr("\"noise_variance\""));

  const auto spoil = [](const std::string& name, std::size_t at, float value) {
    return [=](io::Hdf5File& file) {
      std::get<std::vector<float>>(file.arrays.at(name).numbers)[at] = value;
    };
  };
  EXPECT_THAT(complaint(spoil("first_moment", 3, NAN)), HasSubstr("\"first_moment\""));
  EXPECT_THAT(complaint(spoil("second_moment", 3, INFINITY)), HasSubstr("\"second_moment\""));
  EXPECT_THAT(complaint(spoil("second_moment", 3, 5)), HasSubstr("not symmetric"));
  EXPECT_THAT(complaint(spoil("second_moment_error", 3, NAN)),
              HasSubstr("\"second_moment_error\""));
  EXPECT_THAT(complaint(spoil("first_moment_half_2", 0, NAN)),
              HasSubstr("\"first_moment_half_2\""));
  EXPECT_THAT(complaint([](auto& file) { file.arrays.erase("second_moment"); }),
              HasSubstr("\"second_moment\""));
  EXPECT_THAT(complaint([](auto& file) { file.arrays.erase("second_moment_half_2"); }),
              HasSubstr("\"second_moment_half_2\""));
  for (const std::string name : {"first_moment", "second_moment"})
    EXPECT_THAT(complaint([&](auto& file) {
                  for (float& x : std::get<std::vector<float>>(file.arrays.at(name).numbers)) x = 0;
                }),
                AllOf(HasSubstr(name), HasSubstr("zero")));
  EXPECT_THAT(test::input_error_of([&] { read_view_moments(folder / "none.h5"); }),
              HasSubstr("none.h5"));
}

TEST_F(ViewMomentsFile, MomentsOfAnotherSizeAreNotWritten) {
  auto m = example();
  m.second.pop_back();
  EXPECT_THROW(write_view_moments(path, m), std::invalid_argument);
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace orrery
