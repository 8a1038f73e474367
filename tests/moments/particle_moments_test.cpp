#include "moments/particle_moments.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/random.hpp"
#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

using test::random_tensor;

const Context cpu = Context::cpu(2);

struct Observed {
  Tensor<float, 2> images, ctf;  // (B,D), (G,D)
  std::vector<int> ctf_of_image;
};

enum class Ctfs { none, shared, one_each, groups };

/// Random numbers in place of images and CTFs.
Observed random_observations(Index count, Index pixels, Ctfs kind) {
  Observed o{.images = random_tensor<float>(1, count, pixels), .ctf = {}, .ctf_of_image = {}};
  if (kind == Ctfs::none) return o;
  const Index ctfs = kind == Ctfs::shared ? 1 : kind == Ctfs::one_each ? count : 3;
  o.ctf = random_tensor<float>(2, ctfs, pixels);
  if (kind == Ctfs::groups)
    for (Index b = 0; b < count; ++b) o.ctf_of_image.push_back(static_cast<int>(b * b % 3));
  return o;
}

ParticleMoments accumulated(const Context& ctx, const Observed& o) {
  ParticleMoments moments(ctx, o.images.extent(1), o.ctf.size() > 0);
  const auto ctf = o.ctf.size() > 0 ? upload(ctx, o.ctf) : Tensor<float, 2>();
  moments.add(upload(ctx, o.images), ctf, o.ctf_of_image);
  return moments;
}

// M1 = sum c y / sum c^2,  M2 = [sum (c y)(c y)^T - s^2 diag(sum c^2)] / [sum (c^2)(c^2)^T]
void expect_definition(const Context& ctx, Ctfs kind) {
  constexpr Index count = 57, pixels = 25;
  constexpr double variance = 0.3;
  const auto o = random_observations(count, pixels, kind);
  const auto estimate = accumulated(ctx, o).estimate(variance);

  const auto ctf = [&](Index b, Index i) -> double {
    if (kind == Ctfs::none) return 1;
    if (kind == Ctfs::shared) return o.ctf(0, i);
    return o.ctf(kind == Ctfs::groups ? o.ctf_of_image[b] : b, i);
  };
  EXPECT_EQ(estimate.images, count);
  for (Index i = 0; i < pixels; ++i) {
    double above = 0, below = 0;
    for (Index b = 0; b < count; ++b) {
      above += ctf(b, i) * o.images(b, i);
      below += ctf(b, i) * ctf(b, i);
    }
    EXPECT_NEAR(estimate.first[i], above / below, 1e-5);
    for (Index j = 0; j < pixels; ++j) {
      double product = i == j ? -variance * below : 0, weight = 0;
      for (Index b = 0; b < count; ++b) {
        product += ctf(b, i) * o.images(b, i) * ctf(b, j) * o.images(b, j);
        weight += std::pow(ctf(b, i) * ctf(b, j), 2);
      }
      if (weight < 0.01) continue;
      EXPECT_NEAR(estimate.second[i * pixels + j], product / weight, 1e-6 + 3e-5 / weight);
    }
  }
}

TEST(ParticleMoments, AreTheDefinition) {
  for (const auto kind : {Ctfs::none, Ctfs::shared, Ctfs::one_each, Ctfs::groups})
    expect_definition(cpu, kind);
}

TEST(ParticleMoments, OneImageByHand) {
  Tensor<float, 2> image(cpu, 1, 2), ctf(cpu, 1, 2);
  image(0, 0) = 3, image(0, 1) = -1;
  ctf(0, 0) = 0.5f, ctf(0, 1) = 2;
  ParticleMoments moments(cpu, 2, true);
  moments.add(image, ctf);
  // c y = (1.5, -2), c^2 = (0.25, 4)
  const auto e = moments.estimate(0.5);
  EXPECT_EQ(e.first, (std::vector<double>{6, -0.5}));
  EXPECT_EQ(e.second, (std::vector<float>{(2.25f - 0.125f) / 0.0625f, -3, -3, (4 - 2) / 16.f}));
}

