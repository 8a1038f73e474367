#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "apps/mra/moments_file.hpp"
#include "apps/mra/noise.hpp"
#include "io/hdf5.hpp"
#include "io/tables.hpp"
#include "kernels/random.hpp"
#include "tests/support/expect_input_error.hpp"
#include "tests/support/program.hpp"

namespace orrery {
namespace {

using test::Arguments;
using test::operator+;
using testing::HasSubstr;

/// Observations of one signal, shifted anywhere with equal probability or not at all.
std::vector<std::vector<double>> observations(const std::vector<double>& signal, Index count,
                                              double sigma, bool shifted) {
  RandomSequence random(17, 0);
  const std::size_t n = signal.size();
  std::vector<std::vector<double>> rows;
  for (Index o = 0; o < count; ++o) {
    const auto shift = shifted ? static_cast<std::size_t>(random.uniform() * double(n)) : 0;
    std::vector<double> row(n);
    for (std::size_t i = 0; i < n; ++i) row[(i + shift) % n] = signal[i] + sigma * random.normal();
    rows.push_back(row);
  }
  return rows;
}

std::vector<double> cosine(Index n, int frequency) {
  std::vector<double> signal;
  for (Index i = 0; i < n; ++i)
    signal.push_back(std::cos(2 * std::numbers::pi * frequency * double(i) / double(n)));
  return signal;
}

class MraMoments : public test::ProgramTest {
 protected:
  MraMoments() : ProgramTest("mra") {}

