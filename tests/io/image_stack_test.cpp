#include "io/image_stack.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <numeric>

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
using testing::HasSubstr;
using testing::StartsWith;

const Context host = Context::cpu(1);

/// Pixel p of image i, counted through the whole stack: small whole numbers, which every mode has.
float ramp(int i) { return static_cast<float>(i % 101 + 3); }

/// Five images of 4 x 4 pixels of 2 angstrom.
MapFile ramp_stack(std::int32_t mode = 2) {
  MapFile stack{.nz = 5, .mode = mode, .intervals = {4, 4, 1}, .cell = {8, 8, 2}};
  stack.space_group = 0;
  return stack;
}

class ImageStacks : public testing::Test {
 protected:
  std::filesystem::path save(const std::string& bytes) {
    const auto path = folder / "images.mrcs";
    std::filesystem::remove(path);
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  /// The message with which the stack is refused when it is opened; it always names the file.
  std::string refusal(const std::string& bytes) {
    const auto path = save(bytes);
    const auto message = input_error_of([&] { ImageStack stack(path); });
    EXPECT_THAT(message, StartsWith(path.string() + ": "));
    return message;
  }
  std::string refusal(const MapFile& stack) { return refusal(stack.bytes()); }

  static std::vector<float> read(const ImageStack& stack, const std::vector<Index>& indices) {
    const auto count = static_cast<Index>(indices.size());
    Tensor<float, 3> images(host, count, stack.size(), stack.size());
    stack.read(indices, images);
    return {images.data(), images.data() + images.size()};
  }

  TemporaryFolder folder;
};

TEST_F(ImageStacks, HaveEveryModeInEitherByteOrder) {
  const auto expect_ramp = [&](const MapFile& file) {
    const ImageStack stack(save(file.bytes()));
    EXPECT_EQ(stack.size(), 4);
    EXPECT_EQ(stack.count(), 5);
    EXPECT_DOUBLE_EQ(stack.pixel_size(), 2);
    const auto images = read(stack, {0, 1, 2, 3, 4});
    for (int i = 0; i < 80; ++i)
      EXPECT_EQ(images[i], ramp(i)) << file.mode << (file.big_endian ? " big " : " ") << i;
  };
  // Halves of 3 .. 103: one, the exponent's bias 15, and ten bits behind the leading one.
  const auto half = [](int i) {
    const auto number = static_cast<unsigned>(ramp(i));
    const auto exponent = static_cast<unsigned>(std::bit_width(number) - 1);
    return static_cast<std::uint16_t>(((exponent + 15) << 10) +
                                      ((number << (10 - exponent)) & 1023u));
  };
  for (const bool big : {false, true}) {
    const auto stack = [&](std::int32_t mode) {
      auto file = ramp_stack(mode);
      file.big_endian = big;
      if (big) file.stamp = "\x11\x11";
      return file;
    };
    expect_ramp(stack(0).fill<std::int8_t>(ramp));
    expect_ramp(stack(1).fill<std::int16_t>(ramp));
    expect_ramp(stack(2).fill<float>(ramp));
    expect_ramp(stack(6).fill<std::uint16_t>(ramp));
    expect_ramp(stack(12).fill<std::uint16_t>(half));
    auto extended = stack(2);
    extended.extended = 40;
    extended.extended_bytes = std::string(40, 'x');
    expect_ramp(extended.fill<float>(ramp));
  }
}

TEST_F(ImageStacks, AreReadInAnyOrder) {
  const ImageStack stack(save(ramp_stack().fill<float>(ramp).bytes()));
  const std::vector<Index> indices = {3, 4, 0, 0, 1, 2, 4};
  const auto images = read(stack, indices);
  for (int i = 0; i < 7; ++i)
    for (int p = 0; p < 16; ++p)
      EXPECT_EQ(images[16 * i + p], ramp(static_cast<int>(16 * indices[i]) + p));
  EXPECT_TRUE(read(stack, {}).empty());
  EXPECT_THROW(read(stack, {5}), std::invalid_argument);
  EXPECT_THROW(read(stack, {-1}), std::invalid_argument);
  Tensor<float, 3> wrong(host, 1, 4, 5);
  EXPECT_THROW(stack.read(std::vector<Index>{0}, wrong), std::invalid_argument);
}

TEST_F(ImageStacks, LongerThanARunReadBackAsWritten) {
  constexpr Index size = 97, count = 150;  // 5.6 MB
  Tensor<float, 3> images(host, count, size, size);
  RandomSequence random(7, 0);
  for (float& pixel : images.view()) pixel = static_cast<float>(random.normal());
  const auto path = folder / "images.mrcs";
  ImageStackWriter writer(path, size, 1.5);
  writer.append(images.view().rows(0, 1));
  writer.append(images.view().rows(1, count - 1));
  EXPECT_EQ(writer.count(), count);
  EXPECT_FALSE(std::filesystem::exists(path));
  ImageStackWriter moved(std::move(writer));
  moved.close();

  const ImageStack stack(path);
  EXPECT_EQ(stack.size(), size);
  EXPECT_EQ(stack.count(), count);
  EXPECT_DOUBLE_EQ(stack.pixel_size(), 1.5);
  std::vector<Index> all(count);
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(read(stack, all), std::vector<float>(images.view().begin(), images.view().end()));

  std::array<std::byte, MrcHeader::bytes> raw;
  ASSERT_EQ(RandomAccessFile(path).read(0, raw), raw.size());
  const auto header = decode_mrc_header(raw);
  EXPECT_TRUE(header.has_map_identifier);
  EXPECT_EQ(header.space_group, 0);
  EXPECT_EQ(header.intervals, (std::array<std::int32_t, 3>{97, 97, 1}));
  std::array<float, 3> statistics;  // minimum, maximum, mean: words 20 to 22
  std::memcpy(statistics.data(), raw.data() + 76, sizeof(statistics));
  EXPECT_EQ(statistics[0], *std::min_element(images.view().begin(), images.view().end()));
  EXPECT_EQ(statistics[1], *std::max_element(images.view().begin(), images.view().end()));
  EXPECT_NEAR(statistics[2],
              std::accumulate(images.view().begin(), images.view().end(), 0.0) / images.size(),
              1e-7);
}

TEST_F(ImageStacks, WithoutAnEndLeaveNothingBehind) {
  {
    ImageStackWriter writer(folder / "images.mrcs", 2, 1);
    writer.append(Tensor<float, 3>::zeros(host, 3, 2, 2).view());
    EXPECT_THROW(writer.append(Tensor<float, 3>::zeros(host, 3, 2, 3).view()),
                 std::invalid_argument);
    auto images = Tensor<float, 3>::zeros(host, 1, 2, 2);
    images(0, 1, 1) = NAN;
    EXPECT_THROW(writer.append(images.view()), std::invalid_argument);
  }
  EXPECT_THROW(ImageStackWriter(folder / "images.mrcs", 2, 1).close(), std::invalid_argument);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  EXPECT_THROW(ImageStackWriter(folder / "images.mrcs", 0, 1), std::invalid_argument);
  EXPECT_THROW(ImageStackWriter(folder / "images.mrcs", 2, 0), std::invalid_argument);
  EXPECT_THAT(input_error_of([&] { ImageStackWriter(folder / "no/such", 2, 1); }),
              HasSubstr("could not be written: No such file or directory"));
}

TEST_F(ImageStacks, AreRefusedWithTheFieldAndTheRemedy) {
  const auto ramped = ramp_stack().fill<float>(ramp);
  EXPECT_THAT(input_error_of([&] { ImageStack stack(folder / "absent.mrcs"); }),
              HasSubstr("no such file"));
  EXPECT_THAT(refusal(""), HasSubstr("is empty"));
  EXPECT_THAT(refusal(ramped.bytes().substr(0, 600)), HasSubstr("an MRC header alone has 1024"));
  EXPECT_THAT(refusal(ramped.bytes().substr(0, 1024 + 319)),
              HasSubstr("has 1343 bytes, but its header asks for 1344 (5 images of 4 x 4 in MODE "
                        "2); the file is truncated"));
  EXPECT_THAT(refusal("\x1f\x8b packed"), HasSubstr("unpack it"));
  auto file = ramped;
  file.nx = 5;
  EXPECT_THAT(refusal(file), HasSubstr("5 x 4 pixels, but must be square"));
  file = ramped;
  file.mode = 4;
  EXPECT_THAT(refusal(file), HasSubstr("MODE 4 holds complex numbers"));
  file.mode = 101;
  EXPECT_THAT(refusal(file), HasSubstr("MODE 101 is not one of 0, 1, 2, 6, 12"));
  file = ramped;
  file.nz = 0;
  EXPECT_THAT(refusal(file), HasSubstr("has no images (NZ is 0)"));
  file.nz = -1;
  EXPECT_THAT(refusal(file), HasSubstr("the file is damaged"));
  file = ramped;
  file.extended = -8;
  EXPECT_THAT(refusal(file), HasSubstr("-8 bytes of extended header"));
  file = ramped;
  file.nx = file.ny = file.nz = 2000000000;  // more than a count of bytes can hold
  EXPECT_THAT(refusal(file), HasSubstr("truncated"));
  file = ramped;
  file.map = "none";
  EXPECT_EQ(ImageStack(save(file.bytes())).count(), 5);  // all the rest fits
  file.trailing = "x";
  EXPECT_THAT(refusal(file), HasSubstr("is not an MRC file"));
}

TEST_F(ImageStacks, NameTheImageThatCannotBeUsed) {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    const auto path = save(
        ramp_stack().fill<float>([&](int i) { return i == 3 * 16 + 7 ? bad : ramp(i); }).bytes());
    const ImageStack stack(path);
    EXPECT_EQ(read(stack, {0, 1, 2, 4}).size(), 64u);
    EXPECT_EQ(
        input_error_of([&] {
          read(stack, {2, 3, 4});
        }),
        path.string() + ": image 4 has NaN or infinite pixels; leave it out or extract it again");
  }
  const auto path = save(ramp_stack().fill<float>(ramp).bytes());
  const ImageStack stack(path);
  std::filesystem::resize_file(path, 1024 + 2 * 64 + 5);
  EXPECT_THAT(input_error_of([&] {
                read(stack, {0, 1, 2, 3, 4});
              }),
              HasSubstr("ends inside image 3"));
}

TEST_F(ImageStacks, OfTheCollectionAreRead) {
  const char* data = std::getenv("ORRERY_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "ORRERY_TEST_DATA names no folder of test files";
  const auto particles = std::filesystem::path(data) / "particles";
  if (!std::filesystem::exists(particles)) GTEST_SKIP() << particles << " is not there";
  struct Expected {
    const char* name;
    Index size, count;
    double pixel_size;
  };
  for (const auto& [name, size, count, pixel_size] :
       {Expected{"empiar_10076_7.mrc", 320, 7, 0}, Expected{"sample.mrcs", 200, 17, 0},
        Expected{"rln_proj_64_centered.mrcs", 64, 4, 1},
        Expected{"rln_proj_65_shifted.mrcs", 65, 4, 1}}) {
    const ImageStack stack(particles / name);
    EXPECT_EQ(stack.size(), size) << name;
    EXPECT_EQ(stack.count(), count) << name;
    EXPECT_EQ(stack.pixel_size(), pixel_size) << name;
    EXPECT_EQ(read(stack, {count - 1, 0}).size(), static_cast<std::size_t>(2 * size * size));
  }
}

}  // namespace
}  // namespace orrery::io
