#include "kernels/gemm.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <tuple>

#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

using test::random_tensor;
using test::relative_difference;

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

// C[i,j] = alpha sum_p op(A)[i,p] op(B)[p,j] + beta C[i,j], in double.
template <class T>
Tensor<T, 2> direct_product(Transpose transpose_a, Transpose transpose_b, T alpha,
                            const Tensor<T, 2>& a, const Tensor<T, 2>& b, T beta,
                            const Tensor<T, 2>& c) {
  const bool turn_a = transpose_a == Transpose::yes, turn_b = transpose_b == Transpose::yes;
  const Index k = a.extent(turn_a ? 0 : 1);
  Tensor<T, 2> result(Context::cpu(1), c.extent(0), c.extent(1));
  for (Index i = 0; i < c.extent(0); ++i)
    for (Index j = 0; j < c.extent(1); ++j) {
      double total = 0;
      for (Index p = 0; p < k; ++p)
        total += double(turn_a ? a(p, i) : a(i, p)) * double(turn_b ? b(j, p) : b(p, j));
      result(i, j) = static_cast<T>(alpha * total + (beta == 0 ? 0.0 : double(beta) * c(i, j)));
    }
  return result;
}

struct Product {
  Index m, n, k;
};

template <class T>
void expect_products_agree(const Context& ctx, Product shape, double tolerance) {
  const auto [m, n, k] = shape;
  for (const Transpose transpose_a : {Transpose::no, Transpose::yes})
    for (const Transpose transpose_b : {Transpose::no, Transpose::yes}) {
      const bool turn_a = transpose_a == Transpose::yes, turn_b = transpose_b == Transpose::yes;
      const auto a = random_tensor<T>(1, turn_a ? k : m, turn_a ? m : k);
      const auto b = random_tensor<T>(2, turn_b ? n : k, turn_b ? k : n);
      const auto c = random_tensor<T>(3, m, n);
      const auto expected = direct_product<T>(transpose_a, transpose_b, 1.5, a, b, -0.25, c);

      const auto on_a = upload(ctx, a), on_b = upload(ctx, b);
      auto on_c = upload(ctx, c);
      gemm<T>(ctx, transpose_a, transpose_b, 1.5, on_a, on_b, -0.25, on_c);
      EXPECT_LT(relative_difference(download(ctx, on_c), expected), tolerance)
          << m << " x " << n << " x " << k << ", transposes " << turn_a << turn_b;
    }
}

TEST(Gemm, TwoByTwoByHand) {
  const Context ctx = Context::cpu(1);
  double a[] = {1, 2, 3, 4}, b[] = {5, 6, 7, 8}, c[] = {1, 1, 1, 1};
  gemm<double>(ctx, Transpose::no, Transpose::no, 1, {a, 2, 2}, {b, 2, 2}, 10, {c, 2, 2});
  EXPECT_THAT(c, ::testing::ElementsAre(29, 32, 53, 60));
  gemm<double>(ctx, Transpose::yes, Transpose::no, 1, {a, 2, 2}, {b, 2, 2}, 0, {c, 2, 2});
  EXPECT_THAT(c, ::testing::ElementsAre(26, 30, 38, 44));
}

class GemmOnBackends : public ::testing::TestWithParam<test::BackendUnderTest> {};
INSTANTIATE_TEST_SUITE_P(, GemmOnBackends, ::testing::ValuesIn(test::all_backends()),
                         test::backend_name);

// Single rows and columns, primes, more than a tile in each direction, and a sum long enough to be
// shared out.
TEST_P(GemmOnBackends, AgreesWithDirectSums) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  for (const Product shape : {Product{1, 1, 1}, Product{1, 7, 3}, Product{17, 1, 5},
                              Product{13, 11, 7}, Product{131, 257, 67}, Product{530, 3, 600},
                              Product{2, 1031, 40}, Product{31, 29, 10007}, Product{520, 521, 33}})
    expect_products_agree<double>(ctx, shape, 1e-12);
  for (const Product shape : {Product{13, 11, 7}, Product{131, 257, 67}, Product{31, 29, 10007}})
    expect_products_agree<float>(ctx, shape, 1e-5);
}

TEST_P(GemmOnBackends, ZeroBetaIgnoresWhatWasThere) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  for (const Product shape : {Product{3, 4, 5}, Product{30, 30, 10000}, Product{600, 600, 40}}) {
    const auto a = random_tensor<double>(1, shape.m, shape.k);
    const auto b = random_tensor<double>(2, shape.k, shape.n);
    Tensor<double, 2> c(Context::cpu(1), shape.m, shape.n);
    for (double& x : c.view()) x = not_a_number;
    const auto expected = direct_product<double>(Transpose::no, Transpose::no, 1, a, b, 0, c);
    auto on_c = upload(ctx, c);
    gemm<double>(ctx, Transpose::no, Transpose::no, 1, upload(ctx, a), upload(ctx, b), 0, on_c);
    EXPECT_LT(relative_difference(download(ctx, on_c), expected), 1e-12);
  }
}