/// Of 9 coefficients all but number 4 are observed.
void expect_without_4(const ParticleMomentsEstimate& e) {
  EXPECT_EQ(e.unobserved, 9);
  EXPECT_EQ(e.first[4], 0);
  EXPECT_TRUE(std::isinf(e.first_error[4]));
  for (Index i = 0; i < 9; ++i) {
    EXPECT_EQ(e.second[i * 9 + 4], 0);
    EXPECT_TRUE(std::isinf(e.second_error[4 * 9 + i]));
    EXPECT_EQ(std::isinf(e.first_error[i]), i == 4);
  }
}

TEST(ParticleMoments, WhatNoImageShowsIsUnobserved) {
  auto o = random_observations(40, 9, Ctfs::one_each);
  for (Index b = 0; b < 40; ++b) o.ctf(b, 4) = 0;
  expect_without_4(accumulated(cpu, o).estimate(1));
}

TEST(ParticleMoments, UnderInfiniteNoiseNothingIsObserved) {
  for (const auto kind : {Ctfs::none, Ctfs::one_each}) {
    const auto moments = accumulated(cpu, random_observations(40, 9, kind));
    std::vector<double> variance(9, 1);
    variance[4] = std::numeric_limits<double>::infinity();
    const auto e = moments.estimate(variance), all = moments.estimate(1);
    expect_without_4(e);
    EXPECT_EQ(e.first[3], all.first[3]);
    EXPECT_EQ(e.second[3 * 9 + 5], all.second[3 * 9 + 5]);
    EXPECT_EQ(e.second_error[3 * 9 + 5], all.second_error[3 * 9 + 5]);
  }
}

// Whitening divides image and CTF by the root of the noise's power: the estimates stay the same.
TEST(ParticleMoments, NoiseOfManyVariancesNeedsNoWhitening) {
  const auto o = random_observations(60, 9, Ctfs::one_each);
  auto white = random_observations(60, 9, Ctfs::one_each);
  std::vector<double> variance;
  for (Index i = 0; i < 9; ++i) variance.push_back(0.2 + 0.3 * double(i));
  for (Index b = 0; b < 60; ++b)
    for (Index i = 0; i < 9; ++i) {
      white.images(b, i) /= float(std::sqrt(variance[i]));
      white.ctf(b, i) /= float(std::sqrt(variance[i]));
    }
  const auto a = accumulated(cpu, o).estimate(variance), b = accumulated(cpu, white).estimate(1);
  for (Index i = 0; i < 9; ++i) {
    EXPECT_NEAR(a.first[i], b.first[i], 1e-5);
    EXPECT_NEAR(a.first_error[i], b.first_error[i], 1e-5);
  }
  for (Index i = 0; i < 81; ++i) {
    EXPECT_NEAR(a.second[i], b.second[i], 1e-4);
    EXPECT_NEAR(a.second_error[i], b.second_error[i], 1e-4);
  }
}

TEST(ParticleMoments, DoNotDependOnTheThreads) {
  const auto o = random_observations(300, 121, Ctfs::groups);
  const auto one = accumulated(Context::cpu(1), o).estimate(1);
  const auto two = accumulated(cpu, o).estimate(1);
  EXPECT_EQ(one.first, two.first);
  EXPECT_EQ(one.second, two.second);
  EXPECT_EQ(one.second_error, two.second_error);
}

TEST(ParticleMoments, SecondErrorsAreLeftOutWhereNobodyAsks) {
  const auto moments = accumulated(cpu, random_observations(30, 25, Ctfs::groups));
  const std::vector<double> noise(25, 1.);
  const auto all = moments.estimate(noise), some = moments.estimate(noise, false);
  EXPECT_TRUE(some.second_error.empty());
  EXPECT_EQ(some.second, all.second);
  EXPECT_EQ(some.first_error, all.first_error);
  EXPECT_EQ(some.unobserved, all.unobserved);
}

/// The sums of one put into another.
void copy_sums(const ParticleMoments& from, ParticleMoments& to) {
  std::vector<std::vector<double>> sums;
  from.visit_sums([&](auto numbers) { sums.emplace_back(numbers.begin(), numbers.end()); });
  std::size_t next = 0;
  to.change_sums([&](std::span<double> numbers) {
    const auto& kept = sums.at(next++);
    ASSERT_EQ(kept.size(), numbers.size());
    std::copy(kept.begin(), kept.end(), numbers.begin());
  });
  EXPECT_EQ(next, sums.size());
}

