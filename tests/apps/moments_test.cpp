// The program `moments`, from particle files to moments.h5.

#include <gmock/gmock.h>
#include <signal.h>

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>
#include <thread>

#include "apps/moments/checkpoint.hpp"
#include "apps/view_moments_file.hpp"
#include "io/image_stack.hpp"
#include "io/particles.hpp"
#include "kernels/ctf.hpp"
#include "kernels/random.hpp"
#include "tests/support/program.hpp"

namespace orrery {
namespace {

using test::Arguments;
using test::operator+;
using testing::AllOf;
using testing::HasSubstr;

const Context cpu = Context::cpu(1);

/// Blobs here and there under white noise of variance 1, in two stacks.
class MomentsProgram : public test::ProgramTest {
 protected:
  MomentsProgram() : ProgramTest("moments") {}

  static constexpr double pixel_size = 2;
  io::ParticleTable table;
  Tensor<float, 3> images;

  void make_images(Index count, Index size, double brightness = 1) {
    images = Tensor<float, 3>(cpu, count, size, size);
    RandomSequence random(7, 0);
    for (Index b = 0; b < count; ++b) {
      const double cx = random.uniform(-2, 2), cy = random.uniform(-2, 2);
      const double width = random.uniform(2, 6);
      for (Index y = 0; y < size; ++y)
        for (Index x = 0; x < size; ++x) {
          const double dx = double(x - size / 2) - cx, dy = double(y - size / 2) - cy;
          images(b, y, x) =
              float(brightness * std::exp(-(dx * dx + dy * dy) / width) + random.normal());
        }
    }
  }
  void write_stack(const std::string& name, View<const float, 3> some) {
    io::ImageStackWriter stack(folder / name, some.extent(1), pixel_size);
    stack.append(some);
    stack.close();
  }
  /// particles.star over a.mrcs, which has the first third of the images, and b.mrcs.
  void write_all(bool with_ctf = false) {
    const Index count = images.extent(0), in_first = count / 3;
    write_stack("a.mrcs", images.view().rows(0, in_first));
    write_stack("b.mrcs", images.view().rows(in_first, count - in_first));
    table = {};
    table.stacks = {folder / "a.mrcs", folder / "b.mrcs"};
    table.groups = {{"one", pixel_size, static_cast<int>(images.extent(1))}};
    table.has_ctf = with_ctf;
    table.has_origins = true;
    RandomSequence random(8, 0);
    for (Index b = 0; b < count; ++b) {
      io::Particle p;
      p.stack = b < in_first ? 0 : 1;
      p.image = b < in_first ? b : b - in_first;
      p.origin_x = random.uniform(-4, 4), p.origin_y = random.uniform(-4, 4);
      p.ctf.defocus_u = 10000 + 500 * double(b / 5), p.ctf.defocus_v = p.ctf.defocus_u - 400;
      p.ctf.defocus_angle = 35;
      table.particles.push_back(p);
    }
    io::write_particles(folder / "particles.star", table);
    table = io::read_particles(folder / "particles.star");
  }