  void write_observations(const std::string& file, const std::vector<std::vector<double>>& rows) {
    io::Table table{.columns = {}, .rows = rows};
    for (std::size_t i = 0; i < rows[0].size(); ++i)
      table.columns.push_back("sample" + std::to_string(i));
    io::write_csv(folder / file, table);
  }
};

// M1^[i] = mean_o y[o,i],   M2^[i,j] = mean_o y[o,i] y[o,j] - sigma^2 [i = j]
TEST_F(MraMoments, AreTheDefinition) {
  constexpr Index n = 11, count = 2503;
  const auto rows = observations(cosine(n, 2), count, 0.7, true);
  write_observations("y.csv", rows);
  const auto outcome = run({"moments", "y.csv", "--noise-sigma", "0.7", "-o", "run"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  const auto m = read_shift_moments(folder / "run/moments.h5");
  EXPECT_EQ(m.instances, 1);
  EXPECT_EQ(m.observations, count);
  EXPECT_DOUBLE_EQ(m.noise_variance, 0.49);
  EXPECT_TRUE(m.signal.empty());
  for (Index i = 0; i < n; ++i) {
    double first = 0;
    for (const auto& y : rows) first += y[i] / double(count);
    EXPECT_NEAR(m.first[i], first, 1e-12);
    for (Index j = 0; j < n; ++j) {
      double second = i == j ? -0.49 : 0;
      for (const auto& y : rows) second += y[i] * y[j] / double(count);
      EXPECT_NEAR(m.second[i * n + j], second, 1e-12);
    }
  }
  const auto summary = nlohmann::json::parse(contents("run/summary.json"));
  EXPECT_EQ(summary["noise_estimated"], false);
  EXPECT_EQ(summary["observations"], count);
}

TEST_F(MraMoments, EstimateTheNoiseWhereTheSignalIsSmooth) {
  write_observations("y.csv", observations(cosine(31, 2), 4000, 0.5, true));
  const auto outcome = run({"moments", "y.csv", "--estimate-noise", "-o", "run"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  const auto summary = nlohmann::json::parse(contents("run/summary.json"));
  const double error = summary["noise_standard_error"];
  EXPECT_LT(error, 0.01);
  EXPECT_NEAR(summary["noise_variance"].get<double>(), 0.25, 4 * error);
  EXPECT_NEAR(read_shift_moments(folder / "run/moments.h5").noise_variance,
              summary["noise_variance"].get<double>(), 1e-12);
}

NoiseEstimate estimate(const std::vector<std::vector<double>>& rows) {
  const auto n = static_cast<Index>(rows[0].size());
  std::vector<double> first(n, 0.0), second(n * n, 0.0);
  for (const auto& y : rows)
    for (Index i = 0; i < n; ++i) {
      first[i] += y[i] / double(rows.size());
      for (Index j = 0; j < n; ++j) second[i * n + j] += y[i] * y[j] / double(rows.size());
    }
  return estimate_noise({first.data(), n}, {second.data(), n, n}, static_cast<Index>(rows.size()));
}

TEST(NoiseEstimate, IsUnbiasedBelowTheBand) {
  for (const Index n : {31, 32}) {
    const auto noise = estimate(observations(cosine(n, 3), 20000, 2, true));
    EXPECT_EQ(noise.doubt, "");
    EXPECT_NEAR(noise.variance, 4, 4 * noise.standard_error);
    EXPECT_NEAR(noise.standard_error, 4 / std::sqrt(20000. * 3), 0.001);
  }
}

TEST(NoiseEstimate, SeesASignalInTheBand) {
  EXPECT_THAT(estimate(observations(cosine(31, 15), 4000, 0.5, true)).doubt, HasSubstr("differs"));
  // A spike has the same power at every frequency, but a mean where it is not shifted everywhere.
  std::vector<double> spike(31, 0.0);
  spike[4] = 1;
  EXPECT_THAT(estimate(observations(spike, 4000, 0.5, false)).doubt, HasSubstr("mean"));
  EXPECT_THAT(estimate(observations(cosine(5, 1), 4000, 0.5, true)).doubt, HasSubstr("too few"));
  EXPECT_THAT(estimate({std::vector<double>(31, 0.0)}).doubt, HasSubstr("no power"));
}

struct Mistake {
  std::string name;
  Arguments arguments;
  std::string message;  // part of it
};
void PrintTo(const Mistake& mistake, std::ostream* out) { *out << mistake.name; }

class MraMomentsMistake : public MraMoments, public testing::WithParamInterface<Mistake> {};

TEST_P(MraMomentsMistake, IsSaidInOneSentence) {
  write("y.csv", "1,2,3\n4,5,6\n");
  write("nan.csv", "1,2,3\n4,nan,6\n");
  write("ragged.csv", "1,2,3\n4,5\n");
  write("words.csv", "1,2,3\n4,five,6\n");
  write("empty.csv", "");
  write("single.csv", "1\n2\n");
  write("damaged.h5", "\x89HDF\r\n\x1a\nand no more");
  write("cut.npy", "\x93NUMPY\x01");
  write_observations("rough.csv", observations(cosine(31, 15), 3000, 0.5, true));
  const auto outcome = run(Arguments{"moments", "-o", "run"} + GetParam().arguments);
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
    Input, MraMomentsMistake,
    testing::ValuesIn(std::vector<Mistake>{
        {"NoNoise", {"y.csv"}, "--estimate-noise"},
        {"NoiseTwice", {"y.csv", "--noise-sigma", "1", "--estimate-noise"}, "contradict"},
        {"NegativeSigma", {"y.csv", "--noise-sigma", "-1"}, "--noise-sigma"},
        {"SigmaNan", {"y.csv", "--noise-sigma", "nan"}, "--noise-sigma"},
        {"NotEstimable", {"rough.csv", "--estimate-noise"}, "cannot be estimated"},
        {"TooShortToEstimate", {"y.csv", "--estimate-noise"}, "cannot be estimated"},
        {"NoFile", {"--noise-sigma", "1"}, "FILE"},
        {"MissingFile", {"absent.csv", "--noise-sigma", "1"}, "absent.csv"},
        {"Nan", {"nan.csv", "--noise-sigma", "1"}, "observation 2, sample 2"},
        {"Ragged", {"ragged.csv", "--noise-sigma", "1"}, "line 2"},
        {"Words", {"words.csv", "--noise-sigma", "1"}, "five"},
        {"Empty", {"empty.csv", "--noise-sigma", "1"}, "is empty"},
        {"OneSample", {"single.csv", "--noise-sigma", "1"}, "1 sample"},
        {"DamagedHdf5", {"damaged.h5", "--noise-sigma", "1"}, "damaged.h5"},
        {"TruncatedNpy", {"cut.npy", "--noise-sigma", "1"}, "cut.npy"},
        {"DatasetOfCsv", {"y.csv", "--noise-sigma", "1", "--dataset", "x"}, "--dataset"},
        {"Folder", {".", "--noise-sigma", "1"}, "folder"},
    }),
    [](const auto& test) { return test.param.name; });

class MomentsFile : public testing::Test {
 protected:
  std::filesystem::path path() const { return folder / "moments.h5"; }

  /// What reading says of a good file that has been changed.
  std::string error_with(const std::function<void(io::Hdf5File&)>& change) {
    write_shift_moments(path(), good());
    auto file = io::read_hdf5(path());
    change(file);
    io::write_hdf5(path(), file);
    return test::input_error_of([&] { read_shift_moments(path()); });
  }
  static ShiftMoments good() {
    return {.instances = 2,
            .n = 2,
            .first = {1, 2, 3, 4},
            .second = {1, 2, 2, 5, 6, 7, 7, 8},
            .observations = 10,
            .noise_variance = 0.5,
            .signal = {1, 0, 0, 1},
            .density = {0.5, 0.5, 1, 0},
            .notes = {{"seed", std::int64_t{3}}}};
  }

  test::TemporaryFolder folder;
};

TEST_F(MomentsFile, ReadsBackWhatWasWritten) {
  write_shift_moments(path(), good());
  const auto m = read_shift_moments(path());
  EXPECT_EQ(m.instances, 2);
  EXPECT_EQ(m.n, 2);
  EXPECT_EQ(m.observations, 10);
  EXPECT_EQ(m.noise_variance, 0.5);
  EXPECT_EQ(m.first, good().first);
  EXPECT_EQ(m.second, good().second);
  EXPECT_EQ(m.signal, good().signal);
  EXPECT_EQ(m.density, good().density);
  EXPECT_EQ(m.notes, good().notes);
  EXPECT_EQ(m.source, path().string());
}

TEST_F(MomentsFile, TakesSinglePrecision) {
  write_shift_moments(path(), good());
  auto file = io::read_hdf5(path());
  file.arrays["first_moment"].numbers = std::vector<float>{1, 2, 3, 4};
  io::write_hdf5(path(), file);
  EXPECT_EQ(read_shift_moments(path()).first, good().first);
}

TEST_F(MomentsFile, ThatIsWrongIsRefused) {
  using File = io::Hdf5File;
  const auto doubles = [](std::vector<std::uint64_t> extents, std::vector<double> numbers) {
    return io::Array{.extents = std::move(extents), .numbers = std::move(numbers)};
  };
  EXPECT_THAT(error_with([](File& f) { f.attributes["format_version"] = std::int64_t{2}; }),
              HasSubstr("format version 2"));
  EXPECT_THAT(error_with([](File& f) { f.attributes["basis"] = "hartley"; }), HasSubstr("hartley"));
  EXPECT_THAT(error_with([](File& f) { f.attributes.erase("noise_variance"); }),
              HasSubstr("noise_variance"));
  EXPECT_THAT(error_with([](File& f) { f.attributes["noise_variance"] = -1.0; }),
              HasSubstr("noise_variance"));
  EXPECT_THAT(error_with([](File& f) { f.attributes["observations"] = std::int64_t{-1}; }),
              HasSubstr("observations"));
  EXPECT_THAT(error_with([](File& f) { f.attributes["n"] = std::int64_t{1}; }), HasSubstr("\"n\""));
  EXPECT_THAT(error_with([](File& f) { f.attributes["n"] = std::int64_t{4}; }),
              HasSubstr("first_moment"));
  EXPECT_THAT(error_with([](File& f) { f.arrays.erase("second_moment"); }),
              HasSubstr("second_moment"));
  EXPECT_THAT(error_with([&](File& f) {
                f.arrays["second_moment"] = doubles({1, 2, 2}, {1, 2, 2, 1});
              }),
              HasSubstr("second_moment"));
  EXPECT_THAT(error_with([&](File& f) {
                f.arrays["first_moment"] = doubles({2, 2}, {1, NAN, 2, 1});
              }),
              HasSubstr("NaN"));
  EXPECT_THAT(error_with([&](File& f) {
                f.arrays["second_moment"] = doubles({2, 2, 2}, {1, 2, 3, 5, 6, 7, 7, 8});
              }),
              HasSubstr("symmetric"));
  EXPECT_THAT(error_with([&](File& f) {
                f.arrays["signal"] = doubles({2}, {1, 2});
              }),
              HasSubstr("signal"));
  EXPECT_THAT(error_with([&](File& f) {
                f.arrays["first_moment"] = doubles({0, 2}, {});
              }),
              HasSubstr("no instances"));
}

}  // namespace
}  // namespace orrery
