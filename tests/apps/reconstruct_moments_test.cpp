#include <gmock/gmock.h>

#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>
#include <thread>

#include "io/image_stack.hpp"
#include "io/mrc.hpp"
#include "io/tables.hpp"
#include "tests/apps/noisy_moments.hpp"
#include "tests/support/compare.hpp"
#include "tests/support/program.hpp"

namespace orrery {
namespace {

using test::Arguments;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using testing::UnorderedElementsAre;
using test::operator+;

/// A run of a second: its results mean little, but all of its parts have run.
const Arguments tiny = {"--device", "cpu", "--threads", "1",  "--directions", "20", "--angles", "4",
                        "--width",  "16",  "--steps",   "20", "--finish",     "5"};

/// Estimated moments of the phantom, 9 voxels an edge, and some that lack something.
class ReconstructFromMoments : public test::ProgramTest {
 protected:
  ReconstructFromMoments() : ProgramTest("reconstruct") {
    const Context ctx = Context::cpu(1);
    Options options;
    options.box = 9;
    options.directions = 20;
    options.angles = 4;
    settle(options, 9);
    std::vector<std::string> notes;
    const Problem problem = make_problem(ctx, options, read_input(ctx, options, notes));
    moments = test::noisy_moments(ctx, problem, 0.5, 100000, 1);
    write_view_moments(folder / "moments.h5", moments);
    write_view_moments(folder / "exact.h5", problem.moments);
    io::write_map(folder / "phantom.mrc", problem.reference->volume, {});
  }

  nlohmann::json summary(const std::string& run_folder) {
    return nlohmann::json::parse(contents(run_folder + "/summary.json"));
  }

