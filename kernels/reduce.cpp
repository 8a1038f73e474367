#include "kernels/reduce.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/check.hpp"
#include "kernels/cuda_runtime.hpp"
#include "kernels/reduce_terms.hpp"

namespace orrery {

namespace cuda {
template <class Term, class T>
Tensor<double, 2> reduce(const Context& ctx, const char* name, View<const T, 2> x,
                         View<const T, 2> y);
template <class Term, class T>
void reduce_to(const Context& ctx, const char* name, View<const T, 2> x, View<const T, 2> y,
               View<double, 2> results);
}  // namespace cuda

namespace {

// A block is added up in `lanes` running totals, so that the loop fills the vector registers, and
// the blocks' results are added in order.
constexpr Index block_length = 16384;
constexpr Index lanes = 32;

template <class Term, class T>
double reduce_block(const T* x, const T* y, Index count) {
  double totals[lanes] = {};
  Index i = 0;
  for (; i + lanes <= count; i += lanes)
#pragma omp simd
    for (Index lane = 0; lane < lanes; ++lane)
      totals[lane] = Term::combine(totals[lane], Term::of(x[i + lane], y[i + lane]));
  for (; i < count; ++i) totals[i % lanes] = Term::combine(totals[i % lanes], Term::of(x[i], y[i]));

  for (Index half = lanes / 2; half > 0; half /= 2)
    for (Index lane = 0; lane < half; ++lane)
      totals[lane] = Term::combine(totals[lane], totals[lane + half]);
  return totals[0];
}

template <class T>
View<T, 2> as_row(View<T, 1> x) {
  return x.reshaped(Index{1}, x.size());
}

/// results[r,k]: Term::of(x[r,i], y[k,i]) combined over all i; on the host.
template <class Term, class T>
Tensor<double, 2> reduce(const Context& ctx, [[maybe_unused]] const char* name, View<const T, 2> x,
                         View<const T, 2> y) {
  const Index count = x.extent(1), columns = y.extent(0);
  auto results = Tensor<double, 2>::zeros(Context::cpu(1), x.extent(0), columns);
  if (count * results.size() == 0) return results;
  if constexpr (built_with_cuda)
    if (ctx.backend() == Backend::cuda) return cuda::reduce<Term, T>(ctx, name, x, y);

  const Index blocks = (count + block_length - 1) / block_length;
  std::vector<double> of_blocks(results.size() * blocks);
  const Index tasks = std::ssize(of_blocks);
  const int threads = static_cast<int>(std::min<Index>(ctx.threads(), tasks));
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (Index task = 0; task < tasks; ++task) {
    const Index pair = task / blocks, begin = task % blocks * block_length;
    of_blocks[task] = reduce_block<Term>(&x(pair / columns, begin), &y(pair % columns, begin),
                                         std::min(block_length, count - begin));
  }
  for (Index task = 0; task < tasks; ++task) {
    double& result = results.data()[task / blocks];
    result = Term::combine(result, of_blocks[task]);
  }
  return results;
}

/// The same of one row each.
template <class Term, class T>
double reduce(const Context& ctx, const char* name, View<const T, 1> x, View<const T, 1> y) {
  return reduce<Term>(ctx, name, as_row(x), as_row(y))(0, 0);
}

}  // namespace

template <class T>
double sum(const Context& ctx, View<const T, 1> x) {
  return reduce<SumTerm>(ctx, "sum", x, x);
}

template <class T>
double dot(const Context& ctx, View<const T, 1> x, View<const T, 1> y) {
  require_shape("dot", "y", y, {x.extent(0)});
  return reduce<ProductTerm>(ctx, "dot", x, y);
}

template <class T>
Tensor<double, 2> inner_products(const Context& ctx, View<const T, 2> x, View<const T, 2> y) {
  require_shape("inner_products", "y", y, {y.extent(0), x.extent(1)});
  return reduce<ProductTerm>(ctx, "inner products", x, y);
}

template <class T>
double squared_norm(const Context& ctx, View<const T, 1> x) {
  return reduce<ProductTerm>(ctx, "squared norm", x, x);
}

template <class T>
void squared_norm(const Context& ctx, View<const T, 1> x, View<double, 1> result) {
  require_shape("squared_norm", "result", result, {1});
  if constexpr (built_with_cuda)
    if (ctx.backend() == Backend::cuda)
      return cuda::reduce_to<ProductTerm, T>(ctx, "squared norm", as_row(x), as_row(x),
                                             as_row(result));
  result(0) = squared_norm<T>(ctx, x);
}

template <class T>
double squared_distance(const Context& ctx, View<const T, 1> x, View<const T, 1> y) {
  require_shape("squared_distance", "y", y, {x.extent(0)});
  return reduce<SquaredDifferenceTerm>(ctx, "squared distance", x, y);
}

template <class T>
double largest_magnitude(const Context& ctx, View<const T, 1> x) {
  return reduce<MagnitudeTerm>(ctx, "largest magnitude", x, x);
}

template double sum(const Context&, View<const float, 1>);
template double sum(const Context&, View<const double, 1>);
template double dot(const Context&, View<const float, 1>, View<const float, 1>);
template double dot(const Context&, View<const double, 1>, View<const double, 1>);
template Tensor<double, 2> inner_products(const Context&, View<const float, 2>,
                                          View<const float, 2>);
template Tensor<double, 2> inner_products(const Context&, View<const double, 2>,
                                          View<const double, 2>);
template double squared_norm(const Context&, View<const float, 1>);
template double squared_norm(const Context&, View<const double, 1>);
template void squared_norm(const Context&, View<const float, 1>, View<double, 1>);
template void squared_norm(const Context&, View<const double, 1>, View<double, 1>);
template double squared_distance(const Context&, View<const float, 1>, View<const float, 1>);
template double squared_distance(const Context&, View<const double, 1>, View<const double, 1>);
template double largest_magnitude(const Context&, View<const float, 1>);
template double largest_magnitude(const Context&, View<const double, 1>);

}  // namespace orrery
