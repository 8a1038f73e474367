#include "kernels/sine_network.hpp"

#include <omp.h>

#include <algorithm>
#include <type_traits>
#include <vector>

#include "kernels/check.hpp"
#include "kernels/fast_sine.hpp"
#include "kernels/gemm.hpp"
#include "kernels/matrix_tiles.hpp"
#include "kernels/shares.hpp"
#include "kernels/sine_network_tiles.hpp"
#include "kernels/tensor.hpp"

namespace orrery {

namespace cuda {
template <class T>
void sine_network_forward(const Context& ctx, const SineNetworkShape& shape,
                          View<const T, 1> parameters, View<const T, 2> x, View<T, 2> y);
template <class T>
void sine_network_backward(const Context& ctx, const SineNetworkShape& shape,
                           View<const T, 1> parameters, View<const T, 2> x, View<const T, 2> dy,
                           View<T, 1> dparameters);
}  // namespace cuda

namespace {

/// Points worked on together: small enough that the activations of all layers stay in the L2 cache,
/// large enough that the matrix products run at full speed.
constexpr Index block_points = 192;

/// The gradient is summed in this many shares of points (fewer for few points), each by one thread,
/// and the shares are added in order: the result does not depend on the number of threads.
constexpr Index most_shares = 64;

/// One layer's weights (outputs, inputs) and bias (outputs) inside the flat block.
template <class T>
struct Layer {
  T* weight;
  T* bias;
  Index inputs, outputs;
};

template <class T>
Layer<T> layer_of(const SineNetworkShape& shape, T* parameters, Index index) {
  const auto [inputs, outputs, weight, bias] = shape.layer(index);
  return {parameters + weight, parameters + bias, inputs, outputs};
}

/// pre = x W^T (no bias), for `count` points. The first layer's three inputs are not worth a GEMM.
template <class T>
void multiply(const Layer<const T>& layer, Index count, const T* x, T* pre) {
  constexpr Index few_inputs = 8, most_outputs = 1024;
  const Index inputs = layer.inputs, outputs = layer.outputs;
  if (inputs > few_inputs || outputs > most_outputs)
    return blas::gemm<T>(Transpose::no, Transpose::yes, count, outputs, inputs, T(1), x, inputs,
                         layer.weight, inputs, T(0), pre, outputs);
  T transposed[few_inputs * most_outputs];
  for (Index c = 0; c < inputs; ++c)
    for (Index o = 0; o < outputs; ++o) transposed[c * outputs + o] = layer.weight[o * inputs + c];
  for (Index p = 0; p < count; ++p) {
    T* row = pre + p * outputs;
    for (Index o = 0; o < outputs; ++o) row[o] = 0;
    for (Index c = 0; c < inputs; ++c) {
      const T factor = x[p * inputs + c];
      const T* column = transposed + c * outputs;
#pragma omp simd
      for (Index o = 0; o < outputs; ++o) row[o] += factor * column[o];
    }
  }
}

/// a = sin(frequency (pre + bias)), in place.
template <class T>
void apply_sine(const T* bias, T frequency, Index count, Index width, T* a) {
  for (Index p = 0; p < count; ++p) {
    T* row = a + p * width;
#pragma omp simd
    for (Index j = 0; j < width; ++j) row[j] = fast_sine(frequency * (row[j] + bias[j]));
  }
}

/// a = sin(frequency (pre + bias)) in place and slope = frequency cos(frequency (pre + bias)).
template <class T>
void apply_sine_with_slope(const T* bias, T frequency, Index count, Index width, T* a, T* slope) {
  for (Index p = 0; p < count; ++p) {
    T* row = a + p * width;
    T* slope_row = slope + p * width;
#pragma omp simd
    for (Index j = 0; j < width; ++j) {
      const auto [sine, cosine] = fast_sine_cosine(frequency * (row[j] + bias[j]));
      row[j] = sine;
      slope_row[j] = frequency * cosine;
    }
  }
}

template <class T>
void multiply_elements(Index count, const T* factor, T* x) {
#pragma omp simd
  for (Index i = 0; i < count; ++i) x[i] *= factor[i];
}

template <class T>
void add_column_sums(Index rows, Index columns, const T* x, T* sums) {
  for (Index r = 0; r < rows; ++r) {
    const T* row = x + r * columns;
#pragma omp simd
    for (Index c = 0; c < columns; ++c) sums[c] += row[c];
  }
}

/// dW += dpre^T x and db += column sums of dpre.
template <class T>
void add_weight_gradients(const Layer<T>& gradient, Index count, const T* x, const T* dpre) {
  blas::gemm<T>(Transpose::yes, Transpose::no, gradient.outputs, gradient.inputs, count, T(1), dpre,
                gradient.outputs, x, gradient.inputs, T(1), gradient.weight, gradient.inputs);
  add_column_sums(count, gradient.outputs, dpre, gradient.bias);
}

template <class T>
void check_shapes(const char* operation, const SineNetworkShape& shape, View<const T, 1> parameters,
                  View<const T, 2> x, View<const T, 2> y) {
  require(shape.inputs > 0 && shape.width > 0 && shape.hidden_layers >= 0 && shape.outputs > 0,
          operation, "the network's shape must be positive");
  require_shape(operation, "parameters", parameters, {shape.parameter_count()});
  require_shape(operation, "x", x, {x.extent(0), shape.inputs});
  require_shape(operation, "y", y, {x.extent(0), shape.outputs});
}

/// y for one block of points. `a` and `b` hold block x width numbers each.
template <class T>
void forward_block(const SineNetworkShape& shape, const T* parameters, Index count, const T* x,
                   T* y, T* a, T* b) {
  const Index last = shape.hidden_layers + 1;
  const T* input = x;
  for (Index l = 0; l < last; ++l) {
    const auto layer = layer_of(shape, parameters, l);
    T* output = l % 2 == 0 ? a : b;
    multiply(layer, count, input, output);
    apply_sine(layer.bias, T(shape.frequency(l)), count, shape.width, output);
    input = output;
  }
  const auto head = layer_of(shape, parameters, last);
  multiply(head, count, input, y);
  for (Index p = 0; p < count; ++p)
    for (Index o = 0; o < shape.outputs; ++o) y[p * shape.outputs + o] += head.bias[o];
}

/// Scratch of one thread's backward pass: activations and slopes of every sine layer, and two
/// blocks for the gradient on its way down.
template <class T>
struct BackwardScratch {
  Tensor<T, 2> activations, slopes, descending;

