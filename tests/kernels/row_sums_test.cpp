#include "kernels/row_sums.hpp"

#include <gtest/gtest.h>

#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

using test::random_tensor;

const Context cpu = Context::cpu(2);

TEST(RowSums, TwoRowsByHand) {
  Tensor<float, 2> rows(cpu, 2, 3);
  rows(0, 0) = 1, rows(0, 1) = 2, rows(0, 2) = 3;
  rows(1, 0) = -4, rows(1, 1) = 5, rows(1, 2) = 6;
  auto sums = Tensor<double, 1>::zeros(cpu, 3), products = Tensor<double, 1>::zeros(cpu, 6);
  add_rows(cpu, rows, sums);
  add_row_products(cpu, rows, products);
  EXPECT_EQ(std::vector(sums.view().begin(), sums.view().end()), (std::vector<double>{-3, 7, 9}));
  EXPECT_EQ(std::vector(products.view().begin(), products.view().end()),
            (std::vector<double>{17, -18, -21, 29, 36, 45}));
}

TEST(RowSums, EveryPairOfATriangleHasItsPlace) {
  Index place = 0;
  for (Index i = 0; i < 7; ++i)
    for (Index j = i; j < 7; ++j) EXPECT_EQ(packed_index(7, i, j), place++);
  EXPECT_EQ(place, packed_size(7));
}

// sums[i] = sum_r rows[r,i],   products[i,j] = sum_r rows[r,i] rows[r,j]
void expect_definition(const Context& ctx, Index count, Index n, Index block) {
  const auto rows = random_tensor<float>(17, count, n);
  auto sums = Tensor<double, 1>::zeros(ctx, n);
  auto products = Tensor<double, 1>::zeros(ctx, packed_size(n));
  for (Index first = 0; first < count; first += block) {
    const auto some = upload(ctx, rows.view().rows(first, std::min(block, count - first)));
    add_rows(ctx, some, sums);
    add_row_products(ctx, some, products);
  }
  auto expected_sums = Tensor<double, 1>::zeros(cpu, n);
  auto expected = Tensor<double, 1>::zeros(cpu, packed_size(n));
  for (Index r = 0; r < count; ++r)
    for (Index i = 0; i < n; ++i) {
      expected_sums(i) += double(rows(r, i));
      for (Index j = i; j < n; ++j)
        expected(packed_index(n, i, j)) += double(rows(r, i)) * double(rows(r, j));
    }
  EXPECT_LT(test::relative_difference(download(ctx, sums), expected_sums), 1e-12);
  EXPECT_LT(test::relative_difference(download(ctx, products), expected), 2e-6);
}

TEST(RowSums, AreTheDefinition) {
  expect_definition(cpu, 1, 1, 1);
  expect_definition(cpu, 301, 61, 100);
  expect_definition(cpu, 130, 700, 130);  // several tiles, none of them whole
}

TEST(RowSums, DoNotDependOnTheThreads) {
  const auto rows = random_tensor<float>(4, 500, 301);
  const auto sums_with = [&](int threads) {
    auto sums = Tensor<double, 1>::zeros(cpu, 301 + packed_size(301));
    add_rows(Context::cpu(threads), rows, View<double, 1>(sums.data(), 301));
    add_row_products(Context::cpu(threads), rows,
                     View<double, 1>(sums.data() + 301, packed_size(301)));
    return std::vector(sums.view().begin(), sums.view().end());
  };
  EXPECT_EQ(sums_with(1), sums_with(2));
  EXPECT_EQ(sums_with(1), sums_with(5));
}

TEST(RowSums, NoRowsAddNothing) {
  auto sums = Tensor<double, 1>::zeros(cpu, 3), products = Tensor<double, 1>::zeros(cpu, 6);
  add_rows(cpu, View<const float, 2>(nullptr, 0, 3), sums);
  add_row_products(cpu, View<const float, 2>(nullptr, 0, 3), products);
  EXPECT_EQ(sums(0), 0);
}

TEST(RowSums, RefuseOtherShapes) {
  Tensor<float, 2> rows(cpu, 2, 3);
  Tensor<double, 1> sums(cpu, 6);
  EXPECT_THROW(add_rows(cpu, rows, sums), std::invalid_argument);
  EXPECT_THROW(add_row_products(cpu, rows, View<double, 1>(sums.data(), 5)), std::invalid_argument);
}

class RowSumsOnDevice : public testing::TestWithParam<test::BackendUnderTest> {};

TEST_P(RowSumsOnDevice, AreTheDefinition) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context device = test::make_context(GetParam());
  expect_definition(device, 301, 61, 100);
  expect_definition(device, 20, 1100, 20);  // two bands
}

INSTANTIATE_TEST_SUITE_P(Backends, RowSumsOnDevice, testing::ValuesIn(test::device_backends()),
                         test::backend_name);

}  // namespace
}  // namespace orrery
