#include "kernels/reduce.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

using test::random_tensor;

TEST(Reduce, ThreeNumbersByHand) {
  const Context ctx = Context::cpu(1);
  const double x[] = {1, -4, 2}, y[] = {3, 1, 5};
  const View<const double, 1> a(x, 3), b(y, 3);
  EXPECT_EQ(sum<double>(ctx, a), -1);
  EXPECT_EQ(dot<double>(ctx, a, b), 9);
  EXPECT_EQ(squared_norm<double>(ctx, a), 21);
  EXPECT_EQ(squared_distance<double>(ctx, a, b), 38);
  EXPECT_EQ(largest_magnitude<double>(ctx, a), 4);
}

class ReduceOnBackends : public ::testing::TestWithParam<test::BackendUnderTest> {};
INSTANTIATE_TEST_SUITE_P(, ReduceOnBackends, ::testing::ValuesIn(test::all_backends()),
                         test::backend_name);

template <class T>
void expect_reductions_agree(const Context& ctx, Index count) {
  const auto x = random_tensor<T>(1, count), y = random_tensor<T>(2, count);
  // sum_i x_i, sum_i x_i y_i, sum_i x_i^2, sum_i (x_i - y_i)^2, max_i |x_i| in extended precision.
  long double total = 0, product = 0, norm = 0, distance = 0, largest = 0;
  for (Index i = 0; i < count; ++i) {
    const long double a = x(i), b = y(i);
    total += a;
    product += a * b;
    norm += a * a;
    distance += (a - b) * (a - b);
    largest = std::max(largest, std::abs(a));
  }
  // Random signs cancel: errors are compared with what was added, about `count`.
  const double tolerance = 1e-14 * count;
  const auto on_x = upload(ctx, x), on_y = upload(ctx, y);
  EXPECT_NEAR(sum<T>(ctx, on_x), double(total), tolerance);
  EXPECT_NEAR(dot<T>(ctx, on_x, on_y), double(product), tolerance);
  EXPECT_NEAR(squared_norm<T>(ctx, on_x), double(norm), tolerance);
  Tensor<double, 1> kept(ctx, 1);
  squared_norm<T>(ctx, on_x, kept);
  EXPECT_EQ(download(ctx, kept)(0), squared_norm<T>(ctx, on_x));
  EXPECT_NEAR(squared_distance<T>(ctx, on_x, on_y), double(distance), tolerance);
  EXPECT_EQ(largest_magnitude<T>(ctx, on_x), double(largest));
}

TEST_P(ReduceOnBackends, AgreesWithDirectSums) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  for (const Index count : {1, 2, 31, 33, 257, 8191, 8193, 16384, 50021}) {
    SCOPED_TRACE(count);
    expect_reductions_agree<float>(ctx, count);
    expect_reductions_agree<double>(ctx, count);
  }
}

// More blocks than one block has threads: what they found is reduced by a block again.
TEST_P(ReduceOnBackends, AddsWhatManyBlocksFound) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  Tensor<float, 1> ones(Context::cpu(1), 300 * 8192 + 1);
  for (float& one : ones.view()) one = 1;
  EXPECT_EQ(sum<float>(ctx, upload(ctx, ones)), double(ones.size()));
}

// products[r,k] = sum_i x[r,i] y[k,i] in extended precision; rows as long as a part of a block, and
// as several.
template <class T>
void expect_inner_products(const Context& ctx, Index rows, Index columns, Index count) {
  const auto x = random_tensor<T>(1, rows, count), y = random_tensor<T>(2, columns, count);
  const auto products = inner_products<T>(ctx, upload(ctx, x), upload(ctx, y));
  ASSERT_EQ(products.extent(0), rows);
  ASSERT_EQ(products.extent(1), columns);
  for (Index r = 0; r < rows; ++r)
    for (Index k = 0; k < columns; ++k) {
      long double expected = 0;
      for (Index i = 0; i < count; ++i)
        expected += static_cast<long double>(x(r, i)) * static_cast<long double>(y(k, i));
      EXPECT_NEAR(products(r, k), double(expected), 1e-14 * count) << r << ", " << k;
    }
}

TEST_P(ReduceOnBackends, InnerProductsOfAllRows) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  for (const Index count : {1, 33, 8193, 16411}) {
    SCOPED_TRACE(count);
    expect_inner_products<float>(ctx, 7, 2, count);
    expect_inner_products<double>(ctx, 3, 5, count);
  }
  EXPECT_EQ(inner_products<float>(ctx, View<const float, 2>(nullptr, 0, 5),
                                  upload(ctx, random_tensor<float>(1, 2, 5)))
                .size(),
            0);
}

TEST_P(ReduceOnBackends, NothingGivesZero) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  const View<const float, 1> nothing(nullptr, 0);
  EXPECT_EQ(sum<float>(ctx, nothing), 0);
  EXPECT_EQ(dot<float>(ctx, nothing, nothing), 0);
  EXPECT_EQ(squared_norm<float>(ctx, nothing), 0);
  EXPECT_EQ(squared_distance<float>(ctx, nothing, nothing), 0);
  EXPECT_EQ(largest_magnitude<float>(ctx, nothing), 0);
}

// A NaN must reach the result from any lane, warp and block, and infinity must not hide it.
TEST_P(ReduceOnBackends, LargestMagnitudeReportsNan) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  const Index count = 20011;
  for (const Index where : {0, 1, 31, 32, 255, 5003, 8191, 8192, 20010}) {
    auto x = random_tensor<float>(1, count);
    x(7) = -std::numeric_limits<float>::infinity();
    EXPECT_EQ(largest_magnitude<float>(ctx, upload(ctx, x)), INFINITY);
    x(where) = std::numeric_limits<float>::quiet_NaN();
    EXPECT_TRUE(std::isnan(largest_magnitude<float>(ctx, upload(ctx, x)))) << "NaN at " << where;
  }
}

TEST_P(ReduceOnBackends, FloatsAreAddedInDouble) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  // 1 beside 2^24 - 1 numbers' worth of float's resolution: lost in float, exact in double.
  Tensor<float, 1> x(Context::cpu(1), 40000);
  for (float& value : x.view()) value = 1;
  x(0) = 67108864;  // 2^26
  EXPECT_EQ(sum<float>(ctx, upload(ctx, x)), 67108864.0 + 39999);
}

TEST(Reduce, DoesNotDependOnTheNumberOfThreads) {
  const auto x = random_tensor<float>(1, 100003), y = random_tensor<float>(2, 100003);
  const double expected = dot<float>(Context::cpu(1), x, y);
  for (const int threads : {2, 3, 7}) EXPECT_EQ(dot<float>(Context::cpu(threads), x, y), expected);
}

TEST(Reduce, RejectsDifferentLengths) {
  const Context ctx = Context::cpu(1);
  const auto x = random_tensor<float>(1, 3), y = random_tensor<float>(2, 4);
  EXPECT_THROW(dot<float>(ctx, x, y), std::invalid_argument);
  EXPECT_THROW(squared_distance<float>(ctx, x, y), std::invalid_argument);
  EXPECT_THROW(
      inner_products<float>(ctx, random_tensor<float>(1, 2, 3), random_tensor<float>(2, 2, 4)),
      std::invalid_argument);
}

}  // namespace
}  // namespace orrery
