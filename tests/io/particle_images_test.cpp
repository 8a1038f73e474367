#include "io/particle_images.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <cstdlib>

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
using testing::SizeIs;

const Context host = Context::cpu(1);

/// Pixel of image i of stack s.
float value(int s, Index i) { return static_cast<float>(100 * s + i); }

class ParticleImagesTest : public testing::Test {
 protected:
  /// A stack of constant images.
  std::filesystem::path write_stack(int s, Index count, Index size = 3, double pixel_size = 1.5) {
    const auto path = folder / ("stack" + std::to_string(s) + ".mrcs");
    Tensor<float, 3> images(host, count, size, size);
    for (Index i = 0; i < count; ++i)
      for (float& pixel : images.view()[i]) pixel = value(s, i);
    ImageStackWriter stack(path, size, pixel_size);
    stack.append(images.view());
    stack.close();
    return path;
  }
  /// Every image of `stacks` stacks of 4, round and round.
  ParticleTable table_of(int stacks) {
    ParticleTable table;
    table.source = "particles.star";
    table.groups = {OpticsGroup{}};
    for (int s = 0; s < stacks; ++s) table.stacks.push_back(write_stack(s, 4));
    for (Index i = 0; i < 4; ++i)
      for (int s = 0; s < stacks; ++s) {
        Particle particle;
        particle.stack = s;
        particle.image = i;
        table.particles.push_back(particle);
      }
    return table;
  }
  /// What both ways of opening say of a table with one bad stack.
  std::string problem_of(const ParticleTable& table) {
    const auto message = input_error_of([&] { ParticleImages images(table); });
    const ParticleImages images(table, BadStacks::skip);
    EXPECT_THAT(images.problems(), ElementsAre(message));
    return message;
  }

  TemporaryFolder folder;
};

TEST_F(ParticleImagesTest, AreReadAcrossStacks) {
  const auto table = table_of(70);  // more than are open at a time
  const ParticleImages images(table);
  EXPECT_EQ(images.size(), 3);
  EXPECT_EQ(images.pixel_size(), 1.5);
  EXPECT_THAT(images.problems(), IsEmpty());
  ASSERT_THAT(images.usable(), SizeIs(280));
  Tensor<float, 3> read(host, 280, 3, 3);
  images.read(images.usable(), read);
  for (Index i = 0; i < 280; ++i) {
    const auto& particle = table.particles[static_cast<std::size_t>(i)];
    EXPECT_EQ(read(i, 0, 0), value(particle.stack, particle.image));
    EXPECT_EQ(read(i, 2, 2), value(particle.stack, particle.image));
  }
  Tensor<float, 3> some(host, 3, 3, 3);
  images.read(std::vector<Index>{279, 0, 5}, some);
  EXPECT_EQ(some(0, 1, 1), value(69, 3));
  EXPECT_EQ(some(2, 1, 1), value(5, 0));
  EXPECT_THROW(images.read(std::vector<Index>{0}, some), std::invalid_argument);
}

TEST_F(ParticleImagesTest, OfBadStacksAreNamedOrLeftOut) {
  auto table = table_of(3);
  std::filesystem::remove(table.stacks[1]);
  EXPECT_THAT(problem_of(table),
              AllOf(HasSubstr("particles.star: names the stack " + table.stacks[1].string()),
                    HasSubstr("--datadir")));
  EXPECT_THAT(ParticleImages(table, BadStacks::skip).usable(),
              ElementsAre(0, 2, 3, 5, 6, 8, 9, 11));

  write_stack(1, 3);
  EXPECT_THAT(problem_of(table),
              HasSubstr("stack1.mrcs: has 3 images, but particles.star asks for image 4"));
  EXPECT_THAT(ParticleImages(table, BadStacks::skip).usable(), SizeIs(11));

  write_stack(1, 4, 5);
  EXPECT_THAT(problem_of(table),
              AllOf(HasSubstr("stack1.mrcs: its images are 5 x 5 pixels, but those of"),
                    HasSubstr("stack0.mrcs are 3 x 3")));
  table.groups[0].image_size = 5;
  EXPECT_THAT(input_error_of([&] { ParticleImages images(table); }),
              HasSubstr("stack0.mrcs: its images are 3 x 3 pixels, but particles.star says 5"));
  table.groups[0].image_size = 0;

  std::filesystem::resize_file(write_stack(1, 4), 1100);
  EXPECT_THAT(problem_of(table), HasSubstr("truncated"));

  for (const auto& stack : table.stacks) std::filesystem::remove(stack);
  EXPECT_THAT(input_error_of([&] { ParticleImages images(table, BadStacks::skip); }),
              HasSubstr("none of its 12 particles has an image"));
}

