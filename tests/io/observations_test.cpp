#include "io/observations.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <fstream>
#include <limits>

#include "io/files.hpp"
#include "io/hdf5.hpp"
#include "io/hdf5_blocks.hpp"
#include "kernels/tensor.hpp"
#include "tests/support/expect_input_error.hpp"
#include "tests/support/temporary_folder.hpp"

namespace orrery::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// Every number of every instance, read in blocks of that many rows.
std::vector<std::vector<double>> read_all(ObservationReader& file, Index block) {
  std::vector<std::vector<double>> instances(file.instances());
  Tensor<double, 2> rows(Context::cpu(1), block, file.length());
  for (auto& instance : instances)
    while (const Index count = file.read(rows))
      instance.insert(instance.end(), rows.data(), rows.data() + count * file.length());
  EXPECT_EQ(file.read(rows), 0);
  return instances;
}

class Observations : public testing::Test {
 protected:
  auto open(const std::string& file, const std::string& dataset = "") {
    return open_observations(folder / file, dataset, "observations");
  }
  std::vector<std::vector<double>> all_of(const std::string& file, Index block = 2) {
    return read_all(*open(file), block);
  }
  std::string error_of(const std::string& file, const std::string& dataset = "") {
    return test::input_error_of([&] { read_all(*open(file, dataset), 2); });
  }
  void write(const std::string& file, const std::string& text) {
    std::ofstream(folder / file, std::ios::binary) << text;
  }

  test::TemporaryFolder folder;
};

/// A NumPy array file with that header and these bytes.
std::string npy(int version, const std::string& dictionary, const std::string& numbers) {
  std::string header = dictionary;
  while ((header.size() + 11) % 16 != 0) header += ' ';
  header += '\n';
  std::string text = "\x93NUMPY";
  text += static_cast<char>(version);
  text += '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i)
    text += static_cast<char>(header.size() >> (8 * i) & 255);
  return text + header + numbers;
}
template <class T>
std::string bytes_of(const std::vector<T>& numbers, bool reversed = false) {
  std::string bytes;
  for (const T number : numbers) {
    char part[sizeof(T)];
    std::memcpy(part, &number, sizeof(T));
    if (reversed) std::reverse(part, part + sizeof(T));
    bytes.append(part, sizeof(T));
  }
  return bytes;
}

TEST_F(Observations, FromCsvWithAndWithoutColumnNames) {
  write("plain.csv", "1,2.5,-3e2\n4,5,6\n7,8,9\n");
  EXPECT_THAT(all_of("plain.csv"), ElementsAre(ElementsAre(1, 2.5, -300, 4, 5, 6, 7, 8, 9)));
  write("named.csv",
        "\xEF\xBB\xBF"
        "a, b\r\n\r\n 1 ,\t2\r\n3,4");
  EXPECT_THAT(all_of("named.csv"), ElementsAre(ElementsAre(1, 2, 3, 4)));
  EXPECT_EQ(open("named.csv")->length(), 2);
}

TEST_F(Observations, FromNpyOfEveryVersionTypeAndByteOrder) {
  static_assert(std::endian::native == std::endian::little);
  const std::vector<double> numbers = {1, 2.5, -3, 4, 5, 6};
  const std::vector<float> singles(numbers.begin(), numbers.end());
  const auto dictionary = [](const std::string& type, const std::string& shape) {
    return "{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }";
  };
  const auto expected = testing::ElementsAreArray(numbers);
  write("a.npy", npy(1, dictionary("<f8", "(3, 2)"), bytes_of(numbers)));
  write("b.npy", npy(2, dictionary(">f8", "(3, 2)"), bytes_of(numbers, true)));
  write("c.npy", npy(3, dictionary("<f4", "(3, 2)"), bytes_of(singles)));
  write("d.npy", npy(1, dictionary(">f4", "(3, 2)"), bytes_of(singles, true)));
  for (const std::string file : {"a.npy", "b.npy", "c.npy", "d.npy"})
    EXPECT_THAT(all_of(file), ElementsAre(expected)) << file;
  write("three.npy", npy(1, dictionary("<f4", "(2, 1, 3)"), bytes_of(singles)));
  EXPECT_THAT(all_of("three.npy"), ElementsAre(ElementsAre(1, 2.5, -3), ElementsAre(4, 5, 6)));
}

TEST_F(Observations, OfNpyThatCannotBeUsed) {
  const std::vector<float> six = {1, 2, 3, 4, 5, 6};
  const auto write_npy = [&](const std::string& type, const std::string& order,
                             const std::string& shape, const std::string& numbers) {
    write(
        "x.npy",
        npy(1, "{'descr': '" + type + "', 'fortran_order': " + order + ", 'shape': " + shape + "}",
            numbers));
    return error_of("x.npy");
  };
  EXPECT_THAT(write_npy("<i4", "False", "(3, 2)", bytes_of(six)), HasSubstr("<i4"));
  EXPECT_THAT(write_npy("<f4", "True", "(3, 2)", bytes_of(six)), HasSubstr("Fortran"));
  EXPECT_THAT(write_npy("<f4", "False", "(6,)", bytes_of(six)), HasSubstr("1 dimensions"));
  EXPECT_THAT(write_npy("<f4", "False", "(0, 2)", ""), HasSubstr("extent"));
  EXPECT_THAT(write_npy("<f4", "False", "(4, 2)", bytes_of(six)), HasSubstr("truncated"));
  EXPECT_THAT(write_npy("<f4", "False", "(2, 2)", bytes_of(six)), HasSubstr("too long"));
  EXPECT_THAT(write_npy("<f4", "False", "(99999999999, 99999999999)", bytes_of(six)),
              HasSubstr("truncated"));
  write("short.npy", std::string("\x93NUMPY\x01\x00\xff", 9));
  EXPECT_THAT(error_of("short.npy"), HasSubstr("header"));
  write("new.npy", std::string("\x93NUMPY\x09\x00\x10\x00", 10));
  EXPECT_THAT(error_of("new.npy"), HasSubstr("version 9"));
  write("odd.npy", npy(1, "{'shape': (3, 2)}", bytes_of(six)));
  EXPECT_THAT(error_of("odd.npy"), HasSubstr("descr"));
}

