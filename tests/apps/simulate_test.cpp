#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <nlohmann/json.hpp>
#include <numeric>
#include <thread>

#include "apps/simulate/imaging.hpp"
#include "apps/view_moments_file.hpp"
#include "io/image_stack.hpp"
#include "io/mrc.hpp"
#include "io/particles.hpp"
#include "kernels/ctf.hpp"
#include "kernels/slices.hpp"
#include "moments/image_coefficients.hpp"
#include "tests/support/compare.hpp"
#include "tests/support/program.hpp"

namespace orrery {
namespace {

using test::Arguments;
using test::operator+;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

class Simulate : public test::ProgramTest {
 protected:
  Simulate() : ProgramTest("simulate") {}

  void simulate(const Arguments& arguments) {
    const auto outcome = run(Arguments{"--threads", "1", "--quiet"} + arguments);
    ASSERT_EQ(outcome.code, 0) << outcome.errors;
  }
  std::string refused(const Arguments& arguments) {
    const auto outcome = run(Arguments{"--threads", "1"} + arguments);
    EXPECT_EQ(outcome.code, 2) << outcome.output << outcome.errors;
    return outcome.errors;
  }

  /// All images of a STAR file in its order.
  Tensor<float, 3> images_of(const io::ParticleTable& table) {
    const Index m = table.groups.at(0).image_size;
    Tensor<float, 3> images(Context::cpu(1), std::ssize(table.particles), m, m);
    for (std::size_t i = 0; i < table.particles.size(); ++i) {
      const auto& particle = table.particles[i];
      const io::ImageStack stack(folder / table.stacks.at(particle.stack).string());
      const std::vector<Index> index = {particle.image};
      stack.read(index, images.view().rows(Index(i), 1));
    }
    return images;
  }
  Tensor<float, 3> images_of(const std::string& star) {
    return images_of(io::read_particles(folder / star));
  }
  nlohmann::json summary(const std::string& file) { return nlohmann::json::parse(contents(file)); }
};

// Each image is the truth's projection, by direct summation, seen from the angles of the STAR file,
// moved against its origin, and through its CTF.
TEST_F(Simulate, ImagesAreWhatTheStarFileSays) {
  for (const int m : {16, 17}) {
    simulate({"--box", std::to_string(m), "--images", "7", "--noise-sigma", "0", "--shift-sigma",
              "2", "--defocus-min", "3000", "--micrographs", "3", "--voxel-size", "4", "-o",
              "p.star", "--overwrite", "--images-per-stack", "4"});
    const Context ctx = Context::cpu(1);
    const auto table = io::read_particles(folder / "p.star");
    ASSERT_EQ(table.particles.size(), 7u);
    ASSERT_EQ(table.stacks.size(), 2u);
    EXPECT_TRUE(table.has_ctf && table.has_views && table.has_origins && table.has_halves);
    EXPECT_EQ(table.groups.at(0).pixel_size, 4);
    EXPECT_THAT(files_in("p"), UnorderedElementsAre("000001.mrcs", "000002.mrcs"));

    const Volume truth = io::read_map(folder / "p_truth.mrc").volume;
    EXPECT_NEAR(frobenius_norm(truth), 1, 1e-6);
    const int n = odd_below(m);
    std::vector<Rotation> views;
    std::vector<CtfParameters> optics;
    Tensor<float, 2> shifts(ctx, 7, 2), h(ctx, 7, n * n), ctf(ctx, 7, n * n);
    for (const auto& p : table.particles) {
      const Index i = std::ssize(views);
      views.push_back(from_euler({p.rot, p.tilt, p.psi}));
      optics.push_back(p.ctf);
      shifts(i, 0) = static_cast<float>(-p.origin_x / 4 * n / m);
      shifts(i, 1) = static_cast<float>(-p.origin_y / 4 * n / m);
    }
    EXPECT_EQ(optics[0].defocus_u, optics[1].defocus_u);
    EXPECT_NE(optics[0].defocus_u, optics[6].defocus_u);
    hartley_pack<float>(ctx, slices_of(ctx, fourier_crop(ctx, truth, n), views), h);
    shift_slices<float>(ctx, n, shifts, h);
    contrast_transfer<float>(ctx, {optics.data(), std::ssize(optics)}, n, truth.box(), ctf);
    for (Index i = 0; i < h.size(); ++i) h.data()[i] *= ctf.data()[i];
    Tensor<float, 3> expected(ctx, 7, m, m);
    images_of_slices(ctx, n, h, expected);
    EXPECT_LT(test::relative_difference(images_of(table), expected), 1e-4);
  }
}

// Moved by their origins and transformed, images are the slices of the truth again.
TEST_F(Simulate, OriginsBringImagesBackToTheCentre) {
  simulate({"--box", "16", "--images", "5", "--noise-sigma", "0", "--shift-sigma", "2",
            "--voxel-size", "3", "-o", "p.star"});
  const Context ctx = Context::cpu(1);
  const auto table = io::read_particles(folder / "p.star");
  std::vector<Rotation> views;
  Tensor<double, 2> origins(ctx, 5, 2);
  for (const auto& p : table.particles) {
    origins(std::ssize(views), 0) = p.origin_x / 3;
    origins(std::ssize(views), 1) = p.origin_y / 3;
    views.push_back(from_euler({p.rot, p.tilt, p.psi}));
  }
  const auto truth = fourier_crop(ctx, io::read_map(folder / "p_truth.mrc").volume, 15);
  Tensor<float, 2> expected(ctx, 5, 225), found(ctx, 5, 225);
  hartley_pack<float>(ctx, slices_of(ctx, truth, views), expected);
  ImageTransform(ctx, 16, 15)(images_of(table), origins, found);
  EXPECT_LT(test::relative_difference(found, expected), 1e-4);
}

TEST_F(Simulate, NoiseHasTheVarianceAskedFor) {
  const Arguments scene = {"--images", "60", "--box", "24", "--overwrite"};
  simulate(scene + Arguments{"--noise-sigma", "0", "-o", "clean.star"});
  const auto clean = images_of("clean.star");
  const double power = std::pow(
      test::relative_difference(Tensor<float, 3>::zeros(Context::cpu(1), 60, 24, 24), clean), 2);
  EXPECT_NEAR(power, 1, 1e-6);
  for (const char* colour : {"white", "coloured"}) {
    simulate(scene + Arguments{"--snr", "0.2", "--noise", colour, "-o", "noisy.star"});
    const auto noisy = images_of("noisy.star");
    double signal = 0, noise = 0, neighbours = 0;
    for (Index i = 0; i < clean.size(); ++i) {
      const double difference = noisy.data()[i] - clean.data()[i];
      signal += double(clean.data()[i]) * clean.data()[i];
      noise += difference * difference;
      if (i % 24 > 0)
        neighbours += difference * (double(noisy.data()[i - 1]) - clean.data()[i - 1]);
    }
    EXPECT_NEAR(signal / noise, 0.2, 0.01) << colour;
    // Coloured noise is like its neighbour, white noise is not.
    EXPECT_NEAR(neighbours / noise > 0.1, colour[0] == 'c', 0) << neighbours / noise;
    const auto said = summary("noisy.json");
    EXPECT_NEAR(double(said["snr"]), 0.2, 1e-9);
    EXPECT_NEAR(double(said["noise_sigma"]), std::sqrt(noise / double(clean.size())), 0.02);
  }
}

TEST_F(Simulate, ResultsDependOnTheSeedAlone) {
  const Arguments scene = {"--images",      "50", "--box",  "11", "--ctf",
                           "--shift-sigma", "1",  "--quiet"};
  const auto with = [&](const Arguments& more) { EXPECT_EQ(run(scene + more).code, 0); };
  with({"--threads", "1", "-o", "one.star"});
  with({"--threads", "3", "-o", "three.star"});
  with({"--threads", "1", "-o", "split.star", "--images-per-stack", "7"});
  with({"--threads", "1", "-o", "other.star", "--seed", "2"});
  EXPECT_EQ(contents("one/000001.mrcs"), contents("three/000001.mrcs"));
  EXPECT_NE(contents("one/000001.mrcs"), contents("other/000001.mrcs"));
  EXPECT_EQ(test::relative_difference(images_of("split.star"), images_of("one.star")), 0);
  with({"--threads", "1", "-o", "first.h5", "--moments-only"});
  with({"--threads", "2", "-o", "second.h5", "--moments-only"});
  const auto one = read_view_moments(folder / "first.h5"),
             two = read_view_moments(folder / "second.h5");
  EXPECT_EQ(one.first, two.first);
  EXPECT_EQ(one.second, two.second);
}

TEST_F(Simulate, RecordedOptionsReproduceTheRun) {
  const Arguments scene = {"--images", "9", "--box", "11", "--threads", "1", "--quiet"};
  for (const auto& [more, with_ctf] : {std::pair{Arguments{"--shift-sigma", "1"}, false},
                                       std::pair{Arguments{"--defocus-min", "5000"}, true},
                                       std::pair{Arguments{"--micrographs=3"}, true},
                                       std::pair{Arguments{"--ctf", "--snr", "0.1"}, true}}) {
    ASSERT_EQ(run(scene + more + Arguments{"-o", "p.star", "--overwrite"}).code, 0);
    const auto star = contents("p.star"), images = contents("p/000001.mrcs");
    const std::string options = summary("p.json")["options"];
    EXPECT_EQ(io::read_particles(folder / "p.star").has_ctf, with_ctf);
    EXPECT_THAT(options, HasSubstr(with_ctf ? "ctf=true" : "ctf=false"));
    write("options.toml", options);
    const auto again = run({"--config", "options.toml", "--overwrite", "--quiet"});
    ASSERT_EQ(again.code, 0) << again.errors;
    EXPECT_EQ(contents("p.star"), star);
    EXPECT_EQ(contents("p/000001.mrcs"), images);
    EXPECT_EQ(summary("p.json")["options"], options);
  }
}

TEST_F(Simulate, HalvesDifferByOneImageAtMost) {
  const Arguments scene = {"--images", "9001", "--box", "7", "--moments-only", "--quiet"};
  ASSERT_EQ(run(scene + Arguments{"--threads", "1", "-o", "one.h5"}).code, 0);
  ASSERT_EQ(run(scene + Arguments{"--threads", "2", "-o", "two.h5"}).code, 0);
  const auto one = read_view_moments(folder / "one.h5"), two = read_view_moments(folder / "two.h5");
  ASSERT_EQ(one.halves.size(), 2u);
  EXPECT_EQ(one.halves[0].observations, 4501);
  EXPECT_EQ(one.halves[1].observations, 4500);
  for (int half = 0; half < 2; ++half) EXPECT_EQ(one.halves[half].second, two.halves[half].second);
}

TEST_F(Simulate, MomentsTendToTheExactOnes) {
  const Arguments scene = {"--images",       "20000", "--box", "11",
                           "--moments-only", "-o",    "m.h5",  "--overwrite"};
  for (const Arguments& more :
       {Arguments{}, Arguments{"--noise", "coloured"},
        Arguments{"--shift-sigma", "0.6", "--contrast-sigma", "0.2"},
        Arguments{"--ctf", "--voxel-size", "6", "--defocus-min", "5000", "--noise-sigma", "0.1"},
        // Nothing of the mean passes this CTF, which is no error of the estimate.
        Arguments{"--ctf", "--voxel-size", "6", "--noise-sigma", "0.1", "--amplitude-contrast",
                  "0"},
        Arguments{"--in-plane", "2"}}) {
    simulate(scene + more);
    const auto moments = read_view_moments(folder / "m.h5");
    EXPECT_EQ(moments.n, 11);
    EXPECT_EQ(moments.observations, 20000);
    ASSERT_EQ(moments.halves.size(), 2u);
    EXPECT_EQ(moments.halves[0].observations + moments.halves[1].observations, 20000);
    ASSERT_EQ(moments.noise_spectrum.size(), 6u);
    const auto errors = summary("m.h5.json")["moment_errors"];
    for (const std::string which : {"first", "second"}) {
      const double found = errors[which], expected = errors["expected_" + which];
      EXPECT_GT(found, 0.6 * expected) << which << testing::PrintToString(more);
      EXPECT_LT(found, 1.5 * expected) << which << testing::PrintToString(more);
    }
  }
  EXPECT_THAT(files_in("."),
              UnorderedElementsAre("m.h5", "m.h5.json", "m_truth.mrc", "stdout", "stderr"));
}

TEST_F(Simulate, ViewsAreDrawnFromATable) {
  write("views.csv", "rot,tilt,psi,weight\n10,20,30,1\n40,50,60,3\n70,80,90,0\n");
  simulate({"--views", "views.csv", "--images", "400", "--box", "7", "-o", "p.star"});
  int first = 0;
  for (const auto& p : io::read_particles(folder / "p.star").particles) {
    EXPECT_TRUE(std::abs(p.rot - 10) < 1e-6 || std::abs(p.rot - 40) < 1e-6) << p.rot;
    first += std::abs(p.rot - 10) < 1e-6;
  }
  EXPECT_NEAR(first, 100, 40);
  const Arguments few = {"--images", "4", "--box", "7", "-o", "q.star"};
  for (const Arguments& mixture : {Arguments{"--view-mixture", "3"}, Arguments{"--in-plane=1"}})
    EXPECT_THAT(refused(few + Arguments{"--views", "views.csv"} + mixture), HasSubstr("--views"));
  write("views.csv", "rot,tilt,psi\n10,20,30\n40,nan,60\n");
  EXPECT_THAT(refused(few + Arguments{"--views", "views.csv"}),
              HasSubstr("views.csv: row 2, column tilt"));
}

TEST_F(Simulate, AnAtomicModelIsSeen) {
  write("model.pdb",
        "ATOM      1  C   ALA A   1      10.000   0.000   0.000  1.00 20.00           C\n"
        "ATOM      2  O   ALA A   1      -4.000   3.000   0.000  1.00 20.00           O\n");
  simulate({"--model", "model.pdb", "--resolution", "6", "--images", "3", "-o", "p.star"});
  const auto truth = io::read_map(folder / "p_truth.mrc").volume;
  EXPECT_NEAR(truth.voxel_size, 2, 1e-5);
  EXPECT_NEAR(frobenius_norm(truth), 1, 1e-6);
  EXPECT_THAT(
      refused({"--model", "model.pdb", "--volume", "p_truth.mrc", "--images", "3", "-o", "q.star"}),
      HasSubstr("--model"));
}

TEST_F(Simulate, WhatIsThereIsNotOverwrittenUnasked) {
  simulate({"--images", "5", "--box", "7", "-o", "p.star", "--images-per-stack", "2"});
  const auto before = contents("p.star");
  EXPECT_THAT(refused({"--images", "3", "--box", "7", "-o", "p.star"}), HasSubstr("--overwrite"));
  EXPECT_EQ(contents("p.star"), before);
  write("p/notes.txt", "mine");
  simulate({"--images", "3", "--box", "7", "-o", "p.star", "--overwrite"});
  EXPECT_THAT(files_in("p"), UnorderedElementsAre("000001.mrcs", "notes.txt"));
}

// `moments` writes the same two files.
TEST_F(Simulate, MomentsReplaceMomentsWithTheirSummary) {
  write("m.h5.json", "what moments said");
  write("m.json", "what simulate said of the images in m.star");
  const Arguments few = {"--images", "3", "--box", "7", "--moments-only", "-o", "m.h5"};
  EXPECT_THAT(refused(few), AllOf(HasSubstr("m.h5.json is there"), HasSubstr("--overwrite")));
  simulate(few + Arguments{"--overwrite"});
  EXPECT_EQ(summary("m.h5.json")["images"], 3);
  EXPECT_EQ(contents("m.json"), "what simulate said of the images in m.star");
}

TEST_F(Simulate, MistakesAreNamed) {
  const Arguments few = {"--images", "3", "--box", "7"};
  EXPECT_THAT(refused({"--images", "3"}), HasSubstr("-o"));
  EXPECT_THAT(refused({"-o", "p.star"}), HasSubstr("--images"));
  EXPECT_THAT(refused(few + Arguments{"-o", "p.h5"}), HasSubstr(".star"));
  EXPECT_THAT(refused(few + Arguments{"-o", "p.star", "--moments-only"}), HasSubstr(".h5"));
  EXPECT_THAT(refused(few + Arguments{"-o", "nowhere/p.star"}), HasSubstr("nowhere"));
  EXPECT_THAT(refused(few + Arguments{"-o", "p.star", "--snr", "1", "--noise-sigma", "1"}),
              HasSubstr("--snr"));
  EXPECT_THAT(refused(few + Arguments{"-o", "p.star", "--noise", "pink"}), HasSubstr("--noise"));
  EXPECT_THAT(refused(few + Arguments{"-o", "p.star", "--defocus-min", "30000"}),
              HasSubstr("--defocus-max"));
  EXPECT_THAT(refused(few + Arguments{"-o", "p.star", "--resolution", "3"}),
              HasSubstr("--resolution"));
  EXPECT_THAT(refused({"--images", "9", "--box", "8", "--moments-only", "-o", "m.h5"}),
              HasSubstr("--box"));
  EXPECT_THAT(refused({"--images", "100000000000", "--box", "101", "-o", "p.star"}),
              testing::AllOf(HasSubstr("make room"), HasSubstr("PB")));
  EXPECT_THAT(refused({"--images", "9", "--box", "2047", "--moments-only", "-o", "m.h5"}),
              HasSubstr("lower --box"));
  EXPECT_THAT(refused(few + Arguments{"-o", "p.star", "--images-per-stack", "3000000000"}),
              HasSubstr("--images-per-stack"));
  EXPECT_THAT(refused(few + Arguments{"--volume", "missing.mrc", "-o", "p.star"}),
              HasSubstr("missing.mrc"));
  EXPECT_THAT(files_in("."), UnorderedElementsAre("stdout", "stderr"));
}

TEST_F(Simulate, NumbersOutOfRangeAreNamedBeforeAnythingIsLost) {
  simulate({"--images", "3", "--box", "7", "-o", "p.star"});
  const auto before = contents("p.star");
  const Arguments again = {"--images", "3", "--box", "7", "-o", "p.star", "--overwrite"};
  for (const auto& [option, value] : {std::pair{"--noise-sigma", "nan"},
                                      {"--noise-sigma", "1e300"},
                                      {"--noise-sigma", "1e-300"},
                                      {"--snr", "nan"},
                                      {"--snr", "1e-300"},
                                      {"--contrast-sigma", "nan"},
                                      {"--voxel-size", "nan"},
                                      {"--voxel-size", "1e-300"},
                                      {"--defocus-min", "nan"},
                                      {"--defocus-max", "1e300"},
                                      {"--shift-sigma", "inf"},
                                      {"--in-plane", "1e300"},
                                      {"--phase-shift", "nan"},
                                      {"--voltage", "1e-300"},
                                      {"--astigmatism", "inf"}})
    EXPECT_THAT(refused(again + Arguments{option, value}), HasSubstr(option)) << value;
  EXPECT_EQ(contents("p.star"), before);
}

TEST_F(Simulate, WhereNothingCanBeWrittenNothingIsDone) {
  for (const Arguments& where :
       {Arguments{"-o", "/proc/a.star"}, Arguments{"-o", "/proc/a.h5", "--moments-only"}}) {
    const auto errors = refused(Arguments{"--images", "1000000000", "--box", "25"} + where);
    EXPECT_THAT(errors, testing::AllOf(HasSubstr("-o /proc/a"), HasSubstr("can be written to")));
  }
}

TEST_F(Simulate, InterruptedItLeavesNothing) {
  for (const Arguments& where : {Arguments{"-o", "p.star", "--images-per-stack", "100"},
                                 Arguments{"-o", "m.h5", "--moments-only"}}) {
    const auto child =
        start(Arguments{"--threads", "1", "--images", "3000000", "--box", "25"} + where);
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    ::kill(child, SIGINT);
    const auto outcome = finish(child);
    EXPECT_EQ(outcome.code, 130) << outcome.errors;
    EXPECT_THAT(outcome.errors, HasSubstr("interrupted"));
    EXPECT_THAT(files_in("."), UnorderedElementsAre("stdout", "stderr"));
  }
}

// Nothing of an earlier run is left to be taken for the new one's.
TEST_F(Simulate, InterruptedOverwritingLeavesTheWholeOrNothing) {
  for (const Arguments& where :
       {Arguments{"-o", "p.star"}, Arguments{"-o", "m.h5", "--moments-only"}}) {
    simulate(Arguments{"--images", "5", "--box", "7"} + where);
    const auto child = start(
        Arguments{"--threads", "1", "--images", "3000000", "--box", "25", "--overwrite"} + where);
    std::this_thread::sleep_for(std::chrono::milliseconds(1500));
    ::kill(child, SIGINT);
    EXPECT_EQ(finish(child).code, 130);
    if (where.size() == 2)
      EXPECT_THAT(files_in("."), UnorderedElementsAre("p", "stdout", "stderr"));
    else
      EXPECT_THAT(files_in("."), UnorderedElementsAre("p", "m.h5", "m.h5.json", "m_truth.mrc",
                                                      "stdout", "stderr"));
  }
  EXPECT_THAT(files_in("p"), testing::IsEmpty());
}

// Without noise, images that join are those that a longer run would have made.
TEST_F(Simulate, FurtherImagesJoinADataSet) {
  const Arguments scene = {"--box",         "8", "--voxel-size",       "4", "--noise-sigma", "0",
                           "--shift-sigma", "1", "--images-per-stack", "4"};
  simulate(scene + Arguments{"--images", "11", "-o", "whole.star"});
  simulate(scene + Arguments{"--images", "6", "-o", "p.star"});
  const auto second = contents("p/000002.mrcs");
  simulate(scene + Arguments{"--images", "5", "-o", "p.star", "--append"});
  EXPECT_THAT(files_in("p"),
              UnorderedElementsAre("000001.mrcs", "000002.mrcs", "000003.mrcs", "000004.mrcs"));
  EXPECT_EQ(contents("p/000002.mrcs"), second);
  EXPECT_LT(test::relative_difference(images_of("p.star"), images_of("whole.star")), 1e-6);
  const auto found = io::read_particles(folder / "p.star").particles;
  const auto expected = io::read_particles(folder / "whole.star").particles;
  ASSERT_EQ(found.size(), 11u);
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].rot, expected[i].rot);
    EXPECT_EQ(found[i].origin_x, expected[i].origin_x);
    EXPECT_EQ(found[i].half, expected[i].half);
  }
  EXPECT_EQ(summary("p.json")["images"], 11);
  EXPECT_EQ(summary("p.json")["appended_to"]["images"], 6);
}

