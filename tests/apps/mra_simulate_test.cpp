#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/mra/moments_file.hpp"
#include "apps/mra/truth.hpp"
#include "tests/support/program.hpp"

namespace orrery {
namespace {

using test::Arguments;
using test::operator+;
using testing::HasSubstr;

class MraSimulate : public test::ProgramTest {
 protected:
  MraSimulate() : ProgramTest("mra") {}

  ShiftMoments simulated(const Arguments& arguments) {
    const auto outcome = run(Arguments{"simulate", "-o", "run", "--overwrite"} + arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    return read_shift_moments(folder / "run/moments.h5");
  }
};

double sum(const double* numbers, Index n, int power) {
  double total = 0;
  for (Index i = 0; i < n; ++i) total += std::pow(numbers[i], power);
  return total;
}

// M1[i] = sum_s p[s] v[i-s],  M2[i,j] = sum_s p[s] v[i-s] v[j-s]
void expect_moments_of_truth(const ShiftMoments& m, double tolerance) {
  const Index n = m.n;
  for (Index b = 0; b < m.instances; ++b) {
    const double *v = &m.signal[b * n], *p = &m.density[b * n];
    for (Index i = 0; i < n; ++i) {
      double first = 0;
      for (Index s = 0; s < n; ++s) first += p[s] * v[(i - s + n) % n];
      ASSERT_NEAR(m.first[b * n + i], first, tolerance);
      for (Index j = 0; j < n; ++j) {
        double second = 0;
        for (Index s = 0; s < n; ++s) second += p[s] * v[(i - s + n) % n] * v[(j - s + n) % n];
        ASSERT_NEAR(m.second[(b * n + i) * n + j], second, tolerance);
      }
    }
  }
}

TEST_F(MraSimulate, ExactMomentsAreThoseOfTheTruth) {
  const auto m = simulated({"--exact", "--instances", "3", "--length", "12"});
  EXPECT_EQ(m.instances, 3);
  EXPECT_EQ(m.n, 12);
  EXPECT_EQ(m.observations, 0);
  EXPECT_EQ(m.noise_variance, 0);
  for (Index b = 0; b < 3; ++b) {
    EXPECT_NEAR(sum(&m.signal[b * 12], 12, 2), 1, 1e-12);
    EXPECT_NEAR(sum(&m.density[b * 12], 12, 1), 1, 1e-12);
  }
  expect_moments_of_truth(m, 1e-12);
}

// The expected error of an entry is below sigma sqrt(E y^2 / N) + sigma^2 sqrt(2/N), about 0.005.
TEST_F(MraSimulate, ObservedMomentsComeCloseToThem) {
  const auto m = simulated({"--observations", "1e5", "--instances", "2", "--length", "9", "--norm",
                            "2", "--noise-sigma", "0.8"});
  EXPECT_EQ(m.observations, 100000);
  EXPECT_DOUBLE_EQ(m.noise_variance, 0.8 * 0.8);
  EXPECT_NEAR(sum(m.signal.data(), 9, 2), 4, 1e-12);
  expect_moments_of_truth(m, 0.03);
  const auto summary = nlohmann::json::parse(contents("run/summary.json"));
  EXPECT_EQ(summary["command"], "simulate");
  EXPECT_EQ(summary["observations"], 100000);
  EXPECT_NEAR(summary["signal_to_noise"].get<double>(), 4 / 9. / 0.64, 1e-9);
  EXPECT_LT(summary["second_moment_error"], 0.05);
  EXPECT_GT(summary["second_moment_error"], 0);
}

TEST_F(MraSimulate, GivesTheSameBitsOnAnyNumberOfThreads) {
  const Arguments small = {"simulate", "--observations", "30001", "--instances", "2", "-o"};
  ASSERT_EQ(run(small + Arguments{"one", "--threads", "1", "--seed", "7"}).code, 0);
  ASSERT_EQ(run(small + Arguments{"two", "--threads", "2", "--seed", "7"}).code, 0);
  ASSERT_EQ(run(small + Arguments{"other", "--seed", "8"}).code, 0);
  ASSERT_EQ(run({"simulate", "--config", "one/config.toml", "-o", "again"}).code, 0);
  EXPECT_TRUE(contents("one/moments.h5") == contents("two/moments.h5"));
  EXPECT_TRUE(contents("one/moments.h5") == contents("again/moments.h5"));
  EXPECT_FALSE(contents("one/moments.h5") == contents("other/moments.h5"));
}

TEST_F(MraSimulate, KeepsObservationsWhereAskedTo) {
  const auto m = simulated(
      {"--observations", "40000", "--instances", "2", "--length", "15", "--keep-observations"});
  ASSERT_EQ(run({"moments", "run/observations.h5", "--noise-sigma", "1", "-o", "again"}).code, 0);
  const auto again = read_shift_moments(folder / "again/moments.h5");
  ASSERT_EQ(again.second.size(), m.second.size());
  EXPECT_EQ(again.observations, 40000);
  // They are kept in single precision.
  for (std::size_t i = 0; i < m.second.size(); ++i) EXPECT_NEAR(again.second[i], m.second[i], 1e-7);
  EXPECT_THAT(files_in("run"),
              testing::UnorderedElementsAre("moments.h5", "observations.h5", "config.toml",
                                            "log.txt", "summary.json"));
  simulated({"--exact"});
  EXPECT_FALSE(exists("run/observations.h5"));
}

TEST_F(MraSimulate, TakesSignalsAndDensitiesFromFiles) {
  write("signals.csv", "1,0,0,0\n0,3,4,0\n");
  write("densities.csv", "a,b,c,d\n2,0,0,0\n0.1,0.2,0.3,0.4\n");
  const auto m = simulated({"--exact", "--signals", "signals.csv", "--densities", "densities.csv"});
  EXPECT_EQ(m.signal, (std::vector<double>{1, 0, 0, 0, 0, 3, 4, 0}));
  EXPECT_EQ(m.density, (std::vector<double>{1, 0, 0, 0, 0.1, 0.2, 0.3, 0.4}));
  expect_moments_of_truth(m, 1e-12);
  const auto scaled = simulated({"--exact", "--signals", "signals.csv", "--norm", "1"});
  EXPECT_DOUBLE_EQ(scaled.signal[6], 0.8);

  // A moments file is a file of signals and densities, too.
  ASSERT_EQ(run({"simulate", "--exact", "-o", "next", "--signals", "run/moments.h5", "--densities",
                 "run/moments.h5"})
                .code,
            0);
  const auto next = read_shift_moments(folder / "next/moments.h5");
  EXPECT_EQ(next.signal, scaled.signal);
  for (std::size_t i = 0; i < next.second.size(); ++i)
    EXPECT_NEAR(next.second[i], scaled.second[i], 1e-15);
}

TEST_F(MraSimulate, LeavesAnotherRunAlone) {
  simulated({"--exact"});
  const auto refused = run({"simulate", "--exact", "-o", "run"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.errors,
              testing::AllOf(HasSubstr("another run"), testing::Not(HasSubstr("--resume"))));
}

struct Mistake {
  std::string name;
  Arguments arguments;
  std::string message;  // part of it
};
void PrintTo(const Mistake& mistake, std::ostream* out) { *out << mistake.name; }

class MraSimulateMistake : public MraSimulate, public testing::WithParamInterface<Mistake> {};

TEST_P(MraSimulateMistake, IsSaidInOneSentence) {
  write("three.csv", "1,2,3\n4,5,6\n");
  write("four.csv", "1,2,3,4\n");
  write("negative.csv", "1,2,-3\n4,5,6\n");
  write("zeros.csv", "1,2,3\n0,0,0\n");
  write("single.csv", "1\n2\n");
  const auto outcome = run(Arguments{"simulate", "-o", "run"} + GetParam().arguments);
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.output, "");
  EXPECT_THAT(outcome.errors,
              testing::AllOf(testing::StartsWith("mra: "), HasSubstr(GetParam().message)));
  EXPECT_EQ(std::count(outcome.errors.begin(), outcome.errors.end(), '\n'), 1) << outcome.errors;
  if (exists("run")) {
    EXPECT_THAT(files_in("run"), testing::ElementsAre());
  }
}

INSTANTIATE_TEST_SUITE_P(
    Options, MraSimulateMistake,
    testing::ValuesIn(std::vector<Mistake>{
        {"NegativeSigma", {"--noise-sigma", "-1"}, "--noise-sigma"},
        {"InfiniteSigma", {"--noise-sigma", "inf"}, "--noise-sigma"},
        {"NoObservations", {"--observations", "0"}, "--observations"},
        {"HalfAnObservation", {"--observations", "1.5"}, "whole number"},
        {"NoComponents", {"--components", "0"}, "--components"},
        {"TooManyComponents", {"--components", "99"}, "--components"},
        {"OneSample", {"--length", "1"}, "2 to 8192"},
        {"UnknownCentres", {"--centres", "nowhere"}, "--centres"},
        {"ExactAndKept", {"--exact", "--keep-observations"}, "beside --exact"},
        {"MissingFile", {"--signals", "absent.csv"}, "absent.csv"},
        {"OtherLength", {"--signals", "three.csv", "--length", "41"}, "three.csv"},
        {"OtherLengths", {"--signals", "three.csv", "--densities", "four.csv"}, "four.csv"},
        {"OtherNumber", {"--signals", "three.csv", "--instances", "5"}, "--instances"},
        {"NegativeDensity", {"--densities", "negative.csv"}, "row 1"},
        {"EmptyDensity", {"--densities", "zeros.csv"}, "row 2"},
        {"ZeroSignal", {"--signals", "zeros.csv"}, "row 2"},
        {"ShortSignal", {"--signals", "single.csv"}, "single.csv"},
        {"NegativeSeed", {"--seed", "-1"}, "--seed"},
        {"UnknownDevice", {"--device", "abacus"}, "--device"},
        {"UnknownOption", {"--sgima", "1"}, "--sgima"},
    }),
    [](const auto& test) { return test.param.name; });

TEST(MixturePairs, DependOnSeedAndIndexAlone) {
  const MixtureLaw law{.components = 3};
  const auto pair = mixture_pair(law, 41, 1, 5, 9);
  EXPECT_EQ(pair.signal, mixture_pair(law, 41, 1, 5, 9).signal);
  EXPECT_NE(pair.signal, mixture_pair(law, 41, 1, 5, 8).signal);
  EXPECT_NE(pair.signal, mixture_pair(law, 41, 1, 6, 9).signal);
  EXPECT_NE(pair.signal, pair.density);
}

}  // namespace
}  // namespace orrery
