#include "kernels/moment_residual.hpp"

#include <limits>
#include <set>
#include <tuple>

#include "kernels/block_rounds.hpp"
#include "kernels/matrix_tiles.hpp"
#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery::test {
namespace {

const Context cpu = Context::cpu();

TEST(BlockRounds, EveryPairMeetsOnceAndNoBlockIsInTwoPairsOfARound) {
  for (int blocks = 1; blocks < 12; ++blocks) {
    const BlockRounds rounds(blocks);
    std::set<std::pair<int, int>> met;
    for (int round = 0; round < rounds.count; ++round) {
      std::multiset<int> busy;
      for (int i = 0; i < rounds.pairs_a_round(); ++i) {
        const auto [low, high] = rounds.pair(round, i);
        EXPECT_LE(low, high);
        EXPECT_TRUE(met.insert({low, high}).second) << low << " and " << high << " met before";
        busy.insert(low);
        if (high != low) busy.insert(high);
        EXPECT_EQ(rounds.partner(round, low), high);
        EXPECT_EQ(rounds.partner(round, high), low);
        EXPECT_EQ(rounds.place(round, low), i);
        EXPECT_EQ(rounds.place(round, high), i);
      }
      for (int block = 0; block < rounds.count; ++block) EXPECT_EQ(busy.count(block), 1u);
    }
    EXPECT_EQ(static_cast<int>(met.size()), rounds.count * (rounds.count + 1) / 2);
  }
}

/// Weighted slices, and a symmetric target that is not theirs.
template <class T>
struct Problem {
  Tensor<T, 2> slices;
  Tensor<T, 1> weights, first;
  Tensor<T, 2> second;

  Problem(Index slice_count, Index d)
      : slices(random_tensor<T>(1, slice_count, d)),
        weights(random_tensor<T>(2, slice_count)),
        first(random_tensor<T>(3, d)),
        second(random_tensor<T>(4, d, d)) {
    for (T& z : weights.view()) z = T(0.1) + z * z;
    for (Index i = 0; i < d; ++i)
      for (Index e = 0; e < i; ++e) second(i, e) = second(e, i);
  }
};

template <class T>
struct Residual {
  Tensor<T, 1> first;
  Tensor<T, 2> products;
  Tensor<double, 1> squared_norms;
};

/// A tensor whose numbers, if they are not written, spoil every comparison.
template <class T, class... Extents>
auto poisoned(const Context& ctx, Extents... extents) {
  Tensor<T, sizeof...(Extents)> host(cpu, extents...);
  for (T& x : host.view()) x = std::numeric_limits<T>::quiet_NaN();
  return upload(ctx, host);
}

template <class T>
Residual<T> residual_on(const Context& ctx, const Problem<T>& problem) {
  const Index slice_count = problem.slices.extent(0), d = problem.slices.extent(1);
  auto first = poisoned<T>(ctx, d);
  auto products = poisoned<T>(ctx, slice_count, d);
  auto norms = poisoned<double>(ctx, Index{2});
  moment_residual<T>(ctx, upload(ctx, problem.slices), upload(ctx, problem.weights),
                     upload(ctx, problem.first), upload(ctx, problem.second), first, products,
                     norms);
  return {download(ctx, first), download(ctx, products), download(ctx, norms)};
}

/// A problem whose target is given by factors: so many random ones, of strengths of either sign.
template <class T>
struct FactoredProblem : Problem<T> {
  Tensor<T, 2> factors;
  Tensor<T, 1> strengths;