// ... with defoci and noise of their own.
TEST_F(Simulate, ImagesThatJoinAreNoRepetition) {
  const Arguments scene = {"--box", "8", "--images", "3", "--ctf", "--noise-sigma", "100"};
  for (const Arguments& more : {Arguments{}, Arguments{"--append"}, Arguments{"--append"}})
    simulate(scene + Arguments{"-o", "p.star"} + more);
  const auto table = io::read_particles(folder / "p.star");
  const auto images = images_of(table);  // all but nothing of them is signal
  for (const Index i : {0, 3})
    for (const Index j : {3, 6}) {
      if (i == j) continue;
      EXPECT_NE(table.particles[i].ctf.defocus_u, table.particles[j].ctf.defocus_u);
      EXPECT_NE(table.particles[i].rot, table.particles[j].rot);
      EXPECT_GT(test::relative_difference(images.view()[i], images.view()[j]), 1);
    }
}

TEST_F(Simulate, WhatDoesNotSuitADataSetIsRefused) {
  const Arguments scene = {"--images", "3", "--box", "8", "--voxel-size", "4", "--ctf"};
  const Arguments append = {"-o", "p.star", "--append"};
  EXPECT_THAT(refused(scene + append), HasSubstr("is not there"));
  simulate(scene + Arguments{"-o", "p.star"});
  const auto star = contents("p.star"), summary = contents("p.json");
  for (const auto& [more, message] :
       {std::pair{Arguments{"--box", "9"}, "image size"},
        std::pair{Arguments{"--voxel-size", "5"}, "voxel size"},
        std::pair{Arguments{"--voltage", "200"}, "voltage"},
        std::pair{Arguments{"--noise-sigma", "2"}, "--noise-sigma 0.5"},
        std::pair{Arguments{"--noise", "coloured"}, "--noise"},
        std::pair{Arguments{"--seed", "2"}, "density of views"},
        std::pair{Arguments{"--overwrite"}, "contradict"},
        std::pair{Arguments{"--moments-only"}, "anew"}})
    EXPECT_THAT(refused(scene + append + more),
                testing::AllOf(HasSubstr("--append"), HasSubstr(message)));
  const Arguments without_ctf = {"--images", "3", "--box", "8", "--voxel-size", "4"};
  EXPECT_THAT(refused(without_ctf + append), HasSubstr("--ctf"));
  EXPECT_EQ(contents("p.star"), star);
  EXPECT_EQ(contents("p.json"), summary);
  EXPECT_THAT(files_in("p"), UnorderedElementsAre("000001.mrcs"));
  std::filesystem::remove(folder / "p/000001.mrcs");
  EXPECT_THAT(refused(scene + append), HasSubstr("000001.mrcs"));
}

