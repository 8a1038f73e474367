#include "kernels/cholesky.hpp"

#include <limits>

#include "tests/support/compare.hpp"

namespace orrery::test {
namespace {

const Context cpu = Context::cpu(1);

/// B^T B + 0.1, positive definite.
Tensor<double, 2> positive_matrix(Index n, std::uint64_t seed) {
  const auto b = random_tensor<double>(seed, n, n);
  auto a = Tensor<double, 2>::zeros(cpu, n, n);
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j) {
      for (Index k = 0; k < n; ++k) a(i, j) += b(k, i) * b(k, j);
      if (i == j) a(i, j) += 0.1;
    }
  return a;
}

TEST(Cholesky, FactorsByHand) {
  // (4 2; 2 10) = (2 0; 1 3) (2 1; 0 3); below the diagonal nothing is read or written.
  Tensor<double, 2> a(cpu, 2, 2);
  a(0, 0) = 4, a(0, 1) = 2, a(1, 0) = 77, a(1, 1) = 10;
  ASSERT_TRUE(cholesky_factor(a));
  EXPECT_EQ(a(0, 0), 2);
  EXPECT_EQ(a(0, 1), 1);
  EXPECT_EQ(a(1, 0), 77);
  EXPECT_EQ(a(1, 1), 3);

  // (4 2; 2 10) x = (10, 23) has the solution (3/2, 2).
  Tensor<double, 1> b(cpu, 2);
  b(0) = 10, b(1) = 23;
  cholesky_solve(a, b);
  EXPECT_DOUBLE_EQ(b(0), 1.5);
  EXPECT_DOUBLE_EQ(b(1), 2);
}

TEST(Cholesky, SolvesSystemsOfAnySize) {
  for (Index n : {0, 1, 3, 17, 82, 131}) {
    const auto a = positive_matrix(n, 5 + n);
    const auto x = random_tensor<double>(6 + n, n);
    auto b = Tensor<double, 1>::zeros(cpu, n);
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < n; ++j) b(i) += a(i, j) * x(j);
    auto factor = tensor_like<double>(cpu, a.view());
    copy(cpu, a.view(), factor.view());
    ASSERT_TRUE(cholesky_factor(factor));
    cholesky_solve(factor, b);
    EXPECT_LT(relative_difference(b, x), 1e-10) << "n = " << n;
  }
}

TEST(Cholesky, RefusesWhatIsNotPositiveDefinite) {
  auto indefinite = positive_matrix(9, 3);
  indefinite(8, 8) = -1;
  EXPECT_FALSE(cholesky_factor(indefinite));

  auto singular = Tensor<double, 2>::zeros(cpu, 3, 3);
  EXPECT_FALSE(cholesky_factor(singular));

  for (double wrong :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    auto not_finite = positive_matrix(9, 3);
    not_finite(2, 5) = wrong;
    EXPECT_FALSE(cholesky_factor(not_finite));
  }
}

TEST(Cholesky, RejectsWhatDoesNotFit) {
  Tensor<double, 2> oblong(cpu, 3, 4), square(cpu, 3, 3);
  Tensor<double, 1> b(cpu, 4);
  EXPECT_THROW((void)cholesky_factor(oblong), std::invalid_argument);
  EXPECT_THROW(cholesky_solve(square, b), std::invalid_argument);
}

}  // namespace
}  // namespace orrery::test
