#include "moments/leading_eigenpairs.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <vector>

#include "kernels/check.hpp"
#include "kernels/gemm.hpp"
#include "kernels/lapack.hpp"
#include "kernels/pointwise.hpp"
#include "kernels/random.hpp"
#include "kernels/reduce.hpp"
#include "kernels/slices.hpp"
#include "kernels/transpose.hpp"

namespace orrery {

namespace {

constexpr Index vectors_on_top = 16;
constexpr int rounds = 4;

/// products[l] = A vectors[l]
template <class T>
using Multiply = std::function<void(View<const T, 2> vectors, View<T, 2> products)>;

template <class T>
void orthonormalise(const Context& ctx, Tensor<T, 2>& vectors) {
  auto host = download(ctx, vectors);
  orthonormalise_rows<T>(host);
  vectors = upload(ctx, host);
}

/// Eigenvectors of the symmetric part of a host matrix as rows, the largest magnitudes first.
struct Ranked {
  std::vector<double> values;
  std::vector<std::vector<double>> vectors;
};
template <class T>
Ranked ranked_eigenvectors(const Tensor<T, 2>& matrix, Index count) {
  const Index size = matrix.extent(0);
  Tensor<double, 2> a(Context::cpu(1), size, size);
  Tensor<double, 1> values(Context::cpu(1), size);
  for (Index i = 0; i < size; ++i)
    for (Index j = 0; j < size; ++j) a(i, j) = 0.5 * (double(matrix(i, j)) + double(matrix(j, i)));
  symmetric_eigenvectors(a, values);
  std::vector<Index> order(size);
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::greater<>{}, [&](Index k) { return std::abs(values(k)); });
  Ranked ranked;
  for (Index k = 0; k < count; ++k) {
    const auto vector = a.view()[order[k]];
    ranked.values.push_back(values(order[k]));
    ranked.vectors.emplace_back(vector.begin(), vector.end());
  }
  return ranked;
}

template <class T>
Eigenpairs<T> iterate(const Context& ctx, Index d, Index count, const Multiply<T>& multiply) {
  require(1 <= count && count <= d, "leading_eigenpairs", "there are not as many eigenvectors");
  const Index size = std::min(count + vectors_on_top, d);
  Tensor<T, 2> vectors(ctx, size, d), products(ctx, size, d);
  fill_normal<T>(ctx, 0, 0, T(0), T(1), vectors.view().flat());
  for (int round = 0; round < rounds; ++round) {
    multiply(vectors, products);
    std::swap(vectors, products);
    orthonormalise(ctx, vectors);
  }
  multiply(vectors, products);
  Tensor<T, 2> small(ctx, size, size);
  gemm<T>(ctx, Transpose::no, Transpose::yes, T(1), vectors, products, T(0), small);
  const Ranked ranked = ranked_eigenvectors(download(ctx, small), count);

  Tensor<T, 2> mixture(Context::cpu(1), count, size);
  for (Index k = 0; k < count; ++k)
    for (Index l = 0; l < size; ++l) mixture(k, l) = static_cast<T>(ranked.vectors[k][l]);
  Eigenpairs<T> pairs{Tensor<T, 2>(ctx, count, d), upload_as<T>(ctx, ranked.values)};
  gemm<T>(ctx, Transpose::no, Transpose::no, T(1), upload(ctx, mixture), vectors, T(0),
          pairs.vectors);
  return pairs;
}

/// Calls `use` with blocks of the matrix's rows on ctx's backend, one after another.
template <class T>
void by_rows(const Context& ctx, View<const T, 2> a,
             const std::function<void(Index begin, Tensor<T, 2> rows)>& use) {
  constexpr Index numbers_at_once = Index{1} << 24;
  const Index d = a.extent(0), at_once = std::clamp<Index>(numbers_at_once / d, 1, d);
  for (Index begin = 0; begin < d; begin += at_once)
    use(begin, upload(ctx, a.rows(begin, std::min(at_once, d - begin))));
}

/// x_j -= sum_k (x_j . v_k) v_k
template <class T>
void project_beside(const Context& ctx, View<const T, 2> v, View<T, 2> x) {
  Tensor<T, 2> components(ctx, x.extent(0), v.extent(0));
  gemm<T>(ctx, Transpose::no, Transpose::yes, T(1), x, v, T(0), components);
  gemm<T>(ctx, Transpose::no, Transpose::no, T(-1), components, v, T(1), x);
}

}  // namespace