TEST_F(Simulate, InterruptedAppendingLeavesTheDataSetAsItWas) {
  simulate({"--images", "5", "--box", "7", "-o", "p.star"});
  const auto star = contents("p.star"), json = contents("p.json");
  const auto child = start({"--threads", "1", "--images", "3000000", "--box", "7", "-o", "p.star",
                            "--append", "--images-per-stack", "1000"});
  while (files_in("p").size() < 4) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  ::kill(child, SIGINT);
  EXPECT_EQ(finish(child).code, 130);
  EXPECT_EQ(contents("p.star"), star);
  EXPECT_EQ(contents("p.json"), json);
  EXPECT_THAT(files_in("p"), UnorderedElementsAre("000001.mrcs"));
}

TEST(Circumstances, ViewsAreThoseOfReconstruct) {
  SimulateOptions options;
  options.images = 10;
  options.seed = 6;
  options.view_mixture = 3;
  const Circumstances circumstances(options);
  const auto expected = random_view_density(3, 7);
  ASSERT_EQ(circumstances.density().components.size(), 3u);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(circumstances.density().components[i].mean, expected.components[i].mean);
  // From the image's number alone, in any order.
  const auto once = circumstances.pose(4);
  circumstances.pose(7);
  EXPECT_EQ(circumstances.pose(4).view.matrix, once.view.matrix);
}

}  // namespace
}  // namespace orrery
