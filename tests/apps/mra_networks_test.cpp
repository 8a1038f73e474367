#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>
#include <thread>

#include "io/hdf5.hpp"
#include "io/tables.hpp"
#include "tests/support/program.hpp"

namespace orrery {
namespace {

using test::Arguments;
using test::operator+;
using testing::AllOf;
using testing::HasSubstr;

/// `mra train`, `predict`, `reconstruct` and `reproduce`, from the command line. Networks of
/// seconds: their answers mean little, but all parts have run.
class MraNetworks : public test::ProgramTest {
 protected:
  MraNetworks() : ProgramTest("mra") {}

  const Arguments tiny = {"--device",     "cpu", "--threads",       "1",    "--length", "9",
                          "--dense",      "16",  "--batch",         "16",   "--steps",  "30",
                          "--test-pairs", "64",  "--learning-rate", "0.002"};

  void train(const std::string& output = "model") {
    const auto outcome = run(Arguments{"train", "-o", output} + tiny);
    ASSERT_EQ(outcome.code, 0) << outcome.errors;
  }
  void simulate(const Arguments& arguments = {}) {
    const auto outcome = run(Arguments{"simulate", "-o", "observed", "--instances", "2", "--length",
                                       "9", "--observations", "20000", "--noise-sigma", "0.5"} +
                             arguments);
    ASSERT_EQ(outcome.code, 0) << outcome.errors;
  }
  nlohmann::json summary(const std::string& name) {
    return nlohmann::json::parse(contents(name + "/summary.json"));
  }
  /// The message of a run that has to be refused.
  std::string refused(const Arguments& arguments) {
    const auto outcome = run(arguments);
    EXPECT_EQ(outcome.code, 2) << outcome.errors;
    EXPECT_EQ(std::count(outcome.errors.begin(), outcome.errors.end(), '\n'), 1) << outcome.errors;
    return outcome.errors;
  }
};

TEST_F(MraNetworks, TrainingLeavesAModelItsCurvesAndASummary) {
  train();
  const auto figures = summary("model");
  EXPECT_EQ(figures["steps"], 30);
  EXPECT_EQ(figures["samples"], 480);
  EXPECT_GT(figures["signal_error"], 0);
  EXPECT_LE(figures["signal_error_continuous"], figures["signal_error"]);
  EXPECT_GT(figures["samples_per_second"], 0);
  const auto curves = io::read_csv(folder / "model/curves.csv");
  EXPECT_EQ(curves.rows.size(), 30u);
  EXPECT_EQ(curves.rows.back()[curves.column("samples")], 480);
  for (const char* file : {"model.h5", "checkpoint.h5", "config.toml", "log.txt"})
    EXPECT_TRUE(exists("model/" + std::string(file))) << file;
}

TEST_F(MraNetworks, AnInterruptedTrainingGoesOnToTheSameBits) {
  const Arguments longer = {"--steps", "1500"};
  const auto whole = run(Arguments{"train", "-o", "whole"} + tiny + longer);
  ASSERT_EQ(whole.code, 0) << whole.errors;

  const pid_t child = start(Arguments{"train", "-o", "part"} + tiny + longer);
  while (!exists("part/log.txt")) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  ::kill(child, SIGINT);
  const auto interrupted = finish(child);
  ASSERT_EQ(interrupted.code, 130) << interrupted.errors;
  EXPECT_THAT(interrupted.errors, HasSubstr("mra train -o part --resume"));
  EXPECT_FALSE(exists("part/model.h5"));

  const auto resumed = run({"train", "-o", "part", "--resume"});
  ASSERT_EQ(resumed.code, 0) << resumed.errors;
  EXPECT_EQ(contents("part/model.h5"), contents("whole/model.h5"));
}

TEST_F(MraNetworks, ResumingWithOtherOptionsIsRefused) {
  train();
  EXPECT_THAT(refused({"train", "-o", "model", "--resume", "--batch", "8"}),
              HasSubstr("other options"));
}

TEST_F(MraNetworks, PredictionsAreScoredAgainstMomentsAndTruth) {
  train();
  simulate();
  const auto outcome = run({"predict", "observed/moments.h5", "--model", "model/model.h5"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  const auto estimates = io::read_hdf5(folder / "prediction/estimates.h5");
  EXPECT_EQ(estimates.array<double>("signal", {2, 9}).size(), 18u);
  double sum = 0;
  for (int i = 0; i < 9; ++i) sum += estimates.array<double>("density", {2, 9})[i];
  EXPECT_NEAR(sum, 1, 1e-6);
  const auto errors = io::read_csv(folder / "prediction/errors.csv");
  EXPECT_EQ(errors.rows.size(), 2u);
  const int column = errors.column("second_moment_error");
  EXPECT_NEAR(summary("prediction")["second_moment_error"],
              (errors.rows[0][column] + errors.rows[1][column]) / 2, 1e-12);
}

TEST_F(MraNetworks, RefinementBringsTheMomentsNearer) {
  train();
  simulate();
  const Arguments from_model = {"observed/moments.h5", "--model", "model/model.h5"};
  ASSERT_EQ(run(Arguments{"predict"} + from_model).code, 0);
  const auto outcome = run(Arguments{"reconstruct", "--iterations", "300", "--learning-rate",
                                     "0.001", "--no-early-stop"} +
                           from_model);
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_LT(summary("reconstruction")["second_moment_error"].get<double>(),
            0.6 * summary("prediction")["second_moment_error"].get<double>());
  EXPECT_EQ(summary("reconstruction")["iterations"], (nlohmann::json{300, 300}));
  EXPECT_THAT(contents("reconstruction/config.toml"), HasSubstr("early-stop=false\n"));
}

TEST_F(MraNetworks, RandomNetworksNeedNoModel) {
  simulate();
  const auto outcome = run({"reconstruct", "observed/moments.h5", "--init", "--iterations", "3"});
  EXPECT_EQ(outcome.code, 0) << outcome.errors;
}

TEST_F(MraNetworks, LeastSquaresNeedNoModelAndTakeAnyLength) {
  simulate({"--length", "12", "--observations", "1000000"});
  const auto outcome =
      run({"reconstruct", "observed/moments.h5", "--method", "least-squares", "--starts", "2"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_LT(summary("reconstruction")["signal_error_continuous"], 0.1);
}

TEST_F(MraNetworks, Figure4FollowsBothStarts) {
  train();
  const auto outcome = run({"reproduce", "figure4", "--model", "model/model.h5", "--instances", "2",
                            "--observations", "10000", "--iterations", "120", "-o", "figure"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  const auto curve = io::read_csv(folder / "figure/figure4.csv");
  EXPECT_EQ(curve.rows.front()[0], 0);
  EXPECT_EQ(curve.rows.back()[0], 120);
  EXPECT_LT(curve.rows.back()[curve.column("log10_moments_trained")],
            curve.rows.front()[curve.column("log10_moments_trained")]);
  EXPECT_TRUE(exists("figure/figure4.svg"));
  EXPECT_EQ(summary("figure")["iteration"], 100);
}

TEST_F(MraNetworks, Table1HasTheFourRows) {
  const auto outcome = run({"reproduce", "table1", "--pairs", "512", "--test-pairs", "300",
                            "--threads", "1", "-o", "table"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  const auto table = io::read_csv(folder / "table/table1.csv");
  ASSERT_EQ(table.rows.size(), 4u);
  EXPECT_EQ(table.rows[3][table.column("density_paper")], 0.195);
  EXPECT_THAT(contents("table/table1.md"), HasSubstr("| 3 | anywhere |"));
  EXPECT_TRUE(exists("table/k2.h5"));
}

TEST_F(MraNetworks, WhatCannotBeUsedIsRefusedInOneSentence) {
  train();
  simulate();
  const std::string moments = "observed/moments.h5", model = "model/model.h5";
  EXPECT_THAT(refused({"train", "--length", "10", "-o", "x"}),
              AllOf(HasSubstr("--length"), HasSubstr("odd")));
  EXPECT_THAT(refused({"train", "--window", "4", "-o", "x"}), HasSubstr("--window"));
  EXPECT_THAT(refused({"train", "--dense", "8,x", "-o", "x"}), HasSubstr("--dense 8,x"));
  EXPECT_THAT(refused({"train", "-o", "model"}), HasSubstr("--overwrite"));
  EXPECT_THAT(
      refused(Arguments{"train", "-o", "far"} + tiny + Arguments{"--learning-rate", "1e30"}),
      HasSubstr("lower --learning-rate"));
  EXPECT_THAT(refused({"predict", moments}), HasSubstr("--model"));
  EXPECT_THAT(refused({"predict", moments, "--model", "none.h5"}), HasSubstr("none.h5"));
  EXPECT_THAT(refused({"predict", moments, "--model", moments}), HasSubstr("is not a model"));
  EXPECT_THAT(refused({"predict", model, "--model", model}), HasSubstr(model));
  EXPECT_THAT(refused({"reconstruct", moments}), HasSubstr("--model"));
  EXPECT_THAT(refused({"reproduce", "figure4"}), HasSubstr("--model"));

  EXPECT_THAT(refused({"train", "--noise-sigma", "nan", "-o", "x"}), HasSubstr("--noise-sigma"));
  EXPECT_THAT(refused({"train", "--joint", "", "-o", "x"}), HasSubstr("--joint"));
  EXPECT_THAT(refused({"reproduce", "table1", "--pairs", "nan", "-o", "x"}), HasSubstr("--pairs"));
  EXPECT_THAT(refused({"reproduce", "table1", "--pairs", "1", "--noise-sigma", "1e30", "-o", "u"}),
              HasSubstr("not finite at step 1; lower --noise-sigma"));
  EXPECT_THAT(refused({"reproduce", "figure4", "--model", model, "--instances", "1",
                       "--noise-sigma", "1e9", "--observations", "100", "-o", "v"}),
              HasSubstr("--noise-sigma 1e+09: "));

  // A result stands until its successor's input has proved usable.
  ASSERT_EQ(run({"reconstruct", moments, "--method", "least-squares"}).code, 0);
  refused({"reconstruct", moments, "--model", "none.h5", "--overwrite"});
  EXPECT_TRUE(exists("reconstruction/estimates.h5"));

  ASSERT_EQ(run({"simulate", "-o", "longer", "--length", "11", "--exact"}).code, 0);
  EXPECT_THAT(refused({"predict", "longer/moments.h5", "--model", model, "-o", "y"}),
              AllOf(HasSubstr("length 11"), HasSubstr("trained for 9")));
  ASSERT_EQ(run({"simulate", "-o", "even", "--length", "10", "--exact"}).code, 0);
  EXPECT_THAT(refused({"reconstruct", "even/moments.h5", "--init", "-o", "z"}),
              AllOf(HasSubstr("length 10"), HasSubstr("--method least-squares")));
}

}  // namespace
}  // namespace orrery