template <class T>
Eigenpairs<T> leading_eigenpairs(const Context& ctx, View<const T, 2> a, Index count) {
  const Index d = a.extent(0);
  require_shape("leading_eigenpairs", "a", a, {d, d});
  Tensor<T, 2> transposed;  // products, a row of the matrix each
  auto pairs = iterate<T>(ctx, d, count, [&](View<const T, 2> vectors, View<T, 2> products) {
    const Index size = vectors.extent(0);
    if (transposed.size() == 0) transposed = Tensor<T, 2>(ctx, d, size);
    by_rows<T>(ctx, a, [&](Index begin, Tensor<T, 2> rows) {
      gemm<T>(ctx, Transpose::no, Transpose::yes, T(1), rows, vectors, T(0),
              transposed.view().rows(begin, rows.extent(0)));
    });
    transpose<T>(ctx, transposed, products);
  });

  // Rows of A, less those of sum_k values_k v_k v_k^T.
  Tensor<T, 2> weighted(ctx, count, d), factors(ctx, d, count);
  transpose<T>(ctx, pairs.vectors, factors);
  weigh_coefficients<T>(ctx, pairs.values, factors);
  double squared = 0;
  by_rows<T>(ctx, a, [&](Index begin, Tensor<T, 2> rows) {
    gemm<T>(ctx, Transpose::no, Transpose::no, T(-1),
            std::as_const(factors).view().rows(begin, rows.extent(0)), pairs.vectors, T(1), rows);
    squared += squared_norm<T>(ctx, rows.view().flat());
  });
  pairs.remainder_norm = std::sqrt(squared);
  return pairs;
}

template <class T>
Eigenpairs<T> leading_eigenpairs(const Context& ctx, FactoredMatrix<T> a, Index count) {
  const Index number = a.factors.extent(0), d = a.factors.extent(1);
  require_shape("leading_eigenpairs", "strengths", a.strengths, {number});
  const auto multiply = [&](View<const T, 2> vectors, View<T, 2> products) {
    Tensor<T, 2> components(ctx, vectors.extent(0), number);
    gemm<T>(ctx, Transpose::no, Transpose::yes, T(1), vectors, a.factors, T(0), components);
    weigh_coefficients<T>(ctx, a.strengths, components);
    gemm<T>(ctx, Transpose::no, Transpose::no, T(1), components, a.factors, T(0), products);
  };
  auto pairs = iterate<T>(ctx, d, count, multiply);

  // With P the projection beside the vectors V, the remainder is P A P and, twice over, V A P. P A
  // P has the factors' own projections as factors, so that no small number is a difference of large
  // ones.
  Tensor<T, 2> factors(ctx, number, d), products(ctx, count, d);
  copy<T, 2>(ctx, a.factors, factors);
  multiply(pairs.vectors, products);
  project_beside<T>(ctx, pairs.vectors, factors);
  project_beside<T>(ctx, pairs.vectors, products);
  const double squared = squared_norm<T>(ctx, {factors, a.strengths}) +
                         2 * squared_norm<T>(ctx, products.view().flat());
  pairs.remainder_norm = std::sqrt(squared);
  return pairs;
}

template <class T>
double squared_norm(const Context& ctx, FactoredMatrix<T> a) {
  const Index count = a.factors.extent(0);
  require_shape("squared_norm", "strengths", a.strengths, {count});
  const auto strengths = download(ctx, a.strengths);
  // The Gram matrix a block of rows at a time, from the block on the diagonal on.
  constexpr Index rows_at_once = 512;
  double squared = 0;
  for (Index begin = 0; begin < count; begin += rows_at_once) {
    const Index rows = std::min(rows_at_once, count - begin), columns = count - begin;
    Tensor<T, 2> products(ctx, rows, columns);
    gemm<T>(ctx, Transpose::no, Transpose::yes, T(1), a.factors.rows(begin, rows),
            a.factors.rows(begin, columns), T(0), products);
    const auto gram = download(ctx, products);
    for (Index k = 0; k < rows; ++k)
      for (Index l = 0; l < columns; ++l) {
        const double times = l < rows ? 1 : 2;  // beyond the diagonal's block each pair comes once
        squared += times * double(strengths(begin + k)) * double(strengths(begin + l)) *
                   double(gram(k, l)) * double(gram(k, l));
      }
  }
  return std::max(squared, 0.0);
}

#define ORRERY_INSTANTIATE(T)                                                             \
  template Eigenpairs<T> leading_eigenpairs<T>(const Context&, View<const T, 2>, Index);  \
  template Eigenpairs<T> leading_eigenpairs<T>(const Context&, FactoredMatrix<T>, Index); \
  template double squared_norm<T>(const Context&, FactoredMatrix<T>);
ORRERY_INSTANTIATE(float)
ORRERY_INSTANTIATE(double)
#undef ORRERY_INSTANTIATE

}  // namespace orrery