  ViewMoments moments;
};

TEST_F(ReconstructFromMoments, NeedsNoTruth) {
  const auto outcome = run(tiny + Arguments{"--moments", "moments.h5", "-o", "run"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_THAT(outcome.output, AllOf(HasSubstr("moments.h5, moments of 100000 images"),
                                    HasSubstr("noise alone"), HasSubstr("not reached")));
  EXPECT_THAT(files_in("run"), UnorderedElementsAre("volume.mrc", "volume_mirror.mrc", "views.csv",
                                                    "checkpoint.h5", "config.toml", "log.txt",
                                                    "loss.csv", "picture.png", "summary.json"));
  EXPECT_THAT(io::read_csv(folder / "run/views.csv").columns,
              ElementsAre("rot", "tilt", "psi", "weight"));
  const auto json = summary("run");
  for (const char* key :
       {"first_moment_error", "second_moment_error", "first_moment_noise", "second_moment_noise",
        "radial_share", "hollowness", "negative_share", "effective_directions", "steps"})
    EXPECT_TRUE(json[key].is_number()) << key;
  EXPECT_EQ(json["reached_noise"], false);
  EXPECT_EQ(json["observations"], 100000);
  EXPECT_EQ(json["moments"], "moments.h5");
  for (const char* key : {"volume", "volume_error", "resolution_angstrom", "hand",
                          "neural_truth_error", "quadrature_error"})
    EXPECT_FALSE(json.contains(key)) << key;

  // The volume is the one whose slices at the views of the table have these moments: as it was
  // found, and its mirror image beside it.
  const auto volume = io::read_map(folder / "run/volume.mrc").volume;
  EXPECT_EQ(volume.n, 9);
  EXPECT_EQ(mirrored(volume).voxels, io::read_map(folder / "run/volume_mirror.mrc").volume.voxels);

  // The same from its own options, and from the folder that the moments lie in.
  ASSERT_EQ(run({"--config", "run/config.toml", "-o", "again"}).code, 0);
  EXPECT_TRUE(contents("again/volume.mrc") == contents("run/volume.mrc"));
  std::filesystem::create_directory(folder / "beside");
  std::filesystem::copy(folder / "moments.h5", folder / "beside/moments.h5");
  const Arguments beside = tiny + Arguments{"--moments", "beside/moments.h5", "-o", "beside"};
  ASSERT_EQ(run(beside).code, 0);
  ASSERT_EQ(run(beside + Arguments{"--overwrite"}).code, 0);
  EXPECT_TRUE(contents("beside/moments.h5") == contents("moments.h5"));
  EXPECT_TRUE(contents("beside/volume.mrc") == contents("run/volume.mrc"));
}

TEST_F(ReconstructFromMoments, ScoresAgainstAReference) {
  Volume reference = io::read_map(folder / "phantom.mrc").volume;
  for (float& x : reference.voxels) x *= 40;
  io::write_map(folder / "scaled.mrc", reference, {});
  const auto outcome =
      run(tiny + Arguments{"--moments", "moments.h5", "--volume", "scaled.mrc", "-o", "scored"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  const auto json = summary("scored");
  EXPECT_LT(json["volume_error"], 0.9);
  EXPECT_GT(json["volume_scale"], 0.3);
  EXPECT_LT(json["volume_scale"], 3);
  EXPECT_EQ(json["volume"], "scaled.mrc");
  EXPECT_TRUE(exists("scored/truth.mrc"));
  EXPECT_TRUE(exists("scored/fsc.star"));
  // It is for scoring alone: the loop is the same without it.
  ASSERT_EQ(run(tiny + Arguments{"--moments", "moments.h5", "-o", "plain"}).code, 0);
  EXPECT_TRUE(contents("plain/loss.csv") == contents("scored/loss.csv"));
}

TEST_F(ReconstructFromMoments, WeightsByTheNoise) {
  const Arguments given = tiny + Arguments{"--moments", "moments.h5", "-o"};
  ASSERT_EQ(run(given + Arguments{"plain", "--weighting", "none"}).code, 0);
  const auto outcome = run(given + Arguments{"weighted", "--weighting", "noise"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_FALSE(contents("plain/loss.csv") == contents("weighted/loss.csv"));
  // Errors are told without the weights, so that the runs can be compared.
  EXPECT_NEAR(summary("weighted")["second_moment_error"], summary("plain")["second_moment_error"],
              0.3);
}

TEST_F(ReconstructFromMoments, LeavesOutWhatWasNotObserved) {
  const int blind = 40;  // the frequency zero, a ring of its own
  moments.first[blind] = 0;
  moments.first_error[blind] = std::numeric_limits<float>::infinity();
  for (int j = 0; j < 81; ++j)
    for (const int index : {blind * 81 + j, j * 81 + blind}) {
      moments.second[index] = 0;
      moments.second_error[index] = std::numeric_limits<float>::infinity();
    }
  write_view_moments(folder / "blind.h5", moments);
  for (const std::string weighting : {"none", "noise"}) {
    const auto outcome = run(tiny + Arguments{"--moments", "blind.h5", "-o", weighting,
                                              "--weighting", weighting, "--steps", "100"});
    ASSERT_EQ(outcome.code, 0) << outcome.errors;
    const auto json = summary(weighting);
    EXPECT_LT(json["second_moment_error"], 0.9);
    EXPECT_GT(json["second_moment_noise"], 0);
    EXPECT_LT(json["second_moment_noise"], 1);
  }
}

TEST_F(ReconstructFromMoments, WorksInASmallerBox) {
  const auto outcome = run(tiny + Arguments{"--moments", "moments.h5", "--volume", "phantom.mrc",
                                            "--box", "7", "-o", "run"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_THAT(outcome.errors, HasSubstr("moments.h5: restricted from 9 to 7"));
  const auto volume = io::read_map(folder / "run/volume.mrc").volume;
  EXPECT_EQ(volume.n, 7);
  EXPECT_NEAR(volume.voxel_size, 9.0 / 7, 1e-5);
}

TEST_F(ReconstructFromMoments, ReconstructsTheHalvesToo) {
  const Arguments given = tiny + Arguments{"--moments", "moments.h5", "--half-maps", "-o"};
  const auto outcome = run(given + Arguments{"run"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_THAT(outcome.output, AllOf(HasSubstr("half 2 of the images"), HasSubstr("FSC 0.143"),
                                    HasSubstr("not their accuracy")));
  for (const char* file : {"half1.mrc", "half2.mrc", "half_fsc.star", "half_fsc.csv"})
    EXPECT_TRUE(exists("run/" + std::string(file))) << file;
  EXPECT_FALSE(contents("run/half1.mrc") == contents("run/half2.mrc"));
  const auto fsc = io::read_csv(folder / "run/half_fsc.csv");
  ASSERT_EQ(fsc.rows.size(), 5u);
  EXPECT_GT(summary("run")["half_maps_agree_to_angstrom"], 0);

  // Interrupted in a half, it goes on from there to the same bits.
  std::filesystem::copy(folder / "run", folder / "half", std::filesystem::copy_options::recursive);
  for (const char* file : {"summary.json", "half1.mrc", "half2.mrc", "checkpoint_half2.h5"})
    std::filesystem::remove(folder / "half" / file);
  const auto resumed = run({"-o", "half", "--resume"});
  ASSERT_EQ(resumed.code, 0) << resumed.errors;
  for (const char* file : {"volume.mrc", "half1.mrc", "half2.mrc", "half_fsc.csv"})
    EXPECT_TRUE(contents("half/" + std::string(file)) == contents("run/" + std::string(file)))
        << file;
}

TEST_F(ReconstructFromMoments, WorksAtALowRank) {
  const Arguments low = tiny + Arguments{"--target-rank", "12", "--half-maps", "-o", "run"};
  const auto outcome = run(low + Arguments{"--moments", "moments.h5"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_THAT(outcome.output, HasSubstr("by 12 eigenvectors"));
  EXPECT_GT(summary("run")["target_remainder"], 0);
  EXPECT_GT(summary("run")["second_moment_error_within"], summary("run")["target_remainder"]);

  moments.shift_deviation = 1;
  write_view_moments(folder / "shifted.h5", moments);
  const auto shifted = run(low + Arguments{"--moments", "shifted.h5", "--overwrite"});
  EXPECT_EQ(shifted.code, 2);
  EXPECT_THAT(shifted.errors, HasSubstr("shifted.h5 have unknown shifts"));
  EXPECT_TRUE(exists("run/summary.json"));
}

TEST_F(ReconstructFromMoments, GoesOnAfterAnInterruption) {
  const Arguments longer =
      tiny + Arguments{"--moments", "moments.h5", "--steps", "1500", "--half-maps", "-o"};
  const pid_t child = start(longer + Arguments{"part"});
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  for (bool stepping = false; !stepping && std::chrono::steady_clock::now() < deadline;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    stepping = exists("part/log.txt") && contents("part/log.txt").find("Adam") != std::string::npos;
  }
  ::kill(child, SIGINT);
  EXPECT_EQ(finish(child).code, 130);
  ASSERT_EQ(run({"-o", "part", "--resume", "--quiet"}).code, 0);
  ASSERT_EQ(run(longer + Arguments{"whole", "--quiet"}).code, 0);
  for (const char* file : {"volume.mrc", "half2.mrc", "loss.csv"})
    EXPECT_TRUE(contents("part/" + std::string(file)) == contents("whole/" + std::string(file)))
        << file;
}

/// Some images of nothing in particular: what comes of them means nothing, but they go all the way.
void write_stack(const std::filesystem::path& path, Index images = 60) {
  constexpr Index size = 12;
  io::ImageStackWriter stack(path, size, 1.5);
  auto pixels = test::random_tensor<float>(4, images, size, size);
  for (Index b = 0; b < images; ++b)
    for (Index y = 4; y < 8; ++y)
      for (Index x = 4; x < 8; ++x) pixels(b, y, x) += 8;
  stack.append(pixels);
  stack.close();
}

TEST_F(ReconstructFromMoments, GoesOnWithParticlesAfterAnInterruption) {
  write_stack(folder / "images.mrcs", 8000);
  const Arguments given =
      tiny + Arguments{"--particles", "images.mrcs", "--box", "9", "--steps", "300", "-o"};
  const auto interrupt = [&](const Arguments& arguments, const std::string& when) {
    const pid_t child = start(arguments);
    const auto has_said = [&] {
      return exists("stdout") && contents("stdout").find(when) != std::string::npos;
    };
    for (int i = 0; i < 20000 && !has_said(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    ::kill(child, SIGINT);
    return finish(child);
  };
  // While the moments are formed, and then while they are fitted.
  const auto estimating = interrupt(given + Arguments{"part"}, "8000 images");
  ASSERT_EQ(estimating.code, 130);
  EXPECT_THAT(estimating.errors, HasSubstr("same command and --resume"));
  ASSERT_TRUE(exists("part/moments.checkpoint"));
  const auto fitting = interrupt(given + Arguments{"part", "--resume"}, "parameters");
  ASSERT_EQ(fitting.code, 130);
  EXPECT_FALSE(exists("part/moments.checkpoint"));
  ASSERT_EQ(run({"-o", "part", "--resume", "--quiet"}).code, 0);
  ASSERT_EQ(run(given + Arguments{"whole", "--quiet"}).code, 0);
  for (const char* file : {"volume.mrc", "moments.h5", "loss.csv"})
    EXPECT_TRUE(contents("part/" + std::string(file)) == contents("whole/" + std::string(file)))
        << file;
}

TEST_F(ReconstructFromMoments, TakesParticles) {
  write_stack(folder / "images.mrcs");
  const Arguments given = tiny + Arguments{"--particles", "images.mrcs", "--box", "9"};
  const auto dry = run(given + Arguments{"-o", "run", "--dry-run"});
  EXPECT_EQ(dry.code, 0) << dry.errors;
  EXPECT_FALSE(exists("run"));
  const auto outcome = run(given + Arguments{"-o", "run"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_THAT(outcome.output, HasSubstr("moments of 60 images"));
  EXPECT_EQ(read_view_moments(folder / "run/moments.h5").n, 9);
  EXPECT_EQ(summary("run")["particles"], "images.mrcs");
  EXPECT_EQ(summary("run")["observations"], 60);

  // Refused without --overwrite, resumed without another estimate, and the same from its moments.
  EXPECT_EQ(run(given + Arguments{"-o", "run"}).code, 2);
  const auto resumed = run({"-o", "run", "--resume"});
  ASSERT_EQ(resumed.code, 0) << resumed.errors;
  EXPECT_THAT(resumed.output, testing::Not(HasSubstr("standard errors")));
  EXPECT_EQ(run(given + Arguments{"-o", "run", "--overwrite"}).code, 0);
  ASSERT_EQ(run(tiny + Arguments{"--moments", "run/moments.h5", "-o", "two"}).code, 0);
  EXPECT_TRUE(contents("two/volume.mrc") == contents("run/volume.mrc"));

  // Moments that lie there are somebody's.
  std::filesystem::create_directory(folder / "mine");
  write("mine/moments.h5", "formed with care");
  EXPECT_THAT(run(given + Arguments{"-o", "mine"}).errors, HasSubstr("--overwrite"));
  EXPECT_EQ(contents("mine/moments.h5"), "formed with care");

  const auto absent = run(tiny + Arguments{"--particles", "absent.star", "-o", "none"});
  EXPECT_EQ(absent.code, 2);
  EXPECT_THAT(absent.errors, HasSubstr("absent.star"));
}

TEST_F(ReconstructFromMoments, SaysWhatItWouldDoAndDoesNothing) {
  const auto outcome = run(tiny + Arguments{"--moments", "moments.h5", "-o", "run", "--dry-run"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.output, AllOf(HasSubstr("both halves"), HasSubstr("in all, on cpu")));
  EXPECT_FALSE(exists("run"));
}

TEST_F(ReconstructFromMoments, SaysEveryMistakeInOneSentence) {
  write("text.h5", "no moments\n");
  Volume other = phantom(9);
  other.voxel_size = 2;
  io::write_map(folder / "other_box.mrc", other, {});
  io::write_map(folder / "small.mrc", phantom(7), {});
  struct Mistake {
    Arguments arguments;
    std::string message;
  };
  for (const auto& [arguments, message] : std::vector<Mistake>{
           {{"--moments", "absent.h5"}, "absent.h5"},
           {{"--moments", "text.h5"}, "text.h5"},
           {{"--moments", "moments.h5", "--box", "11"}, "--box 11: moments.h5 has moments of 9"},
           {{"--moments", "exact.h5", "--half-maps"}, "exact.h5: has no moments of two halves"},
           {{"--moments", "exact.h5", "--weighting", "noise"}, "--weighting none"},
           {{"--moments", "moments.h5", "--target", "neural"}, "--target neural needs the truth"},
           {{"--moments", "moments.h5", "--density-prior", "known"}, "--density-prior weights"},
           {{"--moments", "moments.h5", "--views", "views.csv"}, "--views: has no effect"},
           {{"--moments", "moments.h5", "--in-plane", "2"}, "--in-plane: has no effect"},
           {{"--moments", "moments.h5", "--volume", "other_box.mrc"}, "its box is 18 A"},
           {{"--moments", "moments.h5", "--volume", "small.mrc"}, "only 7 voxels"},
           {{"--moments", "moments.h5", "--particles", "images.mrcs"}, "give one of them"},
           {{"--half-maps"}, "--half-maps: only images have halves"},
           {{"--weighting", "noise"}, "--weighting noise: the moments of a map have no noise"}}) {
    const auto outcome = run(tiny + Arguments{"-o", "run"} + arguments);
    EXPECT_EQ(outcome.code, 2) << message;
    EXPECT_THAT(outcome.errors, AllOf(StartsWith("reconstruct: "), HasSubstr(message)));
    EXPECT_EQ(outcome.output, "");
    if (exists("run")) {
      EXPECT_THAT(files_in("run"), ElementsAre());
    }
  }
}

}  // namespace
}  // namespace orrery
