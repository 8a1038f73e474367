#include <cmath>

#include "kernels/block_sum.cuh"
#include "kernels/pointwise.hpp"

namespace orrery::cuda {
namespace {

constexpr unsigned threads_per_row = 256;

// One block a row: rows are few and long (a density over 1200 rotations), so that the threads of a
// row should be many. Neighbouring threads take neighbouring numbers, for whole cache lines.
template <class T>
__global__ void __launch_bounds__(threads_per_row)
    softmax_forward_kernel(Index length, const T* x, T* y) {
  const T* row = x + blockIdx.x * length;
  T* out = y + blockIdx.x * length;

  T largest = row[0];
  for (Index j = threadIdx.x; j < length; j += threads_per_row)
    largest = largest < row[j] ? row[j] : largest;
  largest = block_max(largest, dynamic_shared<T>());

  double total = 0;
  for (Index j = threadIdx.x; j < length; j += threads_per_row) {
    out[j] = std::exp(row[j] - largest);
    total += out[j];
  }
  const T scale = static_cast<T>(1 / block_sum(total, dynamic_shared<double>()));
  for (Index j = threadIdx.x; j < length; j += threads_per_row) out[j] *= scale;
}

template <class T>
__global__ void __launch_bounds__(threads_per_row)
    softmax_backward_kernel(Index length, const T* y, const T* dy, T* dx) {
  const Index offset = blockIdx.x * length;
  double mean = 0;
  for (Index j = threadIdx.x; j < length; j += threads_per_row)
    mean += static_cast<double>(y[offset + j]) * dy[offset + j];
  const T subtracted = static_cast<T>(block_sum(mean, dynamic_shared<double>()));
  for (Index j = threadIdx.x; j < length; j += threads_per_row)
    dx[offset + j] = y[offset + j] * (dy[offset + j] - subtracted);
}

}  // namespace

template <class T>
void softmax_forward(const Context& ctx, View<const T, 2> x, View<T, 2> y) {
  launch(ctx, "softmax", softmax_forward_kernel<T>, dim3(blocks_for(x.extent(0), 1)),
         dim3(threads_per_row), block_combine_numbers(threads_per_row) * sizeof(double),
         x.extent(1), x.data, y.data);
}

template <class T>
void softmax_backward(const Context& ctx, View<const T, 2> y, View<const T, 2> dy, View<T, 2> dx) {
  launch(ctx, "softmax backward", softmax_backward_kernel<T>, dim3(blocks_for(y.extent(0), 1)),
         dim3(threads_per_row), block_combine_numbers(threads_per_row) * sizeof(double),
         y.extent(1), y.data, dy.data, dx.data);
}

template void softmax_forward(const Context&, View<const float, 2>, View<float, 2>);
template void softmax_forward(const Context&, View<const double, 2>, View<double, 2>);
template void softmax_backward(const Context&, View<const float, 2>, View<const float, 2>,
                               View<float, 2>);
template void softmax_backward(const Context&, View<const double, 2>, View<const double, 2>,
                               View<double, 2>);

}  // namespace orrery::cuda
