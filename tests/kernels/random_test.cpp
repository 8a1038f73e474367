#include "kernels/random.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

using ::testing::ElementsAre;

TEST(FillNormal, AtAStepIsThatOfTheStepsStream) {
  const Context ctx = Context::cpu(2);
  Tensor<std::uint64_t, 1> step(ctx, 1);
  step(0) = 5;
  Tensor<float, 1> at_step(ctx, 21), from_stream(ctx, 21);
  fill_normal<float>(ctx, 3, 9, step, 1.0f, 2.0f, at_step);
  fill_normal<float>(ctx, 3, stream_at_step(9, 5), 1.0f, 2.0f, from_stream);
  for (Index i = 0; i < 21; ++i) EXPECT_EQ(at_step(i), from_stream(i));
  Tensor<std::uint64_t, 1> two(ctx, 2);
  EXPECT_THROW(fill_normal<float>(ctx, 3, 9, two, 1.0f, 2.0f, at_step), std::invalid_argument);
}

// Known answers of Random123 (Salmon, Moraes, Dror, Shaw 2011), kat_vectors, philox4x32 10.
TEST(Philox, GivesTheKnownAnswers) {
  EXPECT_THAT(philox(0, 0, 0).word, ElementsAre(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
  const std::uint64_t ones = ~std::uint64_t{0};
  EXPECT_THAT(philox(ones, ones, ones).word,
              ElementsAre(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd));
  // The digits of pi: counter 243f6a88 85a308d3 13198a2e 03707344, key a4093822 299f31d0.
  EXPECT_THAT(philox(0x299f31d0'a4093822, 0x03707344'13198a2e, 0x85a308d3'243f6a88).word,
              ElementsAre(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1));
}

TEST(Philox, UnitIntervalIsOpen) {
  EXPECT_GT(open_unit_interval(0), 0.0);
  EXPECT_LT(open_unit_interval(0xffffffffu), 1.0);
}

class RandomOnBackends : public ::testing::TestWithParam<test::BackendUnderTest> {};
INSTANTIATE_TEST_SUITE_P(, RandomOnBackends, ::testing::ValuesIn(test::all_backends()),
                         test::backend_name);

template <class T>
Tensor<T, 1> uniform_numbers(const Context& ctx, Index count, T low, T high) {
  Tensor<T, 1> x(ctx, count);
  fill_uniform<T>(ctx, 11, 5, low, high, x);
  return download(ctx, x);
}
template <class T>
Tensor<T, 1> normal_numbers(const Context& ctx, Index count, T mean, T deviation) {
  Tensor<T, 1> x(ctx, count);
  fill_normal<T>(ctx, 11, 5, mean, deviation, x);
  return download(ctx, x);
}

template <class T>
void expect_same_uniform(const Context& ctx, Index count) {
  const auto x = uniform_numbers<T>(ctx, count, -3, 5);
  for (Index i = 0; i < count; ++i) {
    const double u = open_unit_interval(philox(11, 5, i / 4).word[i % 4]);
    // 8 u is exact, so both the fused and the plain sum round once.
    ASSERT_EQ(x(i), static_cast<T>(-3 + 8 * u)) << i;
  }
}

TEST_P(RandomOnBackends, UniformIsThatOfTheWordsBitForBit) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  for (const Index count : {1, 2, 3, 4, 5, 1031, 20011}) {
    expect_same_uniform<float>(ctx, count);
    expect_same_uniform<double>(ctx, count);
  }
  const auto here = uniform_numbers<float>(ctx, 20011, 0.1f, 0.7f);
  const auto there = uniform_numbers<float>(Context::cpu(1), 20011, 0.1f, 0.7f);
  for (Index i = 0; i < here.size(); ++i) ASSERT_EQ(here(i), there(i)) << i;
}

// Float rounds numbers near the ends onto them: with only a few numbers in between this shows.
TEST_P(RandomOnBackends, UniformNeverReachesItsEnds) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  const float low = 1, high = std::nextafter(std::nextafter(std::nextafter(low, 2.f), 2.f), 2.f);
  const auto x = uniform_numbers<float>(ctx, 1000, low, high);
  for (const float value : x.view()) {
    ASSERT_GT(value, low);
    ASSERT_LT(value, high);
  }
}

TEST(Random, RejectsIntervalsWithNothingInside) {
  Tensor<float, 1> x(Context::cpu(1), 3);
  const Context ctx = Context::cpu(1);
  EXPECT_THROW(fill_uniform<float>(ctx, 1, 1, 2, 2, x), std::invalid_argument);
  EXPECT_THROW(fill_uniform<float>(ctx, 1, 1, 3, 2, x), std::invalid_argument);
  EXPECT_THROW(fill_uniform<float>(ctx, 1, 1, 2, std::nextafter(2.f, 3.f), x),
               std::invalid_argument);
}

TEST_P(RandomOnBackends, UniformHasItsMoments) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  const Index count = 100000;
  double mean = 0, variance = 0;
  const auto numbers = uniform_numbers<float>(ctx, count, -1, 1);
  for (const float x : numbers.view()) {
    mean += x / count;
    variance += x * x / count;
  }
  // Standard errors 0.0018 and 0.00094.
  EXPECT_NEAR(mean, 0, 0.008);
  EXPECT_NEAR(variance, 1.0 / 3, 0.004);
}

