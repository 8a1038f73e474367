#include "kernels/row_sums.hpp"

#include <gtest/gtest.h>

#include "kernels/matrix_tiles.hpp"
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

void expect_no_threads_matter(Precision precision) {
  const auto rows = random_tensor<float>(4, 500, 301);
  const auto sums_with = [&](int threads) {
    const Context ctx = Context::cpu(threads).with_precision(precision);
    auto sums = Tensor<double, 1>::zeros(cpu, 301 + packed_size(301));
    add_rows(ctx, rows, View<double, 1>(sums.data(), 301));
    add_row_products(ctx, rows, View<double, 1>(sums.data() + 301, packed_size(301)));
    return std::vector(sums.view().begin(), sums.view().end());
  };
  EXPECT_EQ(sums_with(1), sums_with(2));
  EXPECT_EQ(sums_with(1), sums_with(5));
}

TEST(RowSums, DoNotDependOnTheThreads) { expect_no_threads_matter(Precision::fp32); }

class RowSumsOnMatrixTiles : public testing::Test {
 protected:
  void SetUp() override {
    if (!tiles::available()) GTEST_SKIP() << "this processor has no matrix tiles";
  }
  const Context fast = cpu.with_precision(Precision::three_tf32);
};

/// Relative errors of the sums of products of rows, as a whole and of the diagonal's sum alone.
struct ProductErrors {
  double whole, diagonal;
};
ProductErrors product_errors(const Context& ctx, const Tensor<float, 2>& rows) {
  const Index n = rows.extent(1);
  auto sums = Tensor<double, 1>::zeros(cpu, packed_size(n));
  auto expected = Tensor<double, 1>::zeros(cpu, packed_size(n));
  add_row_products(ctx, rows, sums);
  for (Index r = 0; r < rows.extent(0); ++r)
    for (Index i = 0; i < n; ++i)
      for (Index j = i; j < n; ++j)
        expected(packed_index(n, i, j)) += double(rows(r, i)) * double(rows(r, j));
  double found_trace = 0, trace = 0;
  for (Index i = 0; i < n; ++i) {
    found_trace += sums(packed_index(n, i, i));
    trace += expected(packed_index(n, i, i));
  }
  return {test::relative_difference(sums, expected), std::abs(found_trace / trace - 1)};
}

TEST_F(RowSumsOnMatrixTiles, AreTheDefinition) {
  for (const auto& [count, n] : {std::pair<Index, Index>{1, 211}, {77, 641}, {300, 300}}) {
    const auto error = product_errors(fast, random_tensor<float>(31, count, n));
    EXPECT_LT(error.whole, 6e-6) << count << " rows of " << n;
    EXPECT_LT(error.diagonal, 1e-6) << count << " rows of " << n;
  }
}

// What all rows have in common comes out of every one of them with the same error.
TEST_F(RowSumsOnMatrixTiles, OfRowsThatAreAlikeAreAccurateToo) {
  auto rows = random_tensor<float>(5, 400, 256);
  const auto common = random_tensor<float>(6, 1, 256);
  for (Index r = 0; r < 400; ++r)
    for (Index i = 0; i < 256; ++i) rows(r, i) = 10 * common(0, i) + 0.1f * rows(r, i);
  const auto error = product_errors(fast, rows);
  EXPECT_LT(error.whole, 1e-6);
  EXPECT_LT(error.diagonal, 1e-6);
}

TEST_F(RowSumsOnMatrixTiles, BlocksAndManyRowsAddUp) {
  const auto rows = random_tensor<float>(8, 4200, 200);
  auto whole = Tensor<double, 1>::zeros(cpu, packed_size(200));
  auto parts = Tensor<double, 1>::zeros(cpu, packed_size(200));
  add_row_products(fast, rows, whole);
  for (Index first : {0, 1400, 2800}) add_row_products(fast, rows.view().rows(first, 1400), parts);
  EXPECT_LT(test::relative_difference(parts, whole), 2e-6);
}

TEST_F(RowSumsOnMatrixTiles, DoNotDependOnTheThreads) {
  expect_no_threads_matter(Precision::three_tf32);
}

TEST(RowSums, NoRowsAddNothing) {
  auto sums = random_tensor<double>(1, 3), products = random_tensor<double>(2, 6);
  add_rows(cpu, View<const float, 2>(nullptr, 0, 3), sums);
  add_row_products(cpu, View<const float, 2>(nullptr, 0, 3), products);
  EXPECT_EQ(test::relative_difference(sums, random_tensor<double>(1, 3)), 0);
  EXPECT_EQ(test::relative_difference(products, random_tensor<double>(2, 6)), 0);
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