TEST(ParticleMoments, SumsComeBackToTheBit) {
  for (const auto kind : {Ctfs::none, Ctfs::groups}) {
    const auto o = random_observations(40, 25, kind);
    const auto moments = accumulated(cpu, o);
    ParticleMoments restored(cpu, 25, kind != Ctfs::none);
    copy_sums(moments, restored);
    EXPECT_EQ(restored.images(), 40);
    EXPECT_EQ(restored.estimate(1).second, moments.estimate(1).second);
    EXPECT_EQ(restored.estimate(1).first, moments.estimate(1).first);
  }
}

TEST(ParticleMoments, PartsAddUpToTheWhole) {
  const auto o = random_observations(50, 25, Ctfs::one_each);
  ParticleMoments parts(cpu, 25, true), second(cpu, 25, true);
  const auto images = upload(cpu, o.images);
  const auto rows = [&](const Tensor<float, 2>& all, Index first, Index count) {
    return upload(cpu, all.view().rows(first, count));
  };
  parts.add(rows(o.images, 0, 20), rows(o.ctf, 0, 20));
  second.add(rows(o.images, 20, 30), rows(o.ctf, 20, 30));
  parts.add(second);
  const auto whole = accumulated(cpu, o).estimate(1), sum = parts.estimate(1);
  EXPECT_EQ(sum.images, 50);
  for (std::size_t i = 0; i < whole.second.size(); ++i)
    EXPECT_NEAR(sum.second[i], whole.second[i], 1e-4 * std::abs(whole.second_error[i]));
}

/// Experiments with known moments: images of three objects, one of them twice as frequent, seen
/// through CTFs that change from image to image, under noise.
struct Experiment {
  static constexpr Index pixels = 25, count = 200;
  double sigma = 1, contrast = 1;
  bool with_ctf = false;
  Tensor<double, 2> objects = random_tensor<double>(5, Index{3}, pixels);

  ParticleMomentsEstimate estimate(std::uint64_t seed) const {
    RandomSequence random(seed, 0);
    Tensor<float, 2> images(cpu, count, pixels), ctf(cpu, count, pixels);
    for (Index b = 0; b < count; ++b) {
      const Index object = std::min(static_cast<Index>(4 * random.uniform()), Index{2});
      const double phase = random.uniform(0, 6);
      for (Index i = 0; i < pixels; ++i) {
        const double c = with_ctf ? std::sin(phase + 0.3 * double(i)) : 1;
        ctf(b, i) = static_cast<float>(c);
        images(b, i) =
            static_cast<float>(c * contrast * objects(object, i) + sigma * random.normal());
      }
    }
    ParticleMoments moments(cpu, pixels, with_ctf);
    moments.add(images, with_ctf ? ctf.view() : View<float, 2>());
    return moments.estimate(sigma * sigma);
  }
  double first(Index i) const {
    return contrast * (0.25 * objects(0, i) + 0.25 * objects(1, i) + 0.5 * objects(2, i));
  }
  double second(Index i, Index j) const {
    return contrast * contrast *
           (0.25 * objects(0, i) * objects(0, j) + 0.25 * objects(1, i) * objects(1, j) +
            0.5 * objects(2, i) * objects(2, j));
  }
};

/// Mean, scatter and mean claimed error of one number over the seeds.
struct Spread {
  double sum = 0, squares = 0, claimed = 0;
  Index seeds = 0;
  void add(double value, double error) {
    sum += value, squares += value * value, claimed += error * error, ++seeds;
  }
  double mean() const { return sum / double(seeds); }
  double deviation() const {
    return std::sqrt(std::max(squares / double(seeds) - mean() * mean(), 0.));
  }
  double claimed_deviation() const { return std::sqrt(claimed / double(seeds)); }
};