  test::ProgramOutcome moments(const Arguments& arguments = {}) {
    return run(Arguments{"particles.star", "--threads", "1"} + arguments);
  }
  std::string refusal(const Arguments& arguments = {}) {
    const auto outcome = moments(arguments);
    EXPECT_EQ(outcome.code, 2) << outcome.errors;
    EXPECT_FALSE(exists("moments.h5"));
    EXPECT_FALSE(exists("moments.h5.json"));
    return outcome.errors;
  }
  nlohmann::json summary() const { return nlohmann::json::parse(contents("moments.h5.json")); }
};

/// What the program is said to compute, by direct sums.
struct DirectMoments {
  std::vector<double> first, second;
};
DirectMoments direct_moments(const Tensor<float, 3>& images, const io::ParticleTable& table, int n,
                             double variance) {
  const Index count = images.extent(0), m = images.extent(1), pixels = Index{n} * n, half = n / 2;
  std::vector<double> above(pixels), below(pixels), products(pixels * pixels),
      weights(pixels * pixels);
  for (Index b = 0; b < count; ++b) {
    const auto& p = table.particles[static_cast<std::size_t>(b)];
    Tensor<double, 2> c(cpu, 1, pixels);
    for (double& x : c.view()) x = 1;
    if (table.has_ctf)
      contrast_transfer<double>(cpu, {&p.ctf, 1}, n, double(m) * table.groups[0].pixel_size, c);
    std::vector<double> weighted(pixels);
    for (Index k = 0; k < pixels; ++k) {
      const double kx = double(k % n - half), ky = double(k / n - half);
      double h = 0;
      for (Index y = 0; y < m; ++y)
        for (Index x = 0; x < m; ++x) {
          const double turn = kx * (double(x - m / 2) + p.origin_x / table.groups[0].pixel_size) +
                              ky * (double(y - m / 2) + p.origin_y / table.groups[0].pixel_size);
          const double angle = 2 * std::numbers::pi * turn / double(m);
          h += images(b, y, x) * (std::cos(angle) + std::sin(angle));
        }
      h *= std::pow(double(n) / double(m), 2) / double(m);
      weighted[k] = c(0, k) * h;
      above[k] += weighted[k];
      below[k] += c(0, k) * c(0, k);
    }
    for (Index i = 0; i < pixels; ++i)
      for (Index j = 0; j < pixels; ++j) {
        products[i * pixels + j] += weighted[i] * weighted[j];
        weights[i * pixels + j] += std::pow(c(0, i) * c(0, j), 2);
      }
  }
  DirectMoments direct{std::move(above), std::move(products)};
  for (Index i = 0; i < pixels; ++i) {
    direct.second[i * pixels + i] -= variance * std::pow(double(n) / double(m), 4) * below[i];
    direct.first[i] /= below[i];
  }
  for (std::size_t i = 0; i < weights.size(); ++i) direct.second[i] /= weights[i];
  return direct;
}

double relative_difference(const std::vector<float>& a, const std::vector<double>& b) {
  double difference = 0, norm = 0;
  EXPECT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(a[i] - b[i], 2);
    norm += b[i] * b[i];
  }
  return std::sqrt(difference / norm);
}

TEST_F(MomentsProgram, AgreesWithDirectSums) {
  make_images(90, 16);
  for (const auto& [with_ctf, n] : {std::pair{false, 9}, {true, 9}, {true, 15}}) {
    write_all(with_ctf);
    const auto outcome = moments({"--noise-sigma", "0.9", "--box", std::to_string(n), "--invert",
                                  "no", "--batch", "16", "--overwrite"});
    ASSERT_EQ(outcome.code, 0) << outcome.errors;
    const auto found = read_view_moments(folder / "moments.h5");
    const auto direct = direct_moments(images, table, n, 0.81);
    EXPECT_LT(relative_difference(found.first, direct.first), 1e-5);
    EXPECT_LT(relative_difference(found.second, direct.second), 1e-5);
    EXPECT_EQ(found.n, n);
    EXPECT_EQ(found.observations, 90);
    EXPECT_NEAR(found.voxel_size, pixel_size * 16 / n, 1e-6);
    EXPECT_NEAR(found.noise_variance, 0.81 * std::pow(n / 16., 4), 1e-9);
    ASSERT_EQ(found.halves.size(), 2u);
    EXPECT_EQ(found.halves[0].observations + found.halves[1].observations, 90);
    EXPECT_EQ(summary()["ctf_corrected"], with_ctf);
    EXPECT_FALSE(exists("moments.checkpoint"));
  }
}

// Normalised by a background of deviation 1, with noise estimated from it, the same moments come
// out to the accuracy of that estimate.
TEST_F(MomentsProgram, FindsNoiseAndContrastByItself) {
  make_images(400, 32, -3);
  write_all();
  const auto outcome = moments({"--box", "9", "--shift-sigma", "0.8"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_THAT(outcome.output, HasSubstr("darker than their background"));
  const auto figures = summary();
  EXPECT_EQ(figures["inverted"], true);
  EXPECT_EQ(figures["images"], 400);
  const auto found = read_view_moments(folder / "moments.h5");
  const double white = std::pow(9. / 32, 4);
  EXPECT_NEAR(found.noise_variance / white, 1, 0.05);
  for (std::size_t k = 1; k < found.noise_spectrum.size(); ++k)
    EXPECT_NEAR(found.noise_spectrum[k] / white, 1, 0.25);
  EXPECT_NEAR(found.shift_deviation, 0.8 * 9 / 32, 1e-9);
  EXPECT_GT(found.first[40], 0);  // bright particles now
}

// What a CTF leaves of it is a tenth, and a level was taken off.
TEST_F(MomentsProgram, UnderACtfFrequencyZeroIsLeftOut) {
  make_images(60, 16);
  for (const bool with_ctf : {false, true}) {
    write_all(with_ctf);
    for (const auto& [noise, known] : {std::pair{Arguments{}, false},
                                       {{"--no-normalise"}, false},
                                       {{"--noise-sigma", "1"}, true}}) {
      const auto outcome = moments(Arguments{"--box", "7", "--overwrite"} + noise);
      ASSERT_EQ(outcome.code, 0) << outcome.errors;
      const auto found = read_view_moments(folder / "moments.h5");
      const bool left_out = with_ctf && !known;
      EXPECT_EQ(std::isinf(found.first_error[24]), left_out);
      EXPECT_EQ(std::isinf(found.second_error[24 * 49 + 30]), left_out);
      EXPECT_EQ(found.second[30 * 49 + 24] == 0, left_out);
      EXPECT_TRUE(std::isfinite(found.second_error[30 * 49 + 30]));
      EXPECT_EQ(summary()["unobserved_share"], left_out ? 49. / (49 * 25) : 0.);
    }
  }
}

TEST_F(MomentsProgram, OfPureNoiseAreZeroWithinTheirErrors) {
  make_images(1500, 24, 0);
  write_all();
  ASSERT_EQ(moments({"--box", "7", "--no-halves"}).code, 0);
  const auto found = read_view_moments(folder / "moments.h5");
  EXPECT_TRUE(found.halves.empty());
  double chi_squared = 0;
  int far = 0;
  for (std::size_t i = 0; i < found.second.size(); ++i) {
    const double deviation = found.second[i] / found.second_error[i];
    chi_squared += deviation * deviation / double(found.second.size());
    far += std::abs(deviation) > 5;
  }
  EXPECT_NEAR(chi_squared, 1, 0.2);
  EXPECT_EQ(far, 0);
}

TEST_F(MomentsProgram, HalvesOfTheFileAreKept) {
  make_images(30, 8);
  write_all();
  for (std::size_t i = 0; i < 30; ++i) table.particles[i].half = i < 11 ? 1 : 2;
  table.has_halves = true;
  io::write_particles(folder / "particles.star", table);
  ASSERT_EQ(moments({"--noise-sigma", "0.7"}).code, 0);
  const auto found = read_view_moments(folder / "moments.h5");
  ASSERT_EQ(found.halves.size(), 2u);
  EXPECT_EQ(found.halves[0].observations, 11);
  EXPECT_EQ(found.n, 7);

  for (auto& particle : table.particles) particle.half = 2;
  io::write_particles(folder / "particles.star", table);
  ASSERT_EQ(moments({"--noise-sigma", "0.7", "--overwrite"}).code, 0);
  EXPECT_TRUE(read_view_moments(folder / "moments.h5").halves.empty());
}

/// Whether a child is done; `finish` can still be asked what became of it.
bool has_ended(pid_t child) {
  siginfo_t info = {};
  ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT);
  return info.si_pid == child;
}

// Killed ten times wherever it happens to be, a run comes to the same bits.
TEST_F(MomentsProgram, KilledAndResumedItGivesTheSameBits) {
  make_images(2400, 24);
  write_all(true);
  const Arguments options = {"--box", "11", "--batch", "48", "--checkpoint-seconds", "0"};
  ASSERT_EQ(moments(options + Arguments{"-o", "whole.h5"}).code, 0);

  const auto stamp = [&] {
    std::error_code none;
    const auto time = std::filesystem::last_write_time(folder / "moments.checkpoint", none);
    return none ? std::filesystem::file_time_type() : time;
  };
  RandomSequence random(3, 0);
  int kills = 0, resumed = 0;
  for (bool done = false; !done && kills < 100;) {
    const bool resume = exists("moments.checkpoint");
    resumed += resume;
    const auto before = stamp();
    const pid_t child =
        start(Arguments{"particles.star", "--threads", "1", resume ? "--resume" : "--overwrite"} +
              options);
    // Some progress is waited for, so that the test ends, and then a little more.
    while (stamp() == before && !has_ended(child) && kills < 10)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (kills < 10) {
      std::this_thread::sleep_for(std::chrono::microseconds(int(random.uniform(0, 8000))));
      ::kill(child, SIGKILL);
      ++kills;
    }
    done = finish(child).code == 0;
  }
  EXPECT_GE(kills, 5);
  EXPECT_GE(resumed, 5);
  EXPECT_EQ(contents("moments.h5"), contents("whole.h5"));
}

TEST_F(MomentsProgram, InterruptedItLeavesACheckpoint) {
  make_images(2400, 24);
  write_all();
  const Arguments options = {"--box", "11", "--batch", "24", "--checkpoint-seconds", "0"};
  const pid_t child = start(Arguments{"particles.star", "--threads", "1"} + options);
  while (!exists("moments.checkpoint")) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  ::kill(child, SIGTERM);
  const auto outcome = finish(child);
  if (outcome.code == 0) GTEST_SKIP() << "it was done before the signal came";
  EXPECT_EQ(outcome.code, 130);
  EXPECT_THAT(outcome.errors, HasSubstr("--resume"));
  EXPECT_FALSE(exists("moments.h5"));
  EXPECT_THAT(moments(options).errors, HasSubstr("unfinished run"));
  EXPECT_THAT(moments(options + Arguments{"--resume", "--seed", "5"}).errors,
              HasSubstr("other options"));
  EXPECT_EQ(moments(options + Arguments{"--resume"}).code, 0);
  ASSERT_EQ(moments(options + Arguments{"-o", "whole.h5"}).code, 0);
  EXPECT_EQ(contents("moments.h5"), contents("whole.h5"));
}

// Sums of other images, or of images made otherwise, must not be gone on with.
TEST(MomentsCheckpoint, BelongsToItsParticles) {
  io::ParticleTable table;
  table.stacks = {"a.mrcs"};
  table.groups = {{"one", 2, 16}};
  table.particles.resize(1);
  const std::vector<Index> particles = {0};
  auto& p = table.particles[0];
  auto& c = p.ctf;
  const MomentsOptions options;
  const auto identity = run_identity(options, table, particles);
  EXPECT_EQ(run_identity(options, table, particles), identity);
  for (double* number : {&p.origin_x, &p.origin_y, &table.groups[0].pixel_size, &c.voltage,
                         &c.spherical_aberration, &c.amplitude_contrast, &c.defocus_u, &c.defocus_v,
                         &c.defocus_angle, &c.phase_shift, &c.b_factor, &c.scale}) {
    const double before = std::exchange(*number, *number + 0.01);
    EXPECT_NE(run_identity(options, table, particles), identity);
    *number = before;
  }
}

TEST_F(MomentsProgram, BadImagesAreNamedAndLeftOutOnlyWhenAsked) {
  make_images(60, 10);
  images(30, 3, 3) = 7;
  write_all();
  // One pixel of the eleventh image of b.mrcs is made a NaN.
  auto bytes = contents("b.mrcs");
  const float nan = NAN;
  std::memcpy(bytes.data() + 1024 + 4 * (10 * 100 + 33), &nan, 4);
  write("b.mrcs", bytes);
  EXPECT_THAT(refusal({"--noise-sigma", "0.7"}), AllOf(HasSubstr("b.mrcs"), HasSubstr("11")));
  auto outcome = moments({"--noise-sigma", "0.7", "--skip-bad"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_THAT(outcome.errors, HasSubstr("b.mrcs"));
  EXPECT_EQ(read_view_moments(folder / "moments.h5").observations, 59);

  std::filesystem::remove(folder / "b.mrcs");
  std::filesystem::remove(folder / "moments.h5");
  std::filesystem::remove(folder / "moments.h5.json");
  EXPECT_THAT(refusal({"--noise-sigma", "0.7"}), HasSubstr("b.mrcs"));
  outcome = moments({"--noise-sigma", "0.7", "--skip-bad"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_EQ(summary()["images"], 20);
  EXPECT_EQ(summary()["images_left_out"], 40);
  EXPECT_EQ(summary()["problems"].size(), 1u);
}

TEST_F(MomentsProgram, BlankImagesCannotBeNormalised) {
  make_images(30, 10);
  for (float& x : images.view()[4]) x = 0.25f;
  write_all();
  EXPECT_THAT(refusal(), AllOf(HasSubstr("a.mrcs: image 5"), HasSubstr("constant background")));
  ASSERT_EQ(moments({"--skip-bad"}).code, 0);
  EXPECT_EQ(summary()["images"], 29);
}

// Several blocks a batch, prepared by several threads, and some images among them that can't be
// used.
TEST_F(MomentsProgram, ThreadsChangeNothing) {
  make_images(200, 64);
  for (float& x : images.view()[70]) x = 0.25f;
  for (float& x : images.view()[199]) x = 0.25f;
  write_all();
  const auto with = [&](const std::string& threads, const std::string& output) {
    return run({"particles.star", "--threads", threads, "-o", output, "--box", "9", "--skip-bad",
                "--batch", "150"});
  };
  const auto one = with("1", "one.h5"), three = with("3", "three.h5");
  ASSERT_EQ(one.code, 0) << one.errors;
  ASSERT_EQ(three.code, 0) << three.errors;
  EXPECT_EQ(contents("one.h5"), contents("three.h5"));
  EXPECT_EQ(one.errors, three.errors);
  const auto figures = nlohmann::json::parse(contents("three.h5.json"));
  EXPECT_EQ(figures["images"], 198);
  EXPECT_EQ(figures["problems"].size(), 2u);
}

TEST_F(MomentsProgram, BadInputIsRefusedInOneSentence) {
  make_images(30, 10);
  write_all();
  const auto expect_refused = [&](const Arguments& arguments, const std::string& part) {
    const auto text = refusal(arguments);
    EXPECT_THAT(text, HasSubstr(part));
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
  };
  expect_refused({"--box", "8"}, "--box 8");
  expect_refused({"--box", "11"}, "give at most 9");
  expect_refused({"--noise-sigma", "7"}, "--noise-sigma 7");
  expect_refused({"--noise-sigma", "1", "--whiten"}, "--whiten");
  expect_refused({"--noise-sigma", "1", "--normalise"}, "--normalise");
  expect_refused({"--noise-sigma", "nan"}, "--noise-sigma");
  expect_refused({"--ctf"}, "says nothing about the CTF");
  expect_refused({"--diameter", "900"}, "--diameter");
  expect_refused({"--resume"}, "no such checkpoint");
  expect_refused({"--resume", "--overwrite"}, "contradict");
  expect_refused({"-o", "none/moments.h5"}, "there is no folder none");
  expect_refused({"--invert", "maybe"}, "--invert");
  expect_refused({"--device", "abacus"}, "--device");

  for (const char* name : {"moments.json", "moments.checkpoint", "moments", ".h5", ""})
    expect_refused({"-o", name}, "ends in .h5");

  auto outcome = run({"missing.star"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.errors, HasSubstr("missing.star"));
}

TEST_F(MomentsProgram, WhatIsThereIsNotOverwrittenUnasked) {
  make_images(30, 10);
  write_all();
  write("particles.json", "what simulate says of the images");
  const Arguments to = {"-o", "particles.h5"};
  ASSERT_EQ(moments(to).code, 0);
  EXPECT_EQ(contents("particles.json"), "what simulate says of the images");
  EXPECT_THAT(moments(to).errors, AllOf(HasSubstr("particles.h5 is"), HasSubstr("--overwrite")));
  EXPECT_EQ(moments(to + Arguments{"--overwrite"}).code, 0);
  std::filesystem::remove(folder / "particles.h5");
  EXPECT_THAT(moments(to).errors, HasSubstr("particles.h5.json is there already"));
  EXPECT_FALSE(exists("particles.h5"));
}

// Files have no room for the new moments here, so that all is left as it was just before them.
TEST_F(MomentsProgram, AnOldSummaryGoesBeforeItsMomentsAreReplaced) {
  make_images(30, 10);
  write_all();
  ASSERT_EQ(moments().code, 0);
  const auto before = contents("moments.h5");
  const std::string command = test::program_beside("moments") + " particles.star --overwrite";
  const auto outcome = finish(start_words({"sh", "-c", "trap '' XFSZ; ulimit -f 2; " + command}));
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.errors, HasSubstr("moments.h5: could not be written"));
  EXPECT_EQ(contents("moments.h5"), before);
  EXPECT_FALSE(exists("moments.h5.json"));
}

TEST_F(MomentsProgram, StacksOfOtherSizesAreRefused) {
  make_images(30, 10);
  write_all();
  Tensor<float, 3> larger = Tensor<float, 3>::zeros(cpu, 20, 12, 12);
  write_stack("b.mrcs", larger);
  EXPECT_THAT(refusal(), HasSubstr("b.mrcs"));
  write_stack("b.mrcs", images.view().rows(0, 5));
  EXPECT_THAT(refusal(), AllOf(HasSubstr("b.mrcs"), HasSubstr("5 images")));
}

TEST_F(MomentsProgram, APlainStackWillDo) {
  make_images(40, 10);
  write_stack("plain.mrcs", images);
  const auto outcome = run({"plain.mrcs", "--threads", "1", "--noise-sigma", "0.7"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_EQ(read_view_moments(folder / "moments.h5").observations, 40);
}

// The same particles of EMPIAR-10076 from RELION's table and from cryoSPARC's.
TEST_F(MomentsProgram, RelionAndCryosparcGiveTheSameMoments) {
  const char* data = std::getenv("ORRERY_TEST_DATA");
  if (!data) GTEST_SKIP() << "ORRERY_TEST_DATA names no folder with particles/empiar_10076_7.star";
  const auto particles = std::filesystem::path(data) / "particles";
  for (const std::string kind : {"star", "cs"}) {
    const auto outcome = run({(particles / ("empiar_10076_7." + kind)).string(), "--box", "21",
                              "--threads", "1", "-o", kind + ".h5"});
    ASSERT_EQ(outcome.code, 0) << outcome.errors;
  }
  const auto star = read_view_moments(folder / "star.h5"), cs = read_view_moments(folder / "cs.h5");
  EXPECT_LT(relative_difference(cs.first, {star.first.begin(), star.first.end()}), 1e-3);
  EXPECT_LT(relative_difference(cs.second, {star.second.begin(), star.second.end()}), 1e-3);
}

}  // namespace
}  // namespace orrery
