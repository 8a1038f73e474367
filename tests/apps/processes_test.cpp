// The programs under mpirun: what several processes do together is what one of them does.

#include <gmock/gmock.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <thread>

#include "apps/view_moments_file.hpp"
#include "io/image_stack.hpp"
#include "io/mrc.hpp"
#include "tests/support/compare.hpp"
#include "tests/support/program.hpp"

namespace orrery {
namespace {

using test::Arguments;
using test::operator+;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class SeveralProcesses : public test::ProgramTest {
 protected:
  SeveralProcesses() : ProgramTest("moments") {}

  void SetUp() override {
    if (run({"--version"}).output.find("processes: MPI") == std::string::npos)
      GTEST_SKIP() << "this build has no MPI";
    if (finish(start_words({"mpirun", "--version"})).code != 0)
      GTEST_SKIP() << "there is no mpirun here";
    // Open MPI's is asked to start more processes than there are processors, even as root.
    for (const char* name : {"OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM",
                             "OMPI_MCA_rmaps_base_oversubscribe"})
      ::setenv(name, "1", 1);
    ::setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", 0);  // not given to containers
  }

  pid_t start_on(int processes, const std::string& program, const Arguments& arguments) {
    const auto path = test::program_beside(program);
    return start_words(Arguments{"mpirun", "-n", std::to_string(processes), path} + arguments);
  }
  test::ProgramOutcome run_on(int processes, const std::string& program,
                              const Arguments& arguments) {
    return finish(start_on(processes, program, arguments));
  }
  nlohmann::json json(const std::string& file) const {
    return nlohmann::json::parse(contents(file));
  }

  /// images.mrcs: blobs under noise.
  void write_images(Index count) {
    constexpr Index size = 16;
    auto pixels = test::random_tensor<float>(4, count, size, size);
    for (Index b = 0; b < count; ++b)
      for (Index y = 6; y < 10; ++y)
        for (Index x = 6; x < 10; ++x) pixels(b, y, x) += 4;
    io::ImageStackWriter stack(folder / "images.mrcs", size, 1.5);
    stack.append(pixels);
    stack.close();
  }
  /// Makes the last pixel no number.
  void spoil_images() {
    std::fstream file(folder / "images.mrcs", std::ios::in | std::ios::out | std::ios::binary);
    const float none = std::numeric_limits<float>::quiet_NaN();
    file.seekp(-std::streamoff(sizeof none), std::ios::end);
    file.write(reinterpret_cast<const char*>(&none), sizeof none);
  }
  const Arguments some_moments = {"images.mrcs", "--threads", "1",   "--box",
                                  "9",           "--batch",   "100", "-o"};
};

int times(const std::string& text, const std::string& sought) {
  int count = 0;
  for (auto at = text.find(sought); at != std::string::npos; at = text.find(sought, at + 1))
    ++count;
  return count;
}

double difference(const std::vector<float>& a, const std::vector<float>& b) {
  const auto view = [](const std::vector<float>& x) {
    return View<const float, 1>(x.data(), static_cast<Index>(x.size()));
  };
  return test::relative_difference(view(a), view(b));
}

TEST_F(SeveralProcesses, FormTheMomentsOfOne) {
  write_images(1150);  // twelve batches, the last not full
  ASSERT_EQ(run(some_moments + Arguments{"one.h5"}).code, 0);
  const auto one = read_view_moments(folder / "one.h5");
  for (int count : {2, 3}) {
    const std::string name = std::to_string(count) + ".h5";
    const auto outcome = run_on(count, "moments", some_moments + Arguments{name});
    ASSERT_EQ(outcome.code, 0) << outcome.errors;
    EXPECT_EQ(times(outcome.output, "moments in"), 1);
    const auto several = read_view_moments(folder / name);
    EXPECT_EQ(several.observations, 1150);
    EXPECT_LT(difference(several.first, one.first), 1e-6);
    EXPECT_LT(difference(several.second, one.second), 1e-6);
    EXPECT_LT(difference(several.second_error, one.second_error), 1e-6);
    ASSERT_EQ(several.halves.size(), 2u);
    for (int half : {0, 1}) {
      EXPECT_EQ(several.halves[half].observations, one.halves[half].observations);
      EXPECT_LT(difference(several.halves[half].second, one.halves[half].second), 1e-6);
    }
    EXPECT_EQ(json(name + ".json")["processes"], count);
  }
}

TEST_F(SeveralProcesses, AllEndWhenOneCannotReadItsImages) {
  write_images(1150);
  spoil_images();
  const auto outcome = run_on(3, "moments", some_moments + Arguments{"moments.h5"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.errors,
              AllOf(HasSubstr("moments: "), HasSubstr("images.mrcs"), HasSubstr("1150")));
  EXPECT_EQ(times(outcome.errors, "moments: "), 1) << outcome.errors;
  EXPECT_FALSE(exists("moments.h5"));

  // Asked to leave it out, they do, and say so once.
  const auto without = run_on(2, "moments", some_moments + Arguments{"moments.h5", "--skip-bad"});
  ASSERT_EQ(without.code, 0) << without.errors;
  EXPECT_EQ(times(without.errors, "moments: "), 1) << without.errors;
  EXPECT_EQ(json("moments.h5.json")["images"], 1149);
  EXPECT_EQ(json("moments.h5.json")["problems"].size(), 1u);
}

TEST_F(SeveralProcesses, TellMistakesOnce) {
  for (const auto& [program, arguments, said] :
       {std::tuple<std::string, Arguments, std::string>{"moments", {"--nothing"}, "moments --help"},
        {"evaluate", {"a.mrc", "b.mrc"}, "without mpirun"}}) {
    const auto outcome = run_on(2, program, arguments);
    EXPECT_EQ(outcome.code, 2);
    EXPECT_THAT(outcome.errors, HasSubstr(said));
    EXPECT_EQ(times(outcome.errors, program + ": "), 1) << outcome.errors;
  }
}

TEST_F(SeveralProcesses, GoOnWhereTheyWereInterrupted) {
  write_images(20000);
  const Arguments options = some_moments + Arguments{"moments.h5"};
  const pid_t launcher = start_on(2, "moments", options + Arguments{"--checkpoint-seconds", "0"});
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (!(exists("moments.checkpoint") && exists("moments.checkpoint.1")) &&
         std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  ::kill(launcher, SIGTERM);
  EXPECT_NE(finish(launcher).code, 0);
  if (exists("moments.h5")) GTEST_SKIP() << "they were done before the signal came";

  const auto alone = run(options + Arguments{"--resume"});
  EXPECT_EQ(alone.code, 2);
  EXPECT_THAT(alone.errors, HasSubstr("a run of 2 processes"));
  ASSERT_EQ(run_on(2, "moments", options + Arguments{"--resume"}).code, 0);
  EXPECT_FALSE(exists("moments.checkpoint"));
  EXPECT_FALSE(exists("moments.checkpoint.1"));
  ASSERT_EQ(run_on(2, "moments", some_moments + Arguments{"whole.h5"}).code, 0);
  EXPECT_EQ(contents("moments.h5"), contents("whole.h5"));
}

TEST_F(SeveralProcesses, ReconstructAsOne) {
  write_images(400);
  ASSERT_EQ(run(some_moments + Arguments{"moments.h5"}).code, 0);
  const Arguments options = {"--moments", "moments.h5", "--directions", "12",   "--angles", "4",
                             "--steps",   "4",          "--finish",     "3",    "--width",  "16",
                             "--threads", "1",          "--precision",  "fp32", "-o"};
  ASSERT_EQ(run_on(1, "reconstruct", options + Arguments{"1"}).code, 0);
  const auto one = io::read_map(folder / "1/volume.mrc").volume;
  for (int count : {2, 3}) {
    const std::string name = std::to_string(count);
    const auto outcome = run_on(count, "reconstruct", options + Arguments{name});
    ASSERT_EQ(outcome.code, 0) << outcome.errors;
    EXPECT_EQ(times(outcome.output, "results in"), 1);
    const auto several = io::read_map(folder / name / "volume.mrc").volume;
    EXPECT_LT(difference(several.voxels, one.voxels), 1e-3);
    for (const char* error : {"first_moment_error", "second_moment_error"}) {
      const double expected = json("1/summary.json")[error];
      EXPECT_NEAR(json(name + "/summary.json")[error], expected, 1e-4 * expected);
    }
  }
  const auto refused = run_on(2, "reconstruct", options + Arguments{"1"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_EQ(times(refused.errors, "another run"), 1) << refused.errors;
}

}  // namespace
}  // namespace orrery