  FactoredProblem(Index slice_count, Index d, Index factor_count)
      : Problem<T>(slice_count, d),
        factors(random_tensor<T>(5, factor_count, d)),
        strengths(random_tensor<T>(6, factor_count)) {
    for (Index i = 0; i < d; ++i)
      for (Index e = 0; e < d; ++e) {
        double sum = 0;
        for (Index k = 0; k < factor_count; ++k)
          sum += double(strengths(k)) * factors(k, i) * factors(k, e);
        this->second(i, e) = static_cast<T>(sum);
      }
  }
};

template <class T>
Residual<T> factored_residual_on(const Context& ctx, const FactoredProblem<T>& problem) {
  const Index slice_count = problem.slices.extent(0), d = problem.slices.extent(1);
  auto first = poisoned<T>(ctx, d);
  auto products = poisoned<T>(ctx, slice_count, d);
  auto norms = poisoned<double>(ctx, Index{2});
  const auto factors = upload(ctx, problem.factors);
  const auto strengths = upload(ctx, problem.strengths);
  moment_residual<T>(ctx, upload(ctx, problem.slices), upload(ctx, problem.weights),
                     upload(ctx, problem.first), FactoredMatrix<T>{factors, strengths}, first,
                     products, norms);
  return {download(ctx, first), download(ctx, products), download(ctx, norms)};
}

/// r = sum_j z_j h_j - M1,  R = sum_j z_j h_j h_j^T - M2,  R h_j and both norms, in double.
template <class T>
Residual<double> direct(const Problem<T>& problem) {
  const Index slice_count = problem.slices.extent(0), d = problem.slices.extent(1);
  Residual<double> found{Tensor<double, 1>(cpu, d), Tensor<double, 2>(cpu, slice_count, d),
                         Tensor<double, 1>::zeros(cpu, Index{2})};
  Tensor<double, 2> r(cpu, d, d);
  for (Index i = 0; i < d; ++i) {
    found.first(i) = -double(problem.first(i));
    for (Index e = 0; e < d; ++e) r(i, e) = -double(problem.second(i, e));
  }
  for (Index j = 0; j < slice_count; ++j)
    for (Index i = 0; i < d; ++i) {
      const double zh = double(problem.weights(j)) * problem.slices(j, i);
      found.first(i) += zh;
      for (Index e = 0; e < d; ++e) r(i, e) += zh * problem.slices(j, e);
    }
  for (Index i = 0; i < d; ++i) {
    found.squared_norms(0) += found.first(i) * found.first(i);
    for (Index e = 0; e < d; ++e) found.squared_norms(1) += r(i, e) * r(i, e);
  }
  for (Index j = 0; j < slice_count; ++j)
    for (Index i = 0; i < d; ++i) {
      double product = 0;
      for (Index e = 0; e < d; ++e) product += r(i, e) * problem.slices(j, e);
      found.products(j, i) = product;
    }
  return found;
}

template <class T>
void expect_equal(const Residual<T>& found, const Residual<double>& expected, double tolerance) {
  EXPECT_LT(relative_difference(found.first, expected.first), tolerance);
  EXPECT_LT(relative_difference(found.products, expected.products), tolerance);
  for (Index i = 0; i < 2; ++i)
    EXPECT_NEAR(found.squared_norms(i), expected.squared_norms(i),
                tolerance * expected.squared_norms(i));
}

/// Slice counts and dimensions: one, smaller than a tile, prime, larger than a tile, than a window
/// of small tiles, and so large that the large ones are taken.
const std::pair<Index, Index> sizes[] = {{1, 1},     {3, 5},    {7, 49},   {31, 121},
                                         {130, 169}, {67, 289}, {5, 1009}, {5, 1031}};

TEST(MomentResidual, OfOneSliceByHand) {
  Problem<double> problem(1, 2);
  problem.slices(0, 0) = 1;
  problem.slices(0, 1) = 3;
  problem.weights(0) = 2;
  problem.first(0) = 1;
  problem.first(1) = 4;
  const double second[] = {1, 5, 5, 20};
  std::copy_n(second, 4, problem.second.data());
  const auto found = residual_on(cpu, problem);
  // r = 2 (1,3) - (1,4);  R = 2 (1,3)(1,3)^T - M2 = (1 1; 1 -2);  R h = (4, -5)
  EXPECT_EQ(found.first(0), 1);
  EXPECT_EQ(found.first(1), 2);
  EXPECT_EQ(found.products(0, 0), 4);
  EXPECT_EQ(found.products(0, 1), -5);
  EXPECT_EQ(found.squared_norms(0), 5);
  EXPECT_EQ(found.squared_norms(1), 7);
}

TEST(MomentResidual, IsTheDirectSum) {
  for (auto [slice_count, d] : sizes) {
    SCOPED_TRACE(testing::Message() << slice_count << " slices of dimension " << d);
    const Problem<double> problem(slice_count, d);
    expect_equal(residual_on(cpu, problem), direct(problem), 1e-13);
  }
}

TEST(MomentResidual, InSinglePrecisionIsExactToRounding) {
  const Problem<float> problem(600, 625);
  expect_equal(residual_on(cpu, problem), direct(problem), 2e-6);
}

TEST(MomentResidual, DoesNotDependOnTheNumberOfThreads) {
  for (auto [slice_count, d] : {std::pair<Index, Index>{350, 361}, {40, 1700}}) {
    const Problem<float> problem(slice_count, d);
    const auto one = residual_on(Context::cpu(1), problem),
               three = residual_on(Context::cpu(3), problem);
    EXPECT_EQ(relative_difference(three.first, one.first), 0);
    EXPECT_EQ(relative_difference(three.products, one.products), 0);
    EXPECT_EQ(three.squared_norms(0), one.squared_norms(0));
    EXPECT_EQ(three.squared_norms(1), one.squared_norms(1));
  }
}

TEST(MomentResidual, OfATargetByFactorsIsThatOfTheirMatrix) {
  for (auto [slice_count, d, factor_count] :
       {std::tuple<Index, Index, Index>{1, 1, 1}, {31, 49, 7}, {70, 169, 200}, {5, 1700, 33}}) {
    SCOPED_TRACE(testing::Message() << slice_count << " slices of dimension " << d);
    const FactoredProblem<double> problem(slice_count, d, factor_count);
    expect_equal(factored_residual_on(cpu, problem), direct(problem), 1e-12);
  }
}

TEST(MomentResidual, OfItsOwnFactorsIsNothing) {
  FactoredProblem<float> problem(40, 81, 40);
  copy<float, 2>(cpu, problem.slices, problem.factors);
  copy<float, 1>(cpu, problem.weights, problem.strengths);
  const auto found = factored_residual_on(cpu, problem);
  EXPECT_LT(found.squared_norms(1), 1e-10 * 81 * 81);
}

/// On the processor's matrix tiles numbers have 16 bits after the leading one, and what is lost of
/// a product is lost by chance.
TEST(MomentResidual, OnMatrixTilesIsExactTo16Bits) {
  if (!tiles::available()) GTEST_SKIP() << "this processor has no matrix tiles";
  const Context fast = Context::cpu().with_precision(Precision::tf32);
  for (auto [slice_count, d] : {std::pair<Index, Index>{1, 401}, {31, 529}, {70, 833}, {5, 1700}}) {
    SCOPED_TRACE(testing::Message() << slice_count << " slices of dimension " << d);
    const Problem<float> problem(slice_count, d);
    expect_equal(residual_on(fast, problem), direct(problem), 2e-5);
    const FactoredProblem<float> factored(slice_count, d, 45);
    expect_equal(factored_residual_on(fast, factored), direct(factored), 4e-5);
  }
}

TEST(MomentResidual, OnMatrixTilesDoesNotDependOnTheNumberOfThreads) {
  if (!tiles::available()) GTEST_SKIP() << "this processor has no matrix tiles";
  const Problem<float> problem(40, 1700);
  const auto one = residual_on(Context::cpu(1).with_precision(Precision::tf32), problem),
             three = residual_on(Context::cpu(3).with_precision(Precision::tf32), problem);
  EXPECT_EQ(relative_difference(three.first, one.first), 0);
  EXPECT_EQ(relative_difference(three.products, one.products), 0);
  EXPECT_EQ(three.squared_norms(1), one.squared_norms(1));
}

template <class T>
struct Gradients {
  Tensor<T, 2> slices;
  Tensor<T, 1> weights;
};

/// Of a scalar whose derivatives along the residuals are a first_residual and b R.
template <class T>
Gradients<T> gradients_on(const Context& ctx, const Problem<T>& problem,
                          const Residual<T>& residual, double a, double b) {
  Tensor<double, 1> factors(cpu, Index{2});
  factors(0) = a;
  factors(1) = b;
  auto dslices = upload(ctx, residual.products);
  auto dweights = poisoned<T>(ctx, problem.slices.extent(0));
  moment_residual_gradients<T>(ctx, upload(ctx, problem.slices), upload(ctx, problem.weights),
                               upload(ctx, residual.first), upload(ctx, factors), dslices,
                               dweights);
  return {download(ctx, dslices), download(ctx, dweights)};
}

TEST(MomentResidual, GradientsMatchDifferences) {
  const double a = 0.7, b = 1.3;
  for (auto [slice_count, d] : {std::pair<Index, Index>{3, 5}, {31, 49}, {70, 81}}) {
    Problem<double> problem(slice_count, d);
    const auto gradient = gradients_on(cpu, problem, residual_on(cpu, problem), a, b);
    // a/2 ||r||^2 + b/2 ||R||^2
    auto f = [&] {
      const auto residual = residual_on(cpu, problem);
      return 0.5 * (a * residual.squared_norms(0) + b * residual.squared_norms(1));
    };
    expect_gradient(f, problem.slices.view().flat(), gradient.slices.view().flat());
    expect_gradient(f, problem.weights.view(), gradient.weights.view());
  }
}

TEST(MomentResidual, RejectsWrongShapes) {
  Tensor<float, 2> slices(cpu, 3, 4), second(cpu, 4, 4), wrong(cpu, 4, 3);
  Tensor<float, 1> weights(cpu, 3), first(cpu, 4), residual(cpu, 4);
  Tensor<double, 1> norms(cpu, 2), norm(cpu, 1);
  auto with = [&](auto& z, auto& m1, auto& m2, auto& r, auto& products, auto& squared) {
    moment_residual<float>(cpu, slices, z, m1, m2, r, products, squared);
  };
  EXPECT_THROW(with(first, first, second, residual, slices, norms), std::invalid_argument);
  EXPECT_THROW(with(weights, weights, second, residual, slices, norms), std::invalid_argument);
  EXPECT_THROW(with(weights, first, wrong, residual, slices, norms), std::invalid_argument);
  EXPECT_THROW(with(weights, first, second, weights, slices, norms), std::invalid_argument);
  EXPECT_THROW(with(weights, first, second, residual, wrong, norms), std::invalid_argument);
  EXPECT_THROW(with(weights, first, second, residual, slices, norm), std::invalid_argument);
  Tensor<float, 2> none(cpu, 0, 4);
  Tensor<float, 1> no_weights(cpu, 0);
  EXPECT_THROW(moment_residual<float>(cpu, none, no_weights, first, second, residual, none, norms),
               std::invalid_argument);
  auto with_factors = [&](auto& factors, auto& strengths) {
    moment_residual<float>(cpu, slices, weights, first, FactoredMatrix<float>{factors, strengths},
                           residual, slices, norms);
  };
  EXPECT_THROW(with_factors(wrong, first), std::invalid_argument);
  EXPECT_THROW(with_factors(second, weights), std::invalid_argument);
  auto gradients_with = [&](auto& z, auto& r, auto& factors, auto& dslices, auto& dweights) {
    moment_residual_gradients<float>(cpu, slices, z, r, factors, dslices, dweights);
  };
  EXPECT_THROW(gradients_with(first, residual, norms, slices, weights), std::invalid_argument);
  EXPECT_THROW(gradients_with(weights, weights, norms, slices, weights), std::invalid_argument);
  EXPECT_THROW(gradients_with(weights, residual, norm, slices, weights), std::invalid_argument);
  EXPECT_THROW(gradients_with(weights, residual, norms, wrong, weights), std::invalid_argument);
  EXPECT_THROW(gradients_with(weights, residual, norms, slices, first), std::invalid_argument);
}

class MomentResidualParity : public testing::TestWithParam<BackendUnderTest> {
 protected:
  template <class T>
  void expect_parity_of(Precision precision, double tolerance, Index slice_count, Index d) {
    SCOPED_TRACE(testing::Message() << slice_count << " slices of dimension " << d);
    const Context device = make_context(GetParam()).with_precision(precision);
    const Problem<T> problem(slice_count, d);
    const auto found = residual_on(device, problem);
    expect_equal(found, direct(problem), tolerance);

    const auto expected = gradients_on(cpu, problem, found, 0.7, -1.3);
    const auto gradients = gradients_on(device, problem, found, 0.7, -1.3);
    const double rounding = std::numeric_limits<T>::epsilon() * 16;
    EXPECT_LT(relative_difference(gradients.slices, expected.slices), rounding);
    EXPECT_LT(relative_difference(gradients.weights, expected.weights), rounding);
  }