TEST_F(ParticleImagesTest, HaveOnePixelSize) {
  auto table = table_of(2);
  write_stack(1, 4, 3, 2);
  EXPECT_EQ(ParticleImages(table).pixel_size(), 0);  // the headers disagree
  table.groups = {{.name = "a", .pixel_size = 1.3}, {.name = "b", .pixel_size = 1.3004}};
  table.particles[3].group = 1;
  EXPECT_EQ(ParticleImages(table).pixel_size(), 1.3);
  table.groups[1].pixel_size = 1.4;
  EXPECT_THAT(input_error_of([&] { ParticleImages images(table); }),
              HasSubstr("pixel sizes of 1.3 and 1.4 angstrom"));
  table.particles[3].group = 0;  // a group without particles does not count
  EXPECT_EQ(ParticleImages(table).pixel_size(), 1.3);
}

// RELION's projections once centred and once with origins, which are whole pixels: moving an image
// by its origin brings the particle to the centre.
TEST_F(ParticleImagesTest, OriginsMoveThemToTheCentre) {
  const char* data = std::getenv("ORRERY_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "ORRERY_TEST_DATA names no folder of test files";
  const auto particles = std::filesystem::path(data) / "particles";
  if (!std::filesystem::exists(particles)) GTEST_SKIP() << particles << " is not there";
  for (const Index n : {64, 65}) {
    const auto prefix = "rln_proj_" + std::to_string(n);
    const auto images_of = [&](const ParticleTable& table) {
      const ParticleImages images(table);
      Tensor<float, 3> read(host, 4, n, n);
      images.read(images.usable(), read);
      return read;
    };
    const auto table = read_particles(particles / (prefix + "_shifted.star"));
    const auto shifted = images_of(table);
    const auto centred = images_of(read_particles(particles / (prefix + "_centered.star")));
    for (Index i = 0; i < 4; ++i) {
      const auto& particle = table.particles[static_cast<std::size_t>(i)];
      const auto x = std::lround(particle.origin_x), y = std::lround(particle.origin_y);
      double difference = 0, norm = 0;
      for (Index iy = 0; iy < n; ++iy)
        for (Index ix = 0; ix < n; ++ix) {
          const double moved = shifted(i, (iy - y + n) % n, (ix - x + n) % n);
          difference += std::pow(moved - centred(i, iy, ix), 2);
          norm += std::pow(centred(i, iy, ix), 2);
        }
      EXPECT_LT(std::sqrt(difference / norm), 1e-2) << prefix << " " << i;
    }
  }
}

TEST_F(ParticleImagesTest, OfTheCollectionAreRead) {
  const char* data = std::getenv("ORRERY_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "ORRERY_TEST_DATA names no folder of test files";
  const auto particles = std::filesystem::path(data) / "particles";
  if (!std::filesystem::exists(particles)) GTEST_SKIP() << particles << " is not there";
  for (const char* name : {"empiar_10076_7.star", "empiar_10076_7.cs", "rln_proj_64_shifted.star",
                           "rln_proj_65_centered.star", "sample_particles_relion30.star",
                           "sample_particles_relion31.star"}) {
    const auto table = read_particles(particles / name);
    const ParticleImages images(table);
    EXPECT_EQ(images.usable().size(), table.particles.size()) << name;
    Tensor<float, 3> read(host, static_cast<Index>(images.usable().size()), images.size(),
                          images.size());
    images.read(images.usable(), read);
  }
}

}  // namespace
}  // namespace orrery::io
