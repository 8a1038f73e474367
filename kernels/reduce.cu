#include <algorithm>

#include "kernels/launch.hpp"
#include "kernels/reduce_terms.hpp"
#include "kernels/tensor.hpp"

namespace orrery::cuda {
namespace {

constexpr unsigned warp = 32;
constexpr unsigned threads_per_block = 256;
constexpr Index block_length = 8192;

template <class Term>
__device__ double combine_warp(double mine) {
  for (unsigned distance = warp / 2; distance > 0; distance /= 2)
    mine = Term::combine(mine, __shfl_down_sync(0xffffffffu, mine, distance));
  return mine;
}

// One block reduces block_length numbers. Neighbouring threads read neighbouring numbers, so that a
// warp's reads are whole cache lines; warps combine by shuffles and meet in shared memory once.
template <class Term, class T>
__global__ void reduce_blocks(const T* x, const T* y, Index count, double* results) {
  double* warp_results = dynamic_shared<double>();
  const Index begin = static_cast<Index>(blockIdx.x) * block_length;
  const Index end = begin + block_length < count ? begin + block_length : count;

  double mine = 0;
  for (Index i = begin + threadIdx.x; i < end; i += threads_per_block)
    mine = Term::combine(mine, Term::of(x[i], y[i]));
  mine = combine_warp<Term>(mine);
  if (threadIdx.x % warp == 0) warp_results[threadIdx.x / warp] = mine;
  __syncthreads();

  if (threadIdx.x < warp) {
    mine = threadIdx.x < threads_per_block / warp ? warp_results[threadIdx.x] : 0;
    mine = combine_warp<Term>(mine);
    if (threadIdx.x == 0) results[blockIdx.x] = mine;
  }
}

/// The results in order, as the host combines them, and so to the same bits. They are few: a single
/// thread has them soon.
template <class Term>
__global__ void combine_in_order(View<const double, 1> results, double* total) {
  double sum = 0;
  for (Index i = 0; i < results.extent(0); ++i) sum = Term::combine(sum, results(i));
  *total = sum;
}

template <class Term, class T>
Tensor<double, 1> results_of_blocks(const Context& ctx, const char* name, const T* x, const T* y,
                                    Index count) {
  const unsigned blocks = blocks_for(count, block_length);
  Tensor<double, 1> results(ctx, blocks);
  launch(ctx, name, reduce_blocks<Term, T>, dim3(blocks), dim3(threads_per_block),
         threads_per_block / warp * sizeof(double), x, y, count, results.data());
  return results;
}

}  // namespace

/// The blocks' results come to the host and are combined there in order.
template <class Term, class T>
double reduce(const Context& ctx, const char* name, const T* x, const T* y, Index count) {
  const auto on_host = download(ctx, results_of_blocks<Term>(ctx, name, x, y, count));
  double total = 0;
  for (const double result : on_host.view()) total = Term::combine(total, result);
  return total;
}

/// They stay on the device.
template <class Term, class T>
void reduce_to(const Context& ctx, const char* name, const T* x, const T* y, Index count,
               double* result) {
  const auto results = results_of_blocks<Term>(ctx, name, x, y, count);
  launch(ctx, name, combine_in_order<Term>, dim3(1), dim3(1), 0, results.view(), result);
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