TEST_F(Observations, FromHdf5ByNameOrWhereThereIsOne) {
  const Array two{.extents = {3, 2}, .numbers = std::vector<float>{1, 2, 3, 4, 5, 6}};
  const Array three{.extents = {2, 1, 3}, .numbers = std::vector<std::int64_t>{1, 2, 3, 4, 5, 6}};
  const Array line{.extents = {2}, .numbers = std::vector<double>{1, 2}};
  write_hdf5(folder / "one.h5", {.arrays = {{"anything", two}}, .attributes = {}});
  EXPECT_THAT(all_of("one.h5"), ElementsAre(ElementsAre(1, 2, 3, 4, 5, 6)));
  write_hdf5(folder / "some.h5",
             {.arrays = {{"observations", three}, {"other", two}, {"z", line}}, .attributes = {}});
  EXPECT_THAT(all_of("some.h5"), ElementsAre(ElementsAre(1, 2, 3), ElementsAre(4, 5, 6)));
  EXPECT_EQ(open("some.h5", "other")->length(), 2);
  EXPECT_THAT(error_of("some.h5", "absent"), HasSubstr("observations, other, z"));
  EXPECT_THAT(error_of("some.h5", "z"), HasSubstr("1 dimensions"));
  write_hdf5(folder / "several.h5", {.arrays = {{"a", two}, {"b", two}}, .attributes = {}});
  EXPECT_THAT(error_of("several.h5"), HasSubstr("--dataset"));
  write_hdf5(folder / "none.h5", {.arrays = {}, .attributes = {}});
  EXPECT_THAT(error_of("none.h5"), HasSubstr("none"));

  const auto whole = read_text(folder / "some.h5");
  write("cut.h5", whole.substr(0, whole.size() / 2));
  EXPECT_THAT(error_of("cut.h5"), HasSubstr("cut.h5"));
}

TEST_F(Observations, WrittenInBlocksAreReadBack) {
  write_hdf5_blocks(folder / "blocks.h5", "observations", {2, 3, 2}, [](const auto& append) {
    append(std::vector<float>{1, 2, 3, 4, 5});
    append(std::vector<float>{6, 7, 8, 9, 10, 11, 12});
  });
  EXPECT_THAT(all_of("blocks.h5"),
              ElementsAre(ElementsAre(1, 2, 3, 4, 5, 6), ElementsAre(7, 8, 9, 10, 11, 12)));
  EXPECT_EQ(read_hdf5(folder / "blocks.h5").array<float>("observations", {2, 3, 2}).size(), 12u);
}

TEST_F(Observations, ThatWereNotAllWrittenLeaveNoFile) {
  EXPECT_ANY_THROW(write_hdf5_blocks(folder / "a.h5", "x", {3}, [](const auto& append) {
    append(std::vector<float>{1, 2});
  }));
  EXPECT_ANY_THROW(write_hdf5_blocks(folder / "b.h5", "x", {1}, [](const auto& append) {
    append(std::vector<float>{1, 2});
  }));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST_F(Observations, ThatAreNoNumbersAreNamedByTheirPlace) {
  write("nan.csv", "1,2\n3,nan\n");
  EXPECT_THAT(error_of("nan.csv"), HasSubstr("observation 2, sample 2 is nan"));
  write("inf.csv", "1,2\n3,4\n-inf,5\n");
  EXPECT_THAT(error_of("inf.csv"), HasSubstr("observation 3, sample 1 is -inf"));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  write_hdf5(folder / "nan.h5",
             {.arrays = {{"x",
                          {.extents = {2, 2, 2},
                           .numbers = std::vector<double>{1, 2, 3, 4, 5, 6, nan, 8}}}},
              .attributes = {}});
  EXPECT_THAT(error_of("nan.h5"), HasSubstr("observation 2 of instance 2, sample 1 is nan"));
  write("word.csv", "1,2\n3,four\n");
  EXPECT_THAT(error_of("word.csv"), HasSubstr("line 2: \"four\""));
  write("ragged.csv", "1,2\n\n3\n");
  EXPECT_THAT(error_of("ragged.csv"), HasSubstr("line 3 has 1 numbers, but the first has 2"));
  write("gap.csv", "1,2\n3,\n");
  EXPECT_THAT(error_of("gap.csv"), HasSubstr("line 2: \"\""));
}

TEST_F(Observations, FromWhatIsNoFileOfThem) {
  write("empty", "");
  EXPECT_THAT(error_of("empty"), HasSubstr("is empty"));
  write("blank.csv", "\n \n");
  EXPECT_THAT(error_of("blank.csv"), HasSubstr("no observations"));
  write("names.csv", "a,b\n");
  EXPECT_THAT(error_of("names.csv"), HasSubstr("no observations"));
  EXPECT_THAT(error_of("absent"), HasSubstr("no such file"));
  EXPECT_THAT(error_of("."), HasSubstr("folder"));
  write("set.csv", "1,2\n");
  EXPECT_THAT(error_of("set.csv", "x"), HasSubstr("--dataset"));
}

}  // namespace
}  // namespace orrery::io
