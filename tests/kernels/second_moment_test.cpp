#include "kernels/second_moment.hpp"

#include <tuple>

#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery::test {
namespace {

const Context cpu = Context::cpu();

template <class T>
struct Problem {
  Tensor<T, 2> slices;
  Tensor<T, 1> weights;
  Problem(Index slice_count, Index d)
      : slices(random_tensor<T>(1, slice_count, d)), weights(random_tensor<T>(2, slice_count)) {
    for (T& z : weights.view()) z = z * z;  // weights are not negative
  }
};

template <class T>
struct Moments {
  Tensor<T, 1> first;
  Tensor<T, 2> second;
};

template <class T>
Moments<T> forward(const Context& ctx, const Problem<T>& problem) {
  const Index d = problem.slices.extent(1);
  Moments<T> m{Tensor<T, 1>(ctx, d), Tensor<T, 2>(ctx, d, d)};
  weighted_moments_forward<T>(ctx, upload(ctx, problem.slices), upload(ctx, problem.weights),
                              m.first, m.second);
  return {download(ctx, m.first), download(ctx, m.second)};
}

/// m1[d] = sum_j z_j h_j[d],  m2[d,e] = sum_j z_j h_j[d] h_j[e], by loops in double.
template <class T>
Moments<double> direct_sums(const Problem<T>& problem) {
  const Index slice_count = problem.slices.extent(0), d = problem.slices.extent(1);
  Moments<double> m{Tensor<double, 1>::zeros(cpu, d), Tensor<double, 2>::zeros(cpu, d, d)};
  for (Index j = 0; j < slice_count; ++j)
    for (Index i = 0; i < d; ++i) {
      const double zh = double(problem.weights(j)) * problem.slices(j, i);
      m.first(i) += zh;
      for (Index e = 0; e < d; ++e) m.second(i, e) += zh * problem.slices(j, e);
    }
  return m;
}

/// Slice counts and dimensions: one, smaller than a tile, prime, larger than a tile.
const std::pair<Index, Index> sizes[] = {{1, 1}, {3, 5}, {7, 49}, {31, 121}, {130, 169}, {17, 289}};

TEST(WeightedMoments, OfTwoSlicesByHand) {
  Problem<double> problem(2, 2);
  const double h[] = {1, 2, 3, -1}, z[] = {0.5, 2};
  std::copy_n(h, 4, problem.slices.data());
  std::copy_n(z, 2, problem.weights.data());
  const auto m = forward(cpu, problem);
  // 0.5 (1,2) + 2 (3,-1);  0.5 (1,2)(1,2)^T + 2 (3,-1)(3,-1)^T
  EXPECT_NEAR(m.first(0), 6.5, 1e-15);
  EXPECT_NEAR(m.first(1), -1, 1e-15);
  EXPECT_NEAR(m.second(0, 0), 18.5, 1e-14);
  EXPECT_NEAR(m.second(0, 1), -5, 1e-14);
  EXPECT_NEAR(m.second(1, 0), -5, 1e-14);
  EXPECT_NEAR(m.second(1, 1), 4, 1e-14);
}

TEST(WeightedMoments, AreTheDirectSums) {
  for (auto [slice_count, d] : sizes) {
    const Problem<double> problem(slice_count, d);
    const auto m = forward(cpu, problem), expected = direct_sums(problem);
    EXPECT_LT(relative_difference(m.first, expected.first), 1e-14) << slice_count << " x " << d;
    EXPECT_LT(relative_difference(m.second, expected.second), 1e-14) << slice_count << " x " << d;
  }
}

TEST(WeightedMoments, InSinglePrecisionAreExactToRounding) {
  const Problem<float> problem(1200, 625);
  const auto m = forward(cpu, problem);
  const auto expected = direct_sums(problem);
  EXPECT_LT(relative_difference(m.first, expected.first), 1e-6);
  EXPECT_LT(relative_difference(m.second, expected.second), 1e-6);
}

template <class T>
void expect_symmetric(const Tensor<T, 2>& m) {
  for (Index i = 0; i < m.extent(0); ++i)
    for (Index e = 0; e < i; ++e) ASSERT_EQ(m(i, e), m(e, i)) << i << ", " << e;
}

TEST(WeightedMoments, AreSymmetricBitForBit) {
  expect_symmetric(forward(cpu, Problem<float>(65, 289)).second);
}

TEST(WeightedMoments, DoNotDependOnTheNumberOfThreads) {
  const Problem<float> problem(257, 361);
  const auto one = forward(Context::cpu(1), problem), three = forward(Context::cpu(3), problem);
  EXPECT_EQ(relative_difference(three.first, one.first), 0);
  EXPECT_EQ(relative_difference(three.second, one.second), 0);
}

template <class T>
struct Gradients {
  Tensor<T, 2> slices;
  Tensor<T, 1> weights;
};

/// A first residual and a symmetric second one, as backward takes them.
template <class T>
struct Residuals {
  T a = T(0.7), b = T(-1.3);
  Tensor<T, 1> first;
  Tensor<T, 2> second;
  explicit Residuals(Index d) : first(random_tensor<T>(3, d)), second(random_tensor<T>(4, d, d)) {
    for (Index i = 0; i < d; ++i)
      for (Index e = 0; e < i; ++e) second(i, e) = second(e, i);
  }
};

template <class T>
Gradients<T> backward(const Context& ctx, const Problem<T>& problem, const Residuals<T>& r) {
  Gradients<T> g{Tensor<T, 2>(ctx, problem.slices.extent(0), problem.slices.extent(1)),
                 Tensor<T, 1>(ctx, problem.slices.extent(0))};
  weighted_moments_backward<T>(ctx, upload(ctx, problem.slices), upload(ctx, problem.weights), r.a,
                               upload(ctx, r.first), r.b, upload(ctx, r.second), g.slices,
                               g.weights);
  return {download(ctx, g.slices), download(ctx, g.weights)};
}

TEST(WeightedMoments, BackwardIsTheGradient) {
  for (auto [slice_count, d] : sizes) {
    Problem<double> problem(slice_count, d);
    for (double& z : problem.weights.view()) z += 0.1;  // room for the differences
    const Residuals<double> r(d);
    const auto gradient = backward(cpu, problem, r);
    // The scalar whose gradient backward gives: a dm1 . m1 + b <dm2, m2>.
    auto f = [&] {
      const auto m = forward(cpu, problem);
      return r.a * inner_product(r.first.view(), m.first.view()) +
             r.b * inner_product(r.second.view().flat(), m.second.view().flat());
    };
    expect_gradient(f, problem.slices.view().flat(), gradient.slices.view().flat());
    expect_gradient(f, problem.weights.view(), gradient.weights.view());
  }
}

TEST(WeightedMoments, RejectWrongShapes) {
  Tensor<float, 2> slices(cpu, 3, 4), m2(cpu, 4, 4), wrong2(cpu, 3, 3);
  Tensor<float, 1> weights(cpu, 3), m1(cpu, 4);
  auto forward_with = [&](auto& s, auto& z, auto& first, auto& second) {
    weighted_moments_forward<float>(cpu, s, z, first, second);
  };
  EXPECT_THROW(forward_with(slices, m1, m1, m2), std::invalid_argument);
  EXPECT_THROW(forward_with(slices, weights, weights, m2), std::invalid_argument);
  EXPECT_THROW(forward_with(slices, weights, m1, wrong2), std::invalid_argument);
  auto backward_with = [&](auto& z, auto& dm1, auto& dm2, auto& dslices, auto& dweights) {
    weighted_moments_backward<float>(cpu, slices, z, 1, dm1, 1, dm2, dslices, dweights);
  };
  EXPECT_THROW(backward_with(m1, m1, m2, slices, weights), std::invalid_argument);
  EXPECT_THROW(backward_with(weights, weights, m2, slices, weights), std::invalid_argument);
  EXPECT_THROW(backward_with(weights, m1, wrong2, slices, weights), std::invalid_argument);
  EXPECT_THROW(backward_with(weights, m1, m2, m2, weights), std::invalid_argument);
  EXPECT_THROW(backward_with(weights, m1, m2, slices, m1), std::invalid_argument);
}

class WeightedMomentsParity : public testing::TestWithParam<BackendUnderTest> {
 protected:
  template <class T>
  void expect_parity(double tolerance) {
    ORRERY_REQUIRE_BACKEND(GetParam());
    const Context device = make_context(GetParam());
    for (auto [slice_count, d] : sizes) {
      const Problem<T> problem(slice_count, d);
      const Residuals<T> r(d);
      const auto expected = forward(cpu, problem), found = forward(device, problem);
      const auto expected_gradients = backward(cpu, problem, r),
                 found_gradients = backward(device, problem, r);
      SCOPED_TRACE(testing::Message() << slice_count << " slices of dimension " << d);
      EXPECT_LT(relative_difference(found.first, expected.first), tolerance);
      EXPECT_LT(relative_difference(found.second, expected.second), tolerance);
      expect_symmetric(found.second);
      EXPECT_LT(relative_difference(found_gradients.slices, expected_gradients.slices), tolerance);
      EXPECT_LT(relative_difference(found_gradients.weights, expected_gradients.weights),
                tolerance);
    }
  }
};

TEST_P(WeightedMomentsParity, MatchTheCpuInSinglePrecision) { expect_parity<float>(2e-6); }
TEST_P(WeightedMomentsParity, MatchTheCpuInDoublePrecision) { expect_parity<double>(1e-13); }

INSTANTIATE_TEST_SUITE_P(Backends, WeightedMomentsParity, testing::ValuesIn(device_backends()),
                         [](const auto& test) { return backend_name(test); });

}  // namespace
}  // namespace orrery::test
