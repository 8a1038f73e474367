#include "kernels/block_sum.cuh"
#include "kernels/launch.hpp"
#include "kernels/reduce_terms.hpp"
#include "kernels/tensor.hpp"

namespace orrery::cuda {
namespace {

constexpr unsigned threads_per_block = 256;
constexpr std::size_t scratch_bytes = block_combine_numbers(threads_per_block) * sizeof(double);
constexpr Index block_length = 8192;

template <class Term>
__device__ double combine_block(double mine) {
  return block_combine(mine, dynamic_shared<double>(),
                       [](double a, double b) { return Term::combine(a, b); });
}

// One block reduces block_length numbers of a row of x and a row of y. Neighbouring threads read
// neighbouring numbers, so that a warp's reads are whole cache lines.
template <class Term, class T>
__global__ void reduce_blocks(View<const T, 2> x, View<const T, 2> y, View<double, 3> results) {
  const Index blocks = results.extent(2), pair = blockIdx.x / blocks;
  const T* a = x[pair / y.extent(0)].data;
  const T* b = y[pair % y.extent(0)].data;
  const Index begin = blockIdx.x % blocks * block_length;
  const Index end = begin + block_length < x.extent(1) ? begin + block_length : x.extent(1);
  double mine = 0;
  for (Index i = begin + threadIdx.x; i < end; i += threads_per_block)
    mine = Term::combine(mine, Term::of(a[i], b[i]));
  mine = combine_block<Term>(mine);
  if (threadIdx.x == 0) results.data[blockIdx.x] = mine;
}

// What a pair's blocks found, reduced by one more in the same way: there may be many thousands.
template <class Term>
__global__ void combine_results(View<const double, 3> results, View<double, 2> totals) {
  const Index blocks = results.extent(2);
  const double* of_pair = results.data + blockIdx.x * blocks;
  double mine = 0;
  for (Index i = threadIdx.x; i < blocks; i += threads_per_block)
    mine = Term::combine(mine, of_pair[i]);
  mine = combine_block<Term>(mine);
  if (threadIdx.x == 0) totals.data[blockIdx.x] = mine;
}

}  // namespace

/// The results stay on the device.
template <class Term, class T>
void reduce_to(const Context& ctx, const char* name, View<const T, 2> x, View<const T, 2> y,
               View<double, 2> results) {
  const unsigned blocks = blocks_for(x.extent(1), block_length);
  const unsigned pairs = static_cast<unsigned>(results.size());
  Tensor<double, 3> of_blocks(ctx, x.extent(0), y.extent(0), blocks);
  launch(ctx, name, reduce_blocks<Term, T>, dim3(pairs * blocks), dim3(threads_per_block),
         scratch_bytes, x, y, of_blocks.view());
  launch(ctx, name, combine_results<Term>, dim3(pairs), dim3(threads_per_block), scratch_bytes,
         View<const double, 3>(of_blocks), results);
}

/// The same numbers on the host.
template <class Term, class T>
Tensor<double, 2> reduce(const Context& ctx, const char* name, View<const T, 2> x,
                         View<const T, 2> y) {
  Tensor<double, 2> results(ctx, x.extent(0), y.extent(0));
  reduce_to<Term>(ctx, name, x, y, results);
  return download(ctx, results);
}

template void reduce_to<ProductTerm>(const Context&, const char*, View<const float, 2>,
                                     View<const float, 2>, View<double, 2>);
template void reduce_to<ProductTerm>(const Context&, const char*, View<const double, 2>,
                                     View<const double, 2>, View<double, 2>);
template Tensor<double, 2> reduce<SumTerm>(const Context&, const char*, View<const float, 2>,
                                           View<const float, 2>);
template Tensor<double, 2> reduce<SumTerm>(const Context&, const char*, View<const double, 2>,
                                           View<const double, 2>);
template Tensor<double, 2> reduce<ProductTerm>(const Context&, const char*, View<const float, 2>,
                                               View<const float, 2>);
template Tensor<double, 2> reduce<ProductTerm>(const Context&, const char*, View<const double, 2>,
                                               View<const double, 2>);
template Tensor<double, 2> reduce<SquaredDifferenceTerm>(const Context&, const char*,
                                                         View<const float, 2>,
                                                         View<const float, 2>);
template Tensor<double, 2> reduce<SquaredDifferenceTerm>(const Context&, const char*,
                                                         View<const double, 2>,
                                                         View<const double, 2>);
template Tensor<double, 2> reduce<MagnitudeTerm>(const Context&, const char*, View<const float, 2>,
                                                 View<const float, 2>);
template Tensor<double, 2> reduce<MagnitudeTerm>(const Context&, const char*, View<const double, 2>,
                                                 View<const double, 2>);

}  // namespace orrery::cuda