  /// Matrix instructions take the emulation their time: the largest are left to single tests.
  template <class T>
  void expect_parity(Precision precision, double tolerance, Index largest = 2000) {
    ORRERY_REQUIRE_BACKEND(GetParam());
    for (auto [slice_count, d] : sizes)
      if (d <= largest) expect_parity_of<T>(precision, tolerance, slice_count, d);
  }
};

TEST_P(MomentResidualParity, IsTheSameEveryTime) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context device = make_context(GetParam()).with_precision(Precision::tf32);
  const Problem<float> problem(67, 289);
  const auto once = residual_on(device, problem), again = residual_on(device, problem);
  EXPECT_EQ(relative_difference(again.products, once.products), 0);
  EXPECT_EQ(again.squared_norms(1), once.squared_norms(1));
}

TEST_P(MomentResidualParity, OfATargetByFactors) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context device = make_context(GetParam());
  for (auto [slice_count, d, factor_count] :
       {std::tuple<Index, Index, Index>{3, 5, 1}, {67, 169, 35}, {5, 1031, 3}}) {
    SCOPED_TRACE(testing::Message() << slice_count << " slices of dimension " << d);
    const FactoredProblem<float> problem(slice_count, d, factor_count);
    expect_equal(factored_residual_on(device, problem), direct(problem), 4e-6);
    const auto in_tf32 = device.with_precision(Precision::tf32);
    if (d < 1000) expect_equal(factored_residual_on(in_tf32, problem), direct(problem), 2e-3);
  }
}

TEST_P(MomentResidualParity, InDoublePrecision) { expect_parity<double>(Precision::fp32, 1e-13); }
TEST_P(MomentResidualParity, InSinglePrecision) { expect_parity<float>(Precision::fp32, 2e-6); }
TEST_P(MomentResidualParity, InThreeTf32Products) {
  expect_parity<float>(Precision::three_tf32, 2e-6, 300);
}
// Each operand is off by 2^-12 at most and by chance: products of many of them by less.
constexpr double tf32_tolerance = 1e-3;
TEST_P(MomentResidualParity, InTf32) { expect_parity<float>(Precision::tf32, tf32_tolerance, 300); }
TEST_P(MomentResidualParity, InTf32OnLargeTiles) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  expect_parity_of<float>(Precision::tf32, tf32_tolerance, 5, 1031);
}

INSTANTIATE_TEST_SUITE_P(Backends, MomentResidualParity, testing::ValuesIn(device_backends()),
                         [](const auto& test) { return backend_name(test); });

}  // namespace
}  // namespace orrery::test