  BackwardScratch(const Context& ctx, const SineNetworkShape& shape)
      : activations(ctx, shape.hidden_layers + 1, block_points * shape.width),
        slopes(ctx, shape.hidden_layers + 1, block_points * shape.width),
        descending(ctx, 2, block_points * shape.width) {}
};

template <class T>
void backward_block(const SineNetworkShape& shape, const T* parameters, Index count, const T* x,
                    const T* dy, T* dparameters, BackwardScratch<T>& scratch) {
  const Index last = shape.hidden_layers + 1;
  auto activation = [&](Index l) { return &scratch.activations(l, 0); };
  auto slope = [&](Index l) { return &scratch.slopes(l, 0); };

  for (Index l = 0; l < last; ++l) {
    const auto layer = layer_of(shape, parameters, l);
    multiply(layer, count, l == 0 ? x : activation(l - 1), activation(l));
    apply_sine_with_slope(layer.bias, T(shape.frequency(l)), count, shape.width, activation(l),
                          slope(l));
  }

  add_weight_gradients(layer_of(shape, dparameters, last), count, activation(last - 1), dy);
  const T* dpre = dy;  // gradient with respect to the layer above, before its sine
  Index dpre_width = shape.outputs;
  for (Index l = last - 1; l >= 0; --l) {
    T* next = &scratch.descending(l % 2, 0);
    const auto above = layer_of(shape, parameters, l + 1);
    blas::gemm<T>(Transpose::no, Transpose::no, count, shape.width, dpre_width, T(1), dpre,
                  dpre_width, above.weight, shape.width, T(0), next, shape.width);
    multiply_elements(count * shape.width, slope(l), next);
    add_weight_gradients(layer_of(shape, dparameters, l), count, l == 0 ? x : activation(l - 1),
                         static_cast<const T*>(next));
    dpre = next;
    dpre_width = shape.width;
  }
}

/// Whether less than float's own precision will do, and there are tiles that it makes faster.
bool takes_tiles(const Context& ctx, const SineNetworkShape& shape) {
  return ctx.precision() != Precision::fp32 && tiles::fits(shape) && tiles::available();
}

}  // namespace

template <class T>
void sine_network_forward(const Context& ctx, const SineNetworkShape& shape,
                          View<const T, 1> parameters, View<const T, 2> x, View<T, 2> y) {
  check_shapes<T>("sine_network_forward", shape, parameters, x, y);
  if constexpr (built_with_cuda)
    if (ctx.backend() == Backend::cuda)
      return cuda::sine_network_forward<T>(ctx, shape, parameters, x, y);
  if constexpr (built_with_matrix_tiles && std::is_same_v<T, float>)
    if (takes_tiles(ctx, shape))
      return tiles::sine_network_forward(ctx.threads(), shape, parameters.data, x.extent(0), x.data,
                                         y.data);

  const Index points = x.extent(0);
  const Index blocks = parts_of(points, block_points);
  Tensor<T, 3> scratch(ctx, ctx.threads(), 2, block_points * shape.width);
  blas::load();
#pragma omp parallel for schedule(dynamic, 4) num_threads(ctx.threads())
  for (Index block = 0; block < blocks; ++block) {
    const Index first = block * block_points;
    const Index count = std::min(block_points, points - first);
    const auto mine = scratch.view()[omp_get_thread_num()];
    forward_block(shape, parameters.data, count, x.data + first * shape.inputs,
                  y.data + first * shape.outputs, mine[0].data, mine[1].data);
  }
}

template <class T>
void sine_network_backward(const Context& ctx, const SineNetworkShape& shape,
                           View<const T, 1> parameters, View<const T, 2> x, View<const T, 2> dy,
                           View<T, 1> dparameters) {
  check_shapes<T>("sine_network_backward", shape, parameters, x, dy);
  require_shape("sine_network_backward", "dparameters", dparameters, {shape.parameter_count()});
  if constexpr (built_with_cuda)
    if (ctx.backend() == Backend::cuda)
      return cuda::sine_network_backward<T>(ctx, shape, parameters, x, dy, dparameters);
  if constexpr (built_with_matrix_tiles && std::is_same_v<T, float>)
    if (takes_tiles(ctx, shape))
      return tiles::sine_network_backward(ctx.threads(), shape, parameters.data, x.extent(0),
                                          x.data, dy.data, dparameters.data);

  const Index points = x.extent(0);
  const Index blocks = parts_of(points, block_points);
  const Index shares = std::min(blocks, most_shares);
  const Index parameter_count = shape.parameter_count();
  auto partial = Tensor<T, 2>(ctx, shares, parameter_count);
  std::vector<BackwardScratch<T>> scratch;
  for (int thread = 0; thread < ctx.threads(); ++thread) scratch.emplace_back(ctx, shape);
  blas::load();
#pragma omp parallel num_threads(ctx.threads())
  {
#pragma omp for schedule(dynamic, 1)
    for (Index share = 0; share < shares; ++share) {
      T* gradient = partial.data() + share * parameter_count;
      std::fill_n(gradient, parameter_count, T(0));
      for (Index block = blocks * share / shares; block < blocks * (share + 1) / shares; ++block) {
        const Index first = block * block_points;
        const Index count = std::min(block_points, points - first);
        backward_block(shape, parameters.data, count, x.data + first * shape.inputs,
                       dy.data + first * shape.outputs, gradient, scratch[omp_get_thread_num()]);
      }
    }
#pragma omp for schedule(static)
    for (Index i = 0; i < parameter_count; ++i)
      for (Index share = 0; share < shares; ++share)
        dparameters.data[i] += partial.data()[share * parameter_count + i];
  }
}

#define ORRERY_INSTANTIATE(T)                                                                      \
  template void sine_network_forward<T>(const Context&, const SineNetworkShape&, View<const T, 1>, \
                                        View<const T, 2>, View<T, 2>);                             \
  template void sine_network_backward<T>(const Context&, const SineNetworkShape&,                  \
                                         View<const T, 1>, View<const T, 2>, View<const T, 2>,     \
                                         View<T, 1>);
ORRERY_INSTANTIATE(float)
ORRERY_INSTANTIATE(double)
#undef ORRERY_INSTANTIATE

}  // namespace orrery
