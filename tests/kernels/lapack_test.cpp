#include "kernels/lapack.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/support/compare.hpp"

namespace orrery::test {
namespace {

const Context cpu = Context::cpu(1);

TEST(SymmetricEigenvectors, ByHand) {
  // (2 1; 1 2) has 1 along (1, -1) and 3 along (1, 1).
  Tensor<double, 2> a(cpu, 2, 2);
  a(0, 0) = a(1, 1) = 2, a(0, 1) = a(1, 0) = 1;
  Tensor<double, 1> values(cpu, 2);
  symmetric_eigenvectors(a, values);
  EXPECT_NEAR(values(0), 1, 1e-14);
  EXPECT_NEAR(values(1), 3, 1e-14);
  EXPECT_NEAR(a(0, 0), -a(0, 1), 1e-14);
  EXPECT_NEAR(a(1, 0), a(1, 1), 1e-14);
  EXPECT_NEAR(std::abs(a(1, 0)), std::sqrt(0.5), 1e-14);
}

/// A v_k = values_k v_k, v_k . v_l = 0 or 1.
TEST(SymmetricEigenvectors, AreSo) {
  for (const Index n : {1, 7, 53}) {
    auto a = random_tensor<double>(n, n, n);
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < i; ++j) a(i, j) = a(j, i);
    auto v = tensor_like<double>(cpu, a.view());
    copy<double, 2>(cpu, a, v);
    Tensor<double, 1> values(cpu, n);
    symmetric_eigenvectors(v, values);
    for (Index k = 0; k < n; ++k) {
      for (Index i = 0; i < n; ++i)
        EXPECT_NEAR(inner_product(a.view()[i], v.view()[k]), values(k) * v(k, i), 1e-12);
      for (Index l = 0; l < n; ++l)
        EXPECT_NEAR(inner_product(v.view()[k], v.view()[l]), k == l, 1e-12);
    }
    EXPECT_TRUE(std::is_sorted(values.view().begin(), values.view().end()));
  }
}

template <class T>
class OrthonormalRows : public testing::Test {};
using Numbers = testing::Types<float, double>;
TYPED_TEST_SUITE(OrthonormalRows, Numbers);

/// They are orthonormal, and each old row is the sum of its components along them.
TYPED_TEST(OrthonormalRows, SpanWhatTheRowsSpanned) {
  using T = TypeParam;
  const double tolerance = 30 * std::numeric_limits<T>::epsilon();
  for (const auto& [count, length] : {std::pair<Index, Index>{1, 1}, {5, 5}, {70, 131}}) {
    const auto old = random_tensor<T>(count, count, length);
    auto rows = tensor_like<T>(cpu, old.view());
    copy<T, 2>(cpu, old, rows);
    orthonormalise_rows<T>(rows);
    for (Index k = 0; k < count; ++k)
      for (Index l = 0; l < count; ++l)
        EXPECT_NEAR(inner_product(rows.view()[k], rows.view()[l]), k == l, tolerance);
    for (Index k = 0; k < count; ++k) {
      double inside = 0;
      for (Index l = 0; l < count; ++l)
        inside += std::pow(inner_product(old.view()[k], rows.view()[l]), 2);
      const double whole = inner_product(old.view()[k], old.view()[k]);
      EXPECT_NEAR(inside, whole, tolerance * whole);
    }
  }
}

TEST(Lapack, RefusesWrongShapes) {
  Tensor<double, 2> a(cpu, 3, 2);
  Tensor<double, 1> values(cpu, 3);
  EXPECT_THROW(symmetric_eigenvectors(a, values), std::invalid_argument);
  EXPECT_THROW(orthonormalise_rows<double>(a), std::invalid_argument);
}

}  // namespace
}  // namespace orrery::test
