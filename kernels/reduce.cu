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

// One block reduces block_length numbers. Neighbouring threads read neighbouring numbers, so that a
// warp's reads are whole cache lines.
template <class Term, class T>
__global__ void reduce_blocks(const T* x, const T* y, Index count, double* results) {
  const Index begin = static_cast<Index>(blockIdx.x) * block_length;
  const Index end = begin + block_length < count ? begin + block_length : count;
  double mine = 0;
  for (Index i = begin + threadIdx.x; i < end; i += threads_per_block)
    mine = Term::combine(mine, Term::of(x[i], y[i]));
  mine = combine_block<Term>(mine);
  if (threadIdx.x == 0) results[blockIdx.x] = mine;
}

// What the blocks found, reduced by one more in the same way: there may be many thousands.
template <class Term>
__global__ void combine_results(View<const double, 1> results, double* total) {
  double mine = 0;
  for (Index i = threadIdx.x; i < results.extent(0); i += threads_per_block)
    mine = Term::combine(mine, results(i));
  mine = combine_block<Term>(mine);
  if (threadIdx.x == 0) *total = mine;
}

}  // namespace

/// The result stays on the device.
template <class Term, class T>
void reduce_to(const Context& ctx, const char* name, const T* x, const T* y, Index count,
               double* result) {
  const unsigned blocks = blocks_for(count, block_length);
  Tensor<double, 1> results(ctx, blocks);
  launch(ctx, name, reduce_blocks<Term, T>, dim3(blocks), dim3(threads_per_block), scratch_bytes, x,
         y, count, results.data());
  launch(ctx, name, combine_results<Term>, dim3(1), dim3(threads_per_block), scratch_bytes,
         results.view(), result);
}

/// The same number on the host.
template <class Term, class T>
double reduce(const Context& ctx, const char* name, const T* x, const T* y, Index count) {
  Tensor<double, 1> result(ctx, 1);
  reduce_to<Term>(ctx, name, x, y, count, result.data());
  return download(ctx, result)(0);
}

template void reduce_to<ProductTerm>(const Context&, const char*, const float*, const float*, Index,
                                     double*);
template void reduce_to<ProductTerm>(const Context&, const char*, const double*, const double*,
                                     Index, double*);
template double reduce<SumTerm>(const Context&, const char*, const float*, const float*, Index);
template double reduce<SumTerm>(const Context&, const char*, const double*, const double*, Index);
template double reduce<ProductTerm>(const Context&, const char*, const float*, const float*, Index);
template double reduce<ProductTerm>(const Context&, const char*, const double*, const double*,
                                    Index);
template double reduce<SquaredDifferenceTerm>(const Context&, const char*, const float*,
                                              const float*, Index);
template double reduce<SquaredDifferenceTerm>(const Context&, const char*, const double*,
                                              const double*, Index);
template double reduce<MagnitudeTerm>(const Context&, const char*, const float*, const float*,
                                      Index);
template double reduce<MagnitudeTerm>(const Context&, const char*, const double*, const double*,
                                      Index);

}  // namespace orrery::cuda