// Over 200 seeds the mean of an estimate lies within 4 of its standard errors of the truth, and the
// estimates scatter as much as they say they do.
void expect_unbiased(const Experiment& experiment, double error_tolerance) {
  constexpr Index seeds = 200, pixels = Experiment::pixels;
  std::vector<Spread> first(pixels), second(pixels * pixels);
  for (Index seed = 0; seed < seeds; ++seed) {
    const auto e = experiment.estimate(1000 + static_cast<std::uint64_t>(seed));
    for (Index i = 0; i < pixels; ++i) first[i].add(e.first[i], e.first_error[i]);
    for (Index i = 0; i < pixels * pixels; ++i) second[i].add(e.second[i], e.second_error[i]);
  }
  double ratio = 0;
  const auto check = [&](const Spread& spread, double truth) {
    EXPECT_LT(std::abs(spread.mean() - truth), 4 * spread.deviation() / std::sqrt(double(seeds)));
    const double one = spread.claimed_deviation() / spread.deviation();
    EXPECT_LT(std::abs(one - 1), 0.3);  // the scatter itself is known to 5 %
    ratio += one;
  };
  for (Index i = 0; i < pixels; ++i) {
    check(first[i], experiment.first(i));
    for (Index j = i; j < pixels; ++j) check(second[i * pixels + j], experiment.second(i, j));
  }
  const double numbers = pixels + pixels * (pixels + 1) / 2.;
  EXPECT_NEAR(ratio / numbers, 1, error_tolerance);
}

TEST(ParticleMomentsEstimates, HaveNoBias) { expect_unbiased({.sigma = 3}, 0.02); }

TEST(ParticleMomentsEstimates, HaveNoBiasWithCtfs) {
  expect_unbiased({.sigma = 3, .with_ctf = true}, 0.02);
}

TEST(ParticleMomentsEstimates, OfPureNoiseAreZero) {
  expect_unbiased({.sigma = 2, .contrast = 0}, 0.02);
  expect_unbiased({.sigma = 2, .contrast = 0, .with_ctf = true}, 0.02);
}

TEST(ParticleMoments, RefuseWhatHasNoMeaning) {
  ParticleMoments with(cpu, 4, true), without(cpu, 4, false);
  Tensor<float, 2> images = random_tensor<float>(1, 3, 4), ctf = random_tensor<float>(2, 2, 4),
                   narrow = random_tensor<float>(1, 3, 3);
  EXPECT_THROW(with.estimate(1), std::invalid_argument);
  EXPECT_THROW(without.add(narrow), std::invalid_argument);
  EXPECT_THROW(without.add(images, ctf), std::invalid_argument);
  EXPECT_THROW(with.add(images), std::invalid_argument);
  EXPECT_THROW(with.add(images, ctf), std::invalid_argument);
  EXPECT_THROW(with.add(images, narrow), std::invalid_argument);
  for (const std::vector<int>& which : {std::vector{0, 1}, {0, 1, 2}, {0, -1, 0}})
    EXPECT_THROW(with.add(images, ctf, which), std::invalid_argument);
  EXPECT_THROW(with.add(without), std::invalid_argument);
  with.add(images, random_tensor<float>(2, 1, 4));
  EXPECT_THROW(with.estimate(std::vector<double>(3)), std::invalid_argument);
}

class ParticleMomentsOnDevice : public testing::TestWithParam<test::BackendUnderTest> {};

TEST_P(ParticleMomentsOnDevice, AreTheDefinition) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context device = test::make_context(GetParam());
  for (const auto kind : {Ctfs::none, Ctfs::shared, Ctfs::one_each, Ctfs::groups})
    expect_definition(device, kind);
}

TEST_P(ParticleMomentsOnDevice, SumsGoThereAndBack) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context device = test::make_context(GetParam());
  const auto here = accumulated(cpu, random_observations(40, 25, Ctfs::groups));
  ParticleMoments there(device, 25, true);
  copy_sums(here, there);
  EXPECT_EQ(there.estimate(1).second, here.estimate(1).second);
  there.add(there);
  EXPECT_EQ(there.images(), 80);
}

INSTANTIATE_TEST_SUITE_P(Backends, ParticleMomentsOnDevice,
                         testing::ValuesIn(test::device_backends()), test::backend_name);

}  // namespace
}  // namespace orrery
