#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <chrono>
#include <csignal>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "apps/reconstruct/memory.hpp"
#include "io/files.hpp"
#include "io/hdf5.hpp"
#include "io/mrc.hpp"
#include "io/tables.hpp"
#include "kernels/check.hpp"
#include "nn/lbfgs.hpp"
#include "tests/support/program.hpp"

namespace orrery {
namespace {

using test::Arguments;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using test::operator+;

/// A run of seconds: its results mean little, but all of its parts have run.
const Arguments tiny = {"--device", "cpu", "--threads", "1",  "--box",   "9",  "--directions", "20",
                        "--angles", "4",   "--width",   "16", "--steps", "20", "--finish",     "5"};

class ReconstructProgram : public test::ProgramTest {
 protected:
  ReconstructProgram() : ProgramTest("reconstruct") {}
};

TEST_F(ReconstructProgram, WritesItsResults) {
  const auto outcome = run(tiny + Arguments{"-o", "run", "--seed", "5"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_EQ(outcome.errors, "");
  EXPECT_THAT(outcome.output, HasSubstr("results in run"));
  EXPECT_THAT(files_in("run"),
              testing::UnorderedElementsAre("volume.mrc", "volume_mirror.mrc", "truth.mrc",
                                            "fsc.star", "fsc.csv", "views.csv", "moments.h5",
                                            "checkpoint.h5", "config.toml", "log.txt", "loss.csv",
                                            "picture.png", "summary.json"));

  const auto volume = io::read_map(folder / "run/volume.mrc").volume;
  const auto other_hand = io::read_map(folder / "run/volume_mirror.mrc").volume;
  const auto truth = io::read_map(folder / "run/truth.mrc").volume;
  EXPECT_EQ(volume.n, 9);
  EXPECT_EQ(volume.voxel_size, 1);
  EXPECT_EQ(volume.origin, truth.origin);
  EXPECT_EQ(mirrored(volume).voxels, other_hand.voxels);
  EXPECT_EQ(truth.voxels, normalised(phantom(9)).voxels);

  const auto fsc = io::read_star(
      folder / "run/fsc.star",
      {"rlnSpectralIndex", "rlnResolution", "rlnAngstromResolution", "rlnFourierShellCorrelation"});
  const auto fsc_csv = io::read_csv(folder / "run/fsc.csv");
  EXPECT_THAT(fsc_csv.columns, ElementsAre("shell", "resolution_angstrom", "fsc"));
  ASSERT_EQ(fsc.rows.size(), 5u);
  ASSERT_EQ(fsc_csv.rows.size(), 5u);
  EXPECT_NEAR(fsc.rows[3][1], 3.0 / 9, 1e-6);
  EXPECT_NEAR(fsc.rows[3][2], 3, 1e-6);
  EXPECT_NEAR(fsc.rows[3][3], fsc_csv.rows[3][2], 1e-6);

  const auto views = io::read_csv(folder / "run/views.csv");
  EXPECT_THAT(views.columns, ElementsAre("rot", "tilt", "psi", "weight", "weight_true"));
  EXPECT_EQ(views.rows.size(), 80u);
  double weight = 0, true_weight = 0;
  for (const auto& row : views.rows) {
    weight += row[3];
    true_weight += row[4];
  }
  EXPECT_NEAR(weight, 1, 1e-5);
  EXPECT_NEAR(true_weight, 1, 1e-5);

  const auto moments = io::read_hdf5(folder / "run/moments.h5");
  EXPECT_EQ(moments.array<float>("first_moment", {81}).size(), 81u);
  EXPECT_EQ(moments.array<float>("second_moment", {81, 81}).size(), 6561u);
  EXPECT_EQ(moments.attribute<std::int64_t>("n"), 9);
  EXPECT_EQ(moments.attribute<double>("voxel_size"), 1);
  EXPECT_EQ(moments.attribute<std::string>("basis"), "hartley");
  EXPECT_EQ(moments.attribute<std::int64_t>("observations"), 0);
  EXPECT_EQ(moments.attribute<double>("noise_variance"), 0);
  EXPECT_EQ(moments.attribute<std::int64_t>("format_version"), 1);

  const auto loss = io::read_csv(folder / "run/loss.csv");
  EXPECT_THAT(loss.columns, ElementsAre("restart", "finishing", "step", "first_moment_error",
                                        "second_moment_error", "penalty", "loss", "learning_rate"));
  EXPECT_GT(loss.rows.size(), 20u);
  EXPECT_LT(loss.rows.back()[4], loss.rows.front()[4]);

  const auto summary = nlohmann::json::parse(contents("run/summary.json"));
  for (const char* key :
       {"first_moment_error", "second_moment_error", "volume_error", "resolution_angstrom",
        "resolution_shell", "hand", "neural_truth_error", "steps", "seconds", "seconds_per_step",
        "decoder_points_per_step", "peak_memory_bytes", "device", "threads", "seed", "n",
        "voxel_size", "quadrature_points", "version"})
    EXPECT_TRUE(summary.contains(key)) << key;
  EXPECT_EQ(summary["seed"], 5);
  EXPECT_EQ(summary["n"], 9);
  EXPECT_EQ(summary["threads"], 1);
  EXPECT_EQ(summary["quadrature_points"], 80);
  EXPECT_GE(summary["steps"], 21);
  EXPECT_THAT(summary["device"].get<std::string>(), StartsWith("cpu"));
  EXPECT_GT(summary["peak_memory_bytes"], 1e6);
  // 10 distinct slices of 41 points and the penalty's half ball, twice for the Hermitian average.
  EXPECT_EQ(summary["decoder_points_per_step"], 2 * (10 * 41 + 129));

  // All of what decides the run, so that it can be run again, elsewhere and from this file alone.
  EXPECT_THAT(contents("run/config.toml"),
              testing::AllOf(HasSubstr("seed=5\n"), HasSubstr("box=9\n"),
                             HasSubstr("learning-rate=0.00"), HasSubstr("view-mixture=8\n")));
  const auto again = run({"--config", "run/config.toml", "-o", "again", "--quiet"});
  ASSERT_EQ(again.code, 0) << again.errors;
  EXPECT_EQ(again.output, "");
  for (const std::string file : {"volume.mrc", "loss.csv", "views.csv", "moments.h5", "fsc.star"})
    EXPECT_TRUE(contents("again/" + file) == contents("run/" + file)) << file;

  // What is there is not overwritten by accident, and is when asked for.
  const auto refused = run(tiny + Arguments{"-o", "run"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.errors, testing::AllOf(HasSubstr("another run"), HasSubstr("--overwrite")));
  EXPECT_TRUE(contents("again/volume.mrc") == contents("run/volume.mrc"));
  write("run/moments.h5.json", "what was said of moments of images");
  EXPECT_EQ(run(tiny + Arguments{"-o", "run", "--overwrite", "--seed", "6"}).code, 0);
  EXPECT_FALSE(exists("run/moments.h5.json"));
  EXPECT_FALSE(contents("again/volume.mrc") == contents("run/volume.mrc"));
}

TEST_F(ReconstructProgram, GoesOnAfterAnInterruption) {
  const Arguments longer = tiny + Arguments{"--steps", "4000", "-o"};
  const pid_t child = start(longer + Arguments{"half"});
  // A step has been done when the log shows one.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  for (bool stepping = false; !stepping && std::chrono::steady_clock::now() < deadline;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    stepping = exists("half/log.txt") && contents("half/log.txt").find("Adam") != std::string::npos;
  }
  ::kill(child, SIGINT);
  const auto interrupted = finish(child);
  EXPECT_EQ(interrupted.code, 130);
  EXPECT_THAT(interrupted.errors, HasSubstr("reconstruct -o half --resume"));
  EXPECT_TRUE(exists("half/checkpoint.h5"));
  EXPECT_FALSE(exists("half/volume.mrc"));
  EXPECT_FALSE(exists("half/summary.json"));
  const auto step = io::read_hdf5(folder / "half/checkpoint.h5").attribute<std::int64_t>("step");
  EXPECT_GT(step, 0);
  EXPECT_LT(step, 4000);

  const auto other = run({"-o", "half", "--resume", "--lambda", "2"});
  EXPECT_EQ(other.code, 2);
  EXPECT_THAT(other.errors, HasSubstr("other options"));

  const auto resumed = run({"-o", "half", "--resume"});
  ASSERT_EQ(resumed.code, 0) << resumed.errors;
  ASSERT_EQ(run(longer + Arguments{"whole"}).code, 0);
  for (const std::string file : {"volume.mrc", "loss.csv", "views.csv"})
    EXPECT_TRUE(contents("half/" + file) == contents("whole/" + file)) << file;
  // The log has both parts.
  EXPECT_THAT(contents("half/log.txt"),
              testing::AllOf(HasSubstr("interrupted"), HasSubstr("results in half")));

  // A run that is done can be resumed to the same end.
  const auto volume = contents("half/volume.mrc");
  EXPECT_EQ(run({"-o", "half", "--resume"}).code, 0);
  EXPECT_TRUE(contents("half/volume.mrc") == volume);
}

TEST_F(ReconstructProgram, TakesViewsFromATable) {
  write("views.csv", "rot,tilt,psi,weight\n0,0,0,1\n90,90,0,3\n10,120,45,2\n");
  const Arguments with_views = tiny + Arguments{"--views", "views.csv", "-o"};
  ASSERT_EQ(run(with_views + Arguments{"a"}).code, 0);
  // The options of such a run can be read back, and its density followed the table.
  ASSERT_EQ(run({"--config", "a/config.toml", "-o", "b"}).code, 0);
  EXPECT_TRUE(contents("a/volume.mrc") == contents("b/volume.mrc"));
  ASSERT_EQ(run(tiny + Arguments{"-o", "c"}).code, 0);
  EXPECT_FALSE(contents("a/moments.h5") == contents("c/moments.h5"));

  write("views.star",
        "data_particles\n\nloop_\n_rlnAngleRot #1\n_rlnAngleTilt #2\n_rlnAnglePsi #3\n"
        "0 0 0\n90 90 0\n90 90 0\n90 90 0\n10 120 45\n10 120 45\n");
  ASSERT_EQ(run(tiny + Arguments{"--views", "views.star", "-o", "d"}).code, 0);
  const auto from_csv = io::read_hdf5(folder / "a/moments.h5").array<float>("first_moment", {81});
  const auto from_star = io::read_hdf5(folder / "d/moments.h5").array<float>("first_moment", {81});
  for (int i = 0; i < 81; ++i) EXPECT_NEAR(from_csv[i], from_star[i], 1e-5);
}

TEST_F(ReconstructProgram, ReadsAMapAndCropsIt) {
  Volume map = phantom(12);
  map.voxel_size = 2.5;
  map.origin = {4, 5, -6};
  io::write_map(folder / "map.mrc", map, {});
  const auto outcome = run(tiny + Arguments{"--volume", "map.mrc", "-o", "run"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_THAT(outcome.errors, HasSubstr("from 12 to 9 voxels"));
  const auto volume = io::read_map(folder / "run/volume.mrc").volume;
  EXPECT_NEAR(volume.voxel_size, 30.0 / 9, 1e-5);
  EXPECT_EQ(volume.origin, io::read_map(folder / "run/truth.mrc").volume.origin);
}

TEST_F(ReconstructProgram, SaysWhatRankItWorksAt) {
  const auto outcome = run(tiny + Arguments{"--target-rank", "7", "-o", "run"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_THAT(outcome.output, HasSubstr("by 7 eigenvectors"));
  EXPECT_FALSE(exists("run/moments.h5"));
  const auto summary = nlohmann::json::parse(contents("run/summary.json"));
  EXPECT_EQ(summary["target_rank"], 7);
  EXPECT_GT(summary["target_remainder"], 0);
  EXPECT_EQ(summary["second_moment_error_within"], 0);
}

TEST_F(ReconstructProgram, SaysWhatItWouldDoAndDoesNothing) {
  const auto outcome = run(tiny + Arguments{"-o", "run", "--dry-run"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.output, testing::AllOf(HasSubstr("GB"), HasSubstr("in all, on cpu"),
                                             HasSubstr("80 GB holds up to")));
  EXPECT_FALSE(exists("run"));
}

TEST(LargestBox, IsTheLastThatFits) {
  const Options options;
  for (const std::int64_t gigabytes : {2, 12, 80}) {
    const std::int64_t bytes = gigabytes * 1000000000;
    const int n = largest_box(options, bytes);
    EXPECT_EQ(n % 2, 1);
    EXPECT_LE(memory_need(options, n, Backend::cuda).on_device(), bytes);
    EXPECT_GT(memory_need(options, n + 2, Backend::cuda).on_device(), bytes);
  }
  EXPECT_GE(largest_box(options, 80 * std::int64_t{1000000000}), 127);
  EXPECT_EQ(largest_box(options, 1000), 0);
}

// Two copies of the second moment for each: the one that is kept, and a step's.
TEST(MemoryNeed, CountsWhatEncodersSee) {
  Options options;
  const std::int64_t n = 25, both_copies = 2 * 4 * n * n * n * n;
  const auto need = [&] { return memory_need(options, n, Backend::cpu).total(); };
  const auto without = need();
  options.density_prior = "encoder";
  const auto with_one = need();
  EXPECT_GT(with_one - without, both_copies);
  options.latent = 8;
  EXPECT_GT(need() - with_one, both_copies);
}

// A network's weights are most of what finishing takes: L-BFGS keeps many blocks of them.
TEST(MemoryNeed, CountsWhatLbfgsKeeps) {
  Options options;
  options.width = 256;
  const auto need = [&](int finish) {
    options.finish = finish;
    return memory_need(options, 9, Backend::cpu).total();
  };
  const std::int64_t hidden_weights =
      256 * 256 * (options.modulant_layers + options.envelope_layers);
  EXPECT_GT(need(10) - need(0), 2 * LbfgsSettings().history * 4 * hidden_weights);
}

TEST(MemoryNeed, CountsTheTransformOfAMapOnADevice) {
  Options blind;
  blind.moments = "moments.h5";
  Options scored = blind, halved = blind;
  scored.volume = "map.mrc";
  halved.half_maps = true;
  const auto more = [&](const Options& options, int n, Backend backend) {
    return memory_need(options, n, backend).total() - memory_need(blind, n, backend).total();
  };
  EXPECT_EQ(more(scored, 63, Backend::cpu), 0);
  // Of each point 8 h^2 numbers in planes and 6 h in tables of phases, h = (n + 1) / 2.
  EXPECT_EQ(more(scored, 25, Backend::cuda), 65536 * (8 * 13 * 13 + 6 * 13) * 4);
  EXPECT_EQ(more(scored, 63, Backend::cuda), 32768 * (8 * 32 * 32 + 6 * 32) * std::int64_t{4});
  EXPECT_EQ(more(halved, 63, Backend::cuda), more(scored, 63, Backend::cuda));
  // A large box takes its thousand points whatever they need.
  EXPECT_EQ(more(scored, 511, Backend::cuda), 1024 * (8 * 256 * 256 + 6 * 256) * std::int64_t{4});
}

TEST_F(ReconstructProgram, SaysWhatToLowerWhereItDiverges) {
  const auto outcome = run(tiny + Arguments{"--learning-rate", "1e30", "-o", "run"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.errors, HasSubstr("not finite at step 1; lower --learning-rate"));
}

TEST_F(ReconstructProgram, ShowsARunOfOneStep) {
  const auto outcome =
      run(tiny + Arguments{"--steps", "1", "--finish", "0", "--voxel-size", "2", "-o", "run"});
  EXPECT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_THAT(outcome.output, HasSubstr("1/1   first moment"));
  EXPECT_EQ(io::read_map(folder / "run/volume.mrc").volume.voxel_size, 2);
}

TEST_F(ReconstructProgram, SaysWhatItIs) {
  const auto outcome = run({"--version"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.output,
              testing::AllOf(StartsWith("reconstruct (Orrery) "), HasSubstr("commit "),
                             HasSubstr("backends built in: cpu"), HasSubstr("devices: cpu (")));
  const auto help = run({"--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_THAT(help.output, testing::AllOf(HasSubstr("--volume"), HasSubstr("--preset")));
}

struct Mistake {
  std::string name;
  Arguments arguments;
  std::string message;  // part of it
};
void PrintTo(const Mistake& mistake, std::ostream* out) { *out << mistake.name; }

class ReconstructMistake : public ReconstructProgram,
                           public testing::WithParamInterface<Mistake> {};

TEST_P(ReconstructMistake, IsSaidInOneSentence) {
  io::write_map(folder / "map.mrc", phantom(12), {});
  write("file", "not a folder\n");
  write("no_tilt.csv", "rot,psi,weight\n0,0,1\n");
  write("negative.csv", "rot,tilt,psi,weight\n0,0,0,1\n0,0,0,-1\n");
  write("words.csv", "rot,tilt,psi,weight\n0,0,north,1\n");
  write("none.csv", "rot,tilt,psi,weight\n");
  write("zero.csv", "rot,tilt,psi,weight\n0,0,0,0\n");
  write("no_tilt.star", "data_\n\nloop_\n_rlnAngleRot #1\n_rlnAnglePsi #2\n0 0\n");
  write("misspelt.toml", "widht=32\n");
  write("wrong.toml", "lambda=\"large\"\n");
  write("garbage.toml", "[[[\n");
  std::filesystem::create_directory(folder / "other");
  write("other/summary.json", "{}\n");
  const auto outcome = run(tiny + Arguments{"-o", "run"} + GetParam().arguments);
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.output, "");
  EXPECT_THAT(outcome.errors,
              testing::AllOf(StartsWith("reconstruct: "), HasSubstr(GetParam().message)));
  EXPECT_EQ(std::count(outcome.errors.begin(), outcome.errors.end(), '\n'), 1) << outcome.errors;
  // Nothing was begun: the next try needs no --overwrite.
  if (exists("run")) {
    EXPECT_THAT(files_in("run"), ElementsAre());
  }
  EXPECT_EQ(contents("other/summary.json"), "{}\n");
}

INSTANTIATE_TEST_SUITE_P(
    Program, ReconstructMistake,
    testing::ValuesIn(std::vector<Mistake>{
        {"UnknownDevice", {"--device", "gpu"}, "--device"},
        {"AbsentDevice", {"--device", "cuda:7"}, "cuda:7"},
        {"EvenBox", {"--box", "10"}, "--box 10: must be odd"},
        {"SmallBox", {"--box", "3"}, "--box 3"},
        {"BoxLargerThanTheMap", {"--volume", "map.mrc", "--box", "13"}, "give at most 11"},
        {"MissingVolume", {"--volume", "absent.mrc"}, "absent.mrc"},
        {"FolderAsVolume", {"--volume", "."}, "."},
        {"VolumeThatIsNoMap", {"--volume", "negative.csv"}, "negative.csv"},
        {"AnotherRun", {"-o", "other"}, "-o other: the folder holds another run"},
        {"NoCheckpoint", {"--resume"}, "checkpoint.h5"},
        {"ResumeAndOverwrite", {"--resume", "--overwrite"}, "contradict"},
        {"OutputIsAFile", {"-o", "file"}, "-o file: is a file"},
        {"OutputInAFile", {"-o", "file/run"}, "-o file/run"},
        {"MissingViews", {"--views", "absent.csv"}, "absent.csv"},
        {"ViewsWithoutAColumn", {"--views", "no_tilt.csv"}, "tilt"},
        {"ViewsWithoutAStarColumn", {"--views", "no_tilt.star"}, "rlnAngleTilt"},
        {"NegativeWeights", {"--views", "negative.csv"}, "row 2 has a negative"},
        {"ViewsOfWords", {"--views", "words.csv"}, "words.csv"},
        {"NoViews", {"--views", "none.csv"}, "no views"},
        {"WeightsOfZero", {"--views", "zero.csv"}, "weight"},
        {"UnknownPrecision", {"--precision", "tf16"}, "--precision"},
        {"NegativeThreads", {"--threads", "-1"}, "--threads"},
        {"StepsOfLetters", {"--steps", "abc"}, "--steps"},
        {"FractionalSteps", {"--steps", "1.5"}, "--steps"},
        {"NothingToDo", {"--steps", "0", "--finish", "0"}, "nothing to do"},
        {"UnknownOption", {"--volme", "map.mrc"}, "--volme"},
        {"StrayWord", {"map.mrc"}, "map.mrc"},
        {"UnknownPreset", {"--preset", "fast"}, "--preset"},
        {"UnknownTarget", {"--target", "real"}, "--target"},
        {"TargetThatDiverges",
         {"--target", "neural", "--modulant-frequency", "1e38"},
         "--target neural: the loss or its gradient is not finite at step 0; lower --modulant"},
        {"RankOfAll", {"--target-rank", "81"}, "has 81 eigenvectors"},
        {"RankForAnEncoder",
         {"--target-rank", "9", "--density-prior", "encoder"},
         "--density-prior encoder reads the second moment"},
        {"EvenCoarseBox", {"--coarse-box", "6"}, "--coarse-box 6: must be odd"},
        {"NotANumber", {"--lambda", "nan"}, "--lambda"},
        {"Infinite", {"--learning-rate", "inf"}, "--learning-rate"},
        {"NegativeRate", {"--learning-rate", "-1"}, "--learning-rate"},
        {"NegativeSeed", {"--seed", "-1"}, "--seed"},
        {"NoDirections", {"--directions", "0"}, "--directions"},
        {"NoAngles", {"--angles", "0"}, "--angles"},
        {"MissingConfig", {"--config", "absent.toml"}, "absent.toml"},
        {"MisspeltConfig", {"--config", "misspelt.toml"}, "widht"},
        {"WrongConfig", {"--config", "wrong.toml"}, "--lambda"},
        {"GarbageConfig", {"--config", "garbage.toml"}, "reconstruct"},
        {"MissingValue", {"--steps"}, "--steps"},
    }),
    [](const auto& test) { return test.param.name; });

/// A small file system of its own, where the machine lets us make one.
class SmallDisk {
 public:
  SmallDisk(const std::filesystem::path& at, int kilobytes) : path_(at) {
    std::filesystem::create_directory(at);
    const std::string size = "size=" + std::to_string(kilobytes) + "k";
    mounted_ = ::mount("tmpfs", at.c_str(), "tmpfs", 0, size.c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }

 private:
  std::filesystem::path path_;
  bool mounted_ = false;
};

TEST_F(ReconstructProgram, LeavesNoHalfFileOnAFullDisk) {
  // Room for nothing, for the truth alone, for the moments, and for all but the last results.
  for (int kilobytes : {4, 16, 48, 110}) {
    SCOPED_TRACE(std::to_string(kilobytes) + " kB");
    const std::string name = "disk" + std::to_string(kilobytes);
    const SmallDisk disk(folder / name, kilobytes);
    if (!disk.mounted()) GTEST_SKIP() << "needs the right to mount a small tmpfs";
    const auto outcome = run(tiny + Arguments{"-o", name + "/run"});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_THAT(outcome.errors, HasSubstr("No space left on device"));
    EXPECT_EQ(std::count(outcome.errors.begin(), outcome.errors.end(), '\n'), 1) << outcome.errors;
    for (const auto& file : files_in(name + "/run")) {
      const auto path = folder / (name + "/run/" + file);
      if (file.ends_with(".mrc")) {
        EXPECT_EQ(io::read_map(path).notes, std::vector<std::string>{});
      } else if (file.ends_with(".h5")) {
        EXPECT_FALSE(io::read_hdf5(path).arrays.empty());
      } else {
        EXPECT_TRUE(file == "config.toml" || file == "log.txt" || file.ends_with(".csv") ||
                    file == "fsc.star")
            << file;
      }
    }
  }
}

}  // namespace
}  // namespace orrery
