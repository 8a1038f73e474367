#include "moments/leading_eigenpairs.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/lapack.hpp"
#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery::test {
namespace {

const Context cpu = Context::cpu(1);

/// Vectors, not orthogonal, under strengths that fall by a factor each, every third one negative.
template <class T>
struct Factors {
  Tensor<T, 2> vectors;
  Tensor<T, 1> strengths;

  Factors(Index count, Index d, double factor)
      : vectors(random_tensor<T>(count, count, d)), strengths(cpu, count) {
    for (Index k = 0; k < count; ++k)
      strengths(k) = static_cast<T>(std::pow(factor, k) * (k % 3 == 2 ? -1 : 1));
  }

  /// A_ij = sum_k s_k f_ki f_kj
  Tensor<T, 2> matrix() const {
    const Index d = vectors.extent(1);
    auto a = Tensor<T, 2>::zeros(cpu, d, d);
    for (Index k = 0; k < strengths.size(); ++k)
      for (Index i = 0; i < d; ++i)
        for (Index j = 0; j < d; ++j) a(i, j) += strengths(k) * vectors(k, i) * vectors(k, j);
    return a;
  }
};

/// Eigenvalues by falling magnitude, and what is left of the matrix without the first of them.
struct Spectrum {
  std::vector<double> values;
  explicit Spectrum(const Tensor<double, 2>& matrix) {
    auto a = tensor_like<double>(cpu, matrix.view());
    copy<double, 2>(cpu, matrix, a);
    Tensor<double, 1> all(cpu, matrix.extent(0));
    symmetric_eigenvectors(a, all);
    values.assign(all.view().begin(), all.view().end());
    std::ranges::sort(values, std::greater<>{}, [](double x) { return std::abs(x); });
  }
  double without(Index count) const {
    double squared = 0;
    for (std::size_t k = count; k < values.size(); ++k) squared += values[k] * values[k];
    return std::sqrt(squared);
  }
};

/// ||A - sum_k values_k v_k v_k^T|| by its definition.
double remainder_of(const Tensor<double, 2>& a, const Eigenpairs<double>& pairs) {
  double squared = 0;
  for (Index i = 0; i < a.extent(0); ++i)
    for (Index j = 0; j < a.extent(0); ++j) {
      double left = a(i, j);
      for (Index k = 0; k < pairs.values.size(); ++k)
        left -= pairs.values(k) * pairs.vectors(k, i) * pairs.vectors(k, j);
      squared += left * left;
    }
  return std::sqrt(squared);
}

void expect_orthonormal(const Tensor<double, 2>& vectors) {
  for (Index k = 0; k < vectors.extent(0); ++k)
    for (Index l = 0; l < vectors.extent(0); ++l)
      EXPECT_NEAR(inner_product(vectors.view()[k], vectors.view()[l]), k == l, 1e-12);
}

/// Few dimensions or a low rank: the pairs are the matrix's own.
TEST(LeadingEigenpairs, AreThoseOfTheWholeSpectrum) {
  for (const auto& [factors, d] : {std::pair<Index, Index>{9, 13}, {20, 61}}) {
    const Factors<double> given(factors, d, 0.7);
    const auto a = given.matrix();
    const Spectrum spectrum(a);
    for (const Index count : {1, 5}) {
      for (const auto& pairs :
           {leading_eigenpairs<double>(cpu, a, count),
            leading_eigenpairs<double>(cpu, {given.vectors, given.strengths}, count)}) {
        expect_orthonormal(pairs.vectors);
        for (Index k = 0; k < count; ++k) {
          EXPECT_NEAR(pairs.values(k), spectrum.values[k], 1e-10 * std::abs(spectrum.values[0]));
          for (Index i = 0; i < d; ++i)
            EXPECT_NEAR(inner_product(a.view()[i], pairs.vectors.view()[k]),
                        pairs.values(k) * pairs.vectors(k, i), 1e-9 * std::abs(spectrum.values[0]));
        }
        EXPECT_NEAR(pairs.remainder_norm, spectrum.without(count), 1e-9 * spectrum.without(count));
      }
    }
  }
}

/// A spectrum that falls slowly, over many more dimensions than vectors are carried along.
TEST(LeadingEigenpairs, LeaveOutLittleMoreThanTheyMust) {
  const Factors<double> given(120, 131, 0.97);
  const auto a = given.matrix();
  const Spectrum spectrum(a);
  for (const Index count : {4, 30}) {
    const auto of_matrix = leading_eigenpairs<double>(cpu, a, count);
    const auto of_factors =
        leading_eigenpairs<double>(cpu, {given.vectors, given.strengths}, count);
    EXPECT_LT(of_matrix.remainder_norm, 1.03 * spectrum.without(count));
    EXPECT_GT(of_matrix.remainder_norm, (1 - 1e-12) * spectrum.without(count));
    EXPECT_NEAR(of_factors.remainder_norm, of_matrix.remainder_norm,
                1e-9 * of_matrix.remainder_norm);
    EXPECT_NEAR(of_matrix.remainder_norm, remainder_of(a, of_matrix),
                1e-10 * of_matrix.remainder_norm);
    // <F, R> = 0: ||A||^2 = ||F||^2 + ||R||^2
    double squared = std::pow(of_matrix.remainder_norm, 2);
    for (const double value : of_matrix.values.view()) squared += value * value;
    EXPECT_NEAR(std::sqrt(squared), spectrum.without(0), 1e-12 * spectrum.without(0));
  }
}

/// The remainder is known in single precision too, where it is a thousandth of the matrix.
TEST(LeadingEigenpairs, KnowSmallRemaindersInSinglePrecision) {
  const Factors<double> exact(40, 61, 0.6);
  const Factors<float> given(40, 61, 0.6);
  const Spectrum spectrum(exact.matrix());
  constexpr Index count = 14;
  ASSERT_LT(spectrum.without(count), 2e-3 * spectrum.without(0));
  const double expected = spectrum.without(count);
  const auto a = given.matrix();
  EXPECT_NEAR((leading_eigenpairs<float>(cpu, a, count).remainder_norm), expected, 1e-2 * expected);
  EXPECT_NEAR(
      (leading_eigenpairs<float>(cpu, {given.vectors, given.strengths}, count).remainder_norm),
      expected, 1e-2 * expected);
}

TEST(SquaredNorm, OfFactorsIsThatOfTheirMatrix) {
  for (const Index count : {7, 1031}) {
    const Factors<double> given(count, 11, 0.999);
    const auto a = given.matrix();
    const double expected = inner_product(a.view().flat(), a.view().flat());
    EXPECT_NEAR((squared_norm<double>(cpu, {given.vectors, given.strengths})), expected,
                1e-12 * expected);
  }
}

TEST(LeadingEigenpairs, RefuseWrongShapes) {
  const auto a = random_tensor<double>(1, 5, 5), wide = random_tensor<double>(1, 5, 6);
  const auto strengths = random_tensor<double>(1, 4);
  EXPECT_THROW(leading_eigenpairs<double>(cpu, wide, 2), std::invalid_argument);
  EXPECT_THROW(leading_eigenpairs<double>(cpu, a, 0), std::invalid_argument);
  EXPECT_THROW(leading_eigenpairs<double>(cpu, a, 6), std::invalid_argument);
  EXPECT_THROW(leading_eigenpairs<double>(cpu, {wide, strengths}, 2), std::invalid_argument);
  EXPECT_THROW((squared_norm<double>(cpu, {wide, strengths})), std::invalid_argument);
}

class LeadingEigenpairsOn : public testing::TestWithParam<BackendUnderTest> {};

TEST_P(LeadingEigenpairsOn, AreTheSame) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = make_context(GetParam());
  const Factors<double> given(25, 37, 0.8);
  const auto a = given.matrix();
  const auto expected = leading_eigenpairs<double>(cpu, a, 3);
  const auto vectors = upload(ctx, given.vectors);
  const auto strengths = upload(ctx, given.strengths);
  for (const auto& found : {leading_eigenpairs<double>(ctx, a, 3),
                            leading_eigenpairs<double>(ctx, {vectors, strengths}, 3)}) {
    EXPECT_LT(relative_difference(download(ctx, found.values), expected.values), 1e-10);
    EXPECT_LT(relative_difference(download(ctx, found.vectors), expected.vectors), 1e-8);
    EXPECT_NEAR(found.remainder_norm, expected.remainder_norm, 1e-10 * expected.remainder_norm);
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, LeadingEigenpairsOn, testing::ValuesIn(device_backends()),
                         backend_name);

}  // namespace
}  // namespace orrery::test
