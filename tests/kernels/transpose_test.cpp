#include "kernels/transpose.hpp"

#include <gtest/gtest.h>

#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

// to[j,i] = from[i,j], for a number alone, lines, whole tiles, and tiles that are cut.
template <class T>
void expect_transposed(const Context& ctx) {
  constexpr Index sizes[][2] = {{1, 1}, {1, 77}, {50, 1}, {3, 2}, {32, 64}, {33, 129}, {256, 205}};
  for (const auto& [rows, columns] : sizes) {
    const auto from = test::random_tensor<T>(1, rows, columns);
    Tensor<T, 2> turned(ctx, columns, rows);
    transpose<T>(ctx, upload(ctx, from), turned);
    const auto to = download(ctx, turned);
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < columns; ++j)
        ASSERT_EQ(to(j, i), from(i, j)) << rows << " x " << columns;
  }
}

class Transposition : public testing::TestWithParam<test::BackendUnderTest> {};
INSTANTIATE_TEST_SUITE_P(, Transposition, testing::ValuesIn(test::all_backends()),
                         test::backend_name);

TEST_P(Transposition, PutsEveryNumberAcrossTheDiagonal) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  expect_transposed<float>(test::make_context(GetParam()));
  expect_transposed<double>(test::make_context(GetParam()));
}

TEST(Transpose, RejectsOtherShapes) {
  const Context ctx = Context::cpu(1);
  const auto from = test::random_tensor<float>(1, 3, 4);
  Tensor<float, 2> same(ctx, 3, 4), longer(ctx, 4, 4);
  EXPECT_THROW(transpose<float>(ctx, from, same), std::invalid_argument);
  EXPECT_THROW(transpose<float>(ctx, from, longer), std::invalid_argument);
}

TEST(Transpose, OfNothingIsNothing) {
  const Context ctx = Context::cpu(1);
  Tensor<float, 2> none(ctx, 0, 4), turned(ctx, 4, 0);
  transpose<float>(ctx, none, turned);
}

}  // namespace
}  // namespace orrery