TEST_P(GemmOnBackends, EmptySumLeavesBetaTimesC) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  const auto c = random_tensor<double>(3, 4, 5);
  auto on_c = upload(ctx, c);
  const Tensor<double, 2> nothing(ctx, 4, 0), nothing_either(ctx, 0, 5);
  gemm<double>(ctx, Transpose::no, Transpose::no, 1, nothing, nothing_either, 2, on_c);
  const auto result = download(ctx, on_c);
  for (Index i = 0; i < c.size(); ++i) EXPECT_EQ(result.data()[i], 2 * c.data()[i]);
}

TEST_P(GemmOnBackends, SymmetricRankKIsTheWholeProduct) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  for (const auto& [k, n] : {std::pair<Index, Index>{1, 1}, {5, 7}, {64, 300}, {301, 625}}) {
    const auto a = random_tensor<double>(1, k, n);
    auto c = random_tensor<double>(2, n, n);
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < i; ++j) c(i, j) = c(j, i);
    const auto expected = direct_product<double>(Transpose::yes, Transpose::no, 0.5, a, a, 3, c);
    auto on_c = upload(ctx, c);
    symmetric_rank_k<double>(ctx, 0.5, upload(ctx, a), 3, on_c);
    EXPECT_LT(relative_difference(download(ctx, on_c), expected), 1e-12) << k << " x " << n;

    for (double& x : c.view()) x = not_a_number;
    on_c = upload(ctx, c);
    symmetric_rank_k<double>(ctx, 1, upload(ctx, a), 0, on_c);
    const auto plain = direct_product<double>(Transpose::yes, Transpose::no, 1, a, a, 0, c);
    EXPECT_LT(relative_difference(download(ctx, on_c), plain), 1e-12) << k << " x " << n;
  }
}

TEST(SymmetricRankK, IsSymmetricToTheLastBit) {
  const Context ctx = Context::cpu(2);
  const auto a = random_tensor<float>(1, 333, 401);
  Tensor<float, 2> c(ctx, 401, 401);
  symmetric_rank_k<float>(ctx, 1, a, 0, c);
  for (Index i = 0; i < 401; ++i)
    for (Index j = 0; j < i; ++j) ASSERT_EQ(c(i, j), c(j, i)) << i << ", " << j;
}

TEST(Gemm, DoesNotDependOnTheNumberOfThreads) {
  for (const Product shape : {Product{700, 650, 90}, Product{40, 50, 20000}}) {
    const auto a = random_tensor<float>(1, shape.m, shape.k);
    const auto b = random_tensor<float>(2, shape.k, shape.n);
    const auto square = random_tensor<float>(3, shape.k, shape.m);
    auto with = [&](int threads) {
      const Context ctx = Context::cpu(threads);
      Tensor<float, 2> c(ctx, shape.m, shape.n), s(ctx, shape.m, shape.m);
      gemm<float>(ctx, Transpose::no, Transpose::no, 1, a, b, 0, c);
      symmetric_rank_k<float>(ctx, 1, square, 0, s);
      return std::pair(std::move(c), std::move(s));
    };
    const auto [c1, s1] = with(1);
    for (const int threads : {2, 3, 5}) {
      const auto [c, s] = with(threads);
      EXPECT_EQ(relative_difference(c, c1), 0.0);
      EXPECT_EQ(relative_difference(s, s1), 0.0);
    }
  }
}

TEST(Gemm, RejectsShapesThatDoNotFit) {
  const Context ctx = Context::cpu(1);
  const auto a = random_tensor<float>(1, 3, 4), b = random_tensor<float>(2, 4, 5);
  auto c = random_tensor<float>(3, 3, 5);
  auto square = random_tensor<float>(4, 4, 5);
  const auto no = Transpose::no, yes = Transpose::yes;
  EXPECT_THROW(gemm<float>(ctx, yes, no, 1, a, b, 0, c), std::invalid_argument);
  EXPECT_THROW(gemm<float>(ctx, no, yes, 1, a, b, 0, c), std::invalid_argument);
  EXPECT_THROW(gemm<float>(ctx, no, no, 1, a, b, 0, square), std::invalid_argument);
  EXPECT_THROW(symmetric_rank_k<float>(ctx, 1, a, 0, square), std::invalid_argument);
  EXPECT_THROW(symmetric_rank_k<float>(ctx, 1, c, 0, square), std::invalid_argument);
}

TEST(Blas, SaysWhichLibraryItFound) {
  const std::string description = blas_description();
  const char* expected =
      blas::symbol("openblas_get_config") ? "OpenBLAS [^ ]+ [^ ]+" : "BLAS of unknown make";
  EXPECT_THAT(description, testing::MatchesRegex(expected));
  RecordProperty("blas", description);
}

TEST(Blas, MultipliesPartsOfLargerMatrices) {
  // C's middle 2 x 2 of a 4 x 4, from the left columns of A and of B.
  double a[] = {1, 2, 99, 3, 4, 99}, b[] = {1, 0, 99, 0, 1, 99}, c[16] = {};
  blas::gemm<double>(Transpose::no, Transpose::no, 2, 2, 2, 1, a, 3, b, 3, 0, c + 5, 4);
  EXPECT_THAT(c, ::testing::ElementsAre(0, 0, 0, 0, 0, 1, 2, 0, 0, 3, 4, 0, 0, 0, 0, 0));
}

}  // namespace
}  // namespace orrery