// With u_0 .. u_3 from words (seed, stream, i / 4) and j = i / 2 mod 2,
// x_i = mean + deviation sqrt(-2 log u_2j) {cos, sin}(2 pi u_2j+1), cos for even i and sin for odd.
TEST_P(RandomOnBackends, NormalIsThatOfBoxAndMuller) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  for (const Index count : {1, 2, 3, 4, 1031, 20011}) {
    const auto in_double = normal_numbers<double>(ctx, count, 0.5, 2);
    const auto in_float = normal_numbers<float>(ctx, count, 0.5, 2);
    for (Index i = 0; i < count; ++i) {
      const PhiloxWords words = philox(11, 5, i / 4);
      const Index pair = i / 2 % 2;
      const double radius = std::sqrt(-2 * std::log(open_unit_interval(words.word[2 * pair])));
      const double angle = 2 * M_PI * open_unit_interval(words.word[2 * pair + 1]);
      const double expected = 0.5 + 2 * radius * (i % 2 ? std::sin(angle) : std::cos(angle));
      ASSERT_NEAR(in_double(i), expected, 1e-14) << i;
      ASSERT_NEAR(in_float(i), expected, 1e-6) << i;
    }
  }
}

TEST_P(RandomOnBackends, NormalHasItsMoments) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  const Index count = 100000;
  double moments[5] = {};
  const auto numbers = normal_numbers<double>(ctx, count, 0, 1);
  for (const double x : numbers.view())
    for (int power = 1; power <= 4; ++power) moments[power] += std::pow(x, power) / count;
  // Standard errors 0.003, 0.0045, 0.012, 0.031.
  EXPECT_NEAR(moments[1], 0, 0.013);
  EXPECT_NEAR(moments[2], 1, 0.018);
  EXPECT_NEAR(moments[3], 0, 0.05);
  EXPECT_NEAR(moments[4], 3, 0.13);
}

// What vectors leave over at the end of a share may round differently, so the shares matter.
TEST_P(RandomOnBackends, AddedNormalsAreThoseOfFillNormal) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  const Index count = 4099;
  Tensor<float, 1> x(ctx, count), y(ctx, count);
  fill_normal<float>(ctx, 11, 5, 0.0f, 0.5f, x);
  fill_uniform<float>(ctx, 1, 1, 2.0f, 3.0f, y);
  const auto before = download(ctx, y), normals = download(ctx, x);
  add_normal(ctx, 11, 5, 0.5f, y);
  const auto after = download(ctx, y);
  int off = 0;
  for (Index i = 0; i < count; ++i) {
    const double error = std::abs(double(after(i)) - (double(before(i)) + double(normals(i))));
    EXPECT_LT(error, 2e-4);
    off += error > 5e-6;
  }
  EXPECT_LT(off, 4);
}

// Over 4 million numbers: moments 1 to 4 are 0, 1, 0, 3 within 4.5 standard errors, and neighbours
// are not correlated.
TEST(Random, AddedNormalsHaveTheirMoments) {
  const Index count = 4'000'000;
  auto x = Tensor<float, 1>::zeros(Context::cpu(2), count);
  add_normal(Context::cpu(2), 3, 8, 1.0f, x);
  double moments[5] = {}, neighbours = 0;
  for (Index i = 0; i < count; ++i) {
    double power = 1;
    for (double& moment : moments) {
      moment += power / count;
      power *= x(i);
    }
    if (i > 0) neighbours += double(x(i)) * x(i - 1) / count;
  }
  const double error = 4.5 / std::sqrt(double(count));
  EXPECT_NEAR(moments[1], 0, error);
  EXPECT_NEAR(moments[2], 1, std::sqrt(2) * error);
  EXPECT_NEAR(moments[3], 0, std::sqrt(15) * error);
  EXPECT_NEAR(moments[4], 3, std::sqrt(96) * error);
  EXPECT_NEAR(neighbours, 0, error);
}

TEST(Random, NormalNumbersDoNotDependOnTheThreads) {
  constexpr Index count = 524267;
  const auto drawn = [](int threads) {
    Tensor<double, 1> x(Context::cpu(threads), count);
    fill_normal<double>(Context::cpu(threads), 7, 3, 0, 1, x);
    return std::vector<double>(x.view().begin(), x.view().end());
  };
  const auto one = drawn(1);
  for (const int threads : {2, 3, 4}) EXPECT_TRUE(drawn(threads) == one) << threads << " threads";
}

TEST(Random, StreamsAndSeedsDiffer) {
  const auto first = philox(1, 0, 0), stream = philox(1, 1, 0), seed = philox(2, 0, 0);
  EXPECT_NE(first.word[0], stream.word[0]);
  EXPECT_NE(first.word[0], seed.word[0]);
}

TEST(RandomSequence, IsReproducibleAndMixesKinds) {
  RandomSequence a(3, 4), b(3, 4);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(a.uniform(), b.uniform());
    EXPECT_EQ(a.normal(), b.normal());
  }
  RandomSequence c(3, 4);
  for (std::uint64_t i = 0; i < 9; ++i)
    EXPECT_EQ(c.uniform(), open_unit_interval(philox(3, 4, i / 4).word[i % 4]));
  EXPECT_NE(RandomSequence(3, 5).uniform(), RandomSequence(3, 4).uniform());
}

TEST(RandomSequence, HasItsMoments) {
  RandomSequence random(8, 0);
  const int count = 100000;
  double mean = 0, variance = 0, uniform = 0;
  for (int i = 0; i < count; ++i) {
    const double z = random.normal();
    mean += z / count;
    variance += z * z / count;
    uniform += random.uniform(2, 4) / count;
  }
  EXPECT_NEAR(mean, 0, 0.013);
  EXPECT_NEAR(variance, 1, 0.018);
  EXPECT_NEAR(uniform, 3, 0.008);
}

}  // namespace
}  // namespace orrery
