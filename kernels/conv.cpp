#include "kernels/conv.hpp"

#include <algorithm>

#include "kernels/check.hpp"
#include "kernels/conv_columns.hpp"
#include "kernels/conv_shape.hpp"
#include "kernels/gemm.hpp"
#include "kernels/parallel_tasks.hpp"
#include "kernels/pointwise.hpp"
#include "kernels/shares.hpp"
#include "kernels/tensor.hpp"

// The CPU twin: matrix products do the arithmetic. A window of M x N weights turns each channel
// into M N shifted copies, and it is the side with fewer channels that is unfolded so. With few
// inputs, the shifted inputs are multiplied by the weights; with few outputs (thousands of channels
// of a second moment come in, eight go out), the inputs are multiplied first, each number being
// read once, and the products are shifted and added. The weights lie as ((k,s,t), l) for either, k
// being the channels that are unfolded and l the others. Windows one column wide have a twin of
// their own (kernels/conv_columns.hpp), and windows of one weight need none of this.

namespace orrery {

namespace cuda {
template <class T>
void conv_forward(const Context& ctx, const ConvShape& shape, const T* x, const T* weight,
                  const T* bias, T* y);
template <class T>
void conv_backward(const Context& ctx, const ConvShape& shape, const T* x, const T* weight,
                   const T* dy, T* dx, T* dweight, T* dbias);
}  // namespace cuda

namespace {

// From so many samples on, a thread takes whole samples; below, all threads share each product.
constexpr Index enough_samples = 8;
// The samples are cut into so many shares, whatever the number of threads, and the shares' weight
// gradients are added in order.
constexpr Index most_shares = 16;

/// The channels that are unfolded.
enum class Side { input, output };

Side forward_side(const ConvShape& shape) {
  return shape.inputs <= shape.outputs ? Side::input : Side::output;
}

/// An unfolded dy serves both gradients; where x is unfolded, dx has to be folded as well.
Side backward_side(const ConvShape& shape) {
  return 2 * shape.inputs <= shape.outputs ? Side::input : Side::output;
}

Index wrapped(Index i, Index length) { return ((i % length) + length) % length; }

enum class Shift { along = 1, against = -1 };

/// f(to[p], from[p shifted by the weight's place in the window]) at all positions of a channel.
template <class T, class F>
void for_each_shifted(const ConvShape& shape, Index weight, Shift shift, const T* from, T* to,
                      const F& f) {
  const Index width = shape.width, sign = static_cast<Index>(shift);
  const Index down = weight / shape.window_columns - shape.window_rows / 2;
  const Index right =
      wrapped(sign * (weight % shape.window_columns - shape.window_columns / 2), width);
  const Index until_wrap = width - right;
  const T* row = from + wrapped(sign * down, shape.height) * width;
  const T* const end = from + shape.positions();
  for (Index i = 0; i < shape.height; ++i, to += width) {
#pragma omp simd
    for (Index j = 0; j < until_wrap; ++j) f(to[j], row[j + right]);
#pragma omp simd
    for (Index j = until_wrap; j < width; ++j) f(to[j], row[j - until_wrap]);
    row = row + width == end ? from : row + width;
  }
}

/// columns[(k,s,t), p] = z[k, p shifted by (s,t)]
template <class T>
void unfold(const Context& ctx, const ConvShape& shape, Shift shift, const T* z,
            View<T, 2> columns) {
  const int threads = threads_for(ctx, columns.size());
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (Index row = 0; row < columns.extent(0); ++row)
    for_each_shifted(shape, row % shape.window(), shift,
                     z + row / shape.window() * shape.positions(), &columns(row, 0),
                     [](T& to, T from) { to = from; });
}

/// z[k, p] = bias[k] + sum_{s,t} columns[(k,s,t), p shifted by (s,t)]; without bias when null.
template <class T>
void fold(const Context& ctx, const ConvShape& shape, Shift shift, View<const T, 2> columns,
          const T* bias, T* z) {
  const Index positions = shape.positions(), window = shape.window();
  const int threads = threads_for(ctx, columns.size());
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (Index k = 0; k < columns.extent(0) / window; ++k) {
    T* sum = z + k * positions;
    std::fill_n(sum, positions, bias ? bias[k] : T(0));
    for (Index weight = 0; weight < window; ++weight)
      for_each_shifted(shape, weight, shift, &columns(k * window + weight, 0), sum,
                       [](T& to, T from) { to += from; });
  }
}

/// Where weight w of output o and input c lies in the matrix ((k,s,t), l) that unfolded channels k
/// are multiplied by, l being those of the other side.
template <class T>
T& weight_at(View<T, 2> matrix, const ConvShape& shape, Side side, Index o, Index c, Index w) {
  return side == Side::input ? matrix(c * shape.window() + w, o)
                             : matrix(o * shape.window() + w, c);
}

template <class T>
Tensor<T, 2> weight_matrix(const ConvShape& shape, Side side, const T* weight) {
  const bool input = side == Side::input;
  Tensor<T, 2> matrix(Context::cpu(1), (input ? shape.inputs : shape.outputs) * shape.window(),
                      input ? shape.outputs : shape.inputs);
  for (Index o = 0; o < shape.outputs; ++o)
    for (Index c = 0; c < shape.inputs; ++c)
      for (Index w = 0; w < shape.window(); ++w)
        weight_at<T>(matrix, shape, side, o, c, w) = *weight++;
  return matrix;
}

/// dweight += the gradient of the matrix of weight_matrix.
template <class T>
void add_weight_gradient(const ConvShape& shape, Side side, View<const T, 2> matrix, T* dweight) {
  for (Index o = 0; o < shape.outputs; ++o)
    for (Index c = 0; c < shape.inputs; ++c)
      for (Index w = 0; w < shape.window(); ++w)
        *dweight++ += weight_at<const T>(matrix, shape, side, o, c, w);
}

/// One sample forward; `columns` is scratch.
template <class T>
void forward_sample(const Context& ctx, const ConvShape& shape, const T* x, View<const T, 2> weight,
                    const T* bias, T* y, View<T, 2> columns) {
  const Index positions = shape.positions();
  if (forward_side(shape) == Side::input) {
    unfold(ctx, shape, Shift::along, x, columns);
    for (Index o = 0; o < shape.outputs; ++o) std::fill_n(y + o * positions, positions, bias[o]);
    gemm<T>(ctx, Transpose::yes, Transpose::no, T(1), weight, columns, T(1),
            View<T, 2>(y, shape.outputs, positions));
  } else {
    gemm<T>(ctx, Transpose::no, Transpose::no, T(1), weight,
            View<const T, 2>(x, shape.inputs, positions), T(0), columns);
    fold<T>(ctx, shape, Shift::along, columns, bias, y);
  }
}

/// One sample backward: dx (unless null) is overwritten, dweight, laid out as weight_matrix, added
/// to.
template <class T>
void backward_sample(const Context& ctx, const ConvShape& shape, const T* x,
                     View<const T, 2> weight, const T* dy, T* dx, View<T, 2> dweight,
                     View<T, 2> columns) {
  const Index positions = shape.positions();
  const View<const T, 2> x_matrix(x, shape.inputs, positions);
  const View<const T, 2> dy_matrix(dy, shape.outputs, positions);
  if (backward_side(shape) == Side::input) {
    unfold(ctx, shape, Shift::along, x, columns);
    gemm<T>(ctx, Transpose::no, Transpose::yes, T(1), columns, dy_matrix, T(1), dweight);
    if (!dx) return;
    gemm<T>(ctx, Transpose::no, Transpose::no, T(1), weight, dy_matrix, T(0), columns);
    fold<T>(ctx, shape, Shift::against, columns, nullptr, dx);
  } else {
    unfold(ctx, shape, Shift::against, dy, columns);
    gemm<T>(ctx, Transpose::no, Transpose::yes, T(1), columns, x_matrix, T(1), dweight);
    if (!dx) return;
    gemm<T>(ctx, Transpose::yes, Transpose::no, T(1), weight, columns, T(0),
            View<T, 2>(dx, shape.inputs, positions));
  }
}

/// Calls f(ctx, first sample, last sample, share) for every share of the batch. Few samples are one
/// share that all threads work on; many are dealt out, and each share runs on one thread.
template <class F>
void for_each_share(const Context& ctx, Index batch, const F& f) {
  if (batch < enough_samples) return f(ctx, 0, batch, 0);
  for_each_task(ctx.threads(), most_shares, [&](Index share) {
    f(Context::cpu(1), share * batch / most_shares, (share + 1) * batch / most_shares, share);
  });
}

template <class T>
void add_bias_gradient(const Context& ctx, const ConvShape& shape, const T* dy, T* dbias) {
  const int threads = threads_for(ctx, shape.batch * shape.outputs * shape.positions());
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (Index o = 0; o < shape.outputs; ++o) {
    double total = 0;
    for (Index b = 0; b < shape.batch; ++b) {
      const T* numbers = dy + (b * shape.outputs + o) * shape.positions();
#pragma omp simd reduction(+ : total)
      for (Index p = 0; p < shape.positions(); ++p) total += numbers[p];
    }
    dbias[o] += static_cast<T>(total);
  }
}

template <class T>
void conv_forward(const Context& ctx, const ConvShape& shape, const T* x, const T* weight,
                  const T* bias, T* y) {
  const auto matrix = weight_matrix(shape, forward_side(shape), weight);
  for_each_share(ctx, shape.batch, [&](const Context& mine, Index first, Index last, Index) {
    Tensor<T, 2> columns(mine, matrix.extent(0), shape.positions());
    for (Index b = first; b < last; ++b)
      forward_sample<T>(mine, shape, x + b * shape.inputs * shape.positions(), matrix, bias,
                        y + b * shape.outputs * shape.positions(), columns);
  });
}

template <class T>
void conv_backward(const Context& ctx, const ConvShape& shape, const T* x, const T* weight,
                   const T* dy, T* dx, T* dweight) {
  const Index positions = shape.positions();
  const Index shares = shape.batch < enough_samples ? 1 : most_shares;
  const Side side = backward_side(shape);
  const auto matrix = weight_matrix(shape, side, weight);
  auto gradients = Tensor<T, 3>::zeros(Context::cpu(1), shares, matrix.extent(0), matrix.extent(1));
  for_each_share(ctx, shape.batch, [&](const Context& mine, Index first, Index last, Index share) {
    Tensor<T, 2> columns(mine, matrix.extent(0), positions);
    for (Index b = first; b < last; ++b)
      backward_sample<T>(
          mine, shape, x + b * shape.inputs * positions, matrix, dy + b * shape.outputs * positions,
          dx ? dx + b * shape.inputs * positions : nullptr, gradients.view()[share], columns);
  });
  for (Index share = 1; share < shares; ++share)
    add_scaled<T>(ctx, T(1), gradients.view()[share].flat(), gradients.view()[0].flat());
  add_weight_gradient<T>(shape, side, gradients.view()[0], dweight);
}

/// One sample and a window of one weight: matrix products and nothing else.
bool is_matrix_product(const ConvShape& shape) { return shape.batch == 1 && shape.window() == 1; }

template <class T>
void multiply_forward(const Context& ctx, const ConvShape& shape, const T* x, const T* weight,
                      const T* bias, T* y) {
  const Index positions = shape.positions();
  for (Index o = 0; o < shape.outputs; ++o) std::fill_n(y + o * positions, positions, bias[o]);
  gemm<T>(ctx, Transpose::no, Transpose::no, T(1),
          View<const T, 2>(weight, shape.outputs, shape.inputs),
          View<const T, 2>(x, shape.inputs, positions), T(1),
          View<T, 2>(y, shape.outputs, positions));
}

template <class T>
void multiply_backward(const Context& ctx, const ConvShape& shape, const T* x, const T* weight,
                       const T* dy, T* dx, T* dweight) {
  const Index positions = shape.positions();
  const View<const T, 2> gradient(dy, shape.outputs, positions);
  gemm<T>(ctx, Transpose::no, Transpose::yes, T(1), gradient,
          View<const T, 2>(x, shape.inputs, positions), T(1),
          View<T, 2>(dweight, shape.outputs, shape.inputs));
  if (dx)
    gemm<T>(ctx, Transpose::yes, Transpose::no, T(1),
            View<const T, 2>(weight, shape.outputs, shape.inputs), gradient, T(0),
            View<T, 2>(dx, shape.inputs, positions));
}

/// The one dispatch point. An empty result is nothing to do.
template <class T>
void forward_anywhere(const Context& ctx, const ConvShape& shape, const T* x, const T* weight,
                      const T* bias, T* y) {
  if (shape.batch * shape.outputs * shape.positions() == 0) return;
  if constexpr (built_with_cuda)
    if (ctx.backend() == Backend::cuda)
      return cuda::conv_forward<T>(ctx, shape, x, weight, bias, y);
  if (convolves_columns<T>(shape)) return conv_columns_forward<T>(ctx, shape, x, weight, bias, y);
  if (is_matrix_product(shape)) return multiply_forward<T>(ctx, shape, x, weight, bias, y);
  conv_forward<T>(ctx, shape, x, weight, bias, y);
}

template <class T>
void backward_anywhere(const Context& ctx, const ConvShape& shape, const T* x, const T* weight,
                       const T* dy, T* dx, T* dweight, T* dbias) {
  if (shape.batch * shape.inputs * shape.outputs * shape.positions() == 0) return;
  if constexpr (built_with_cuda)
    if (ctx.backend() == Backend::cuda)
      return cuda::conv_backward<T>(ctx, shape, x, weight, dy, dx, dweight, dbias);
  add_bias_gradient(ctx, shape, dy, dbias);
  if (convolves_columns<T>(shape))
    return conv_columns_backward<T>(ctx, shape, x, weight, dy, dx, dweight);
  if (is_matrix_product(shape)) return multiply_backward<T>(ctx, shape, x, weight, dy, dx, dweight);
  conv_backward<T>(ctx, shape, x, weight, dy, dx, dweight);
}

void require_window(const char* operation, Index window, Index length) {
  require(window % 2 == 1, operation, "the window must be odd");
  require(window <= length, operation, "the window must not be longer than what it runs along");
}

template <class T>
ConvShape shape_1d(const char* operation, View<const T, 3> x, View<const T, 3> weight,
                   View<const T, 3> y) {
  const Index outputs = weight.extent(0), window = weight.extent(2), length = x.extent(2);
  require_shape(operation, "weight", weight, {outputs, x.extent(1), window});
  require_shape(operation, "y", y, {x.extent(0), outputs, length});
  require_window(operation, window, length);
  return {x.extent(0), x.extent(1), outputs, 1, length, 1, window};
}

template <class T>
ConvShape shape_2d(const char* operation, View<const T, 4> x, View<const T, 4> weight,
                   View<const T, 4> y) {
  const Index outputs = weight.extent(0), rows = weight.extent(2), columns = weight.extent(3);
  const Index height = x.extent(2), width = x.extent(3);
  require_shape(operation, "weight", weight, {outputs, x.extent(1), rows, columns});
  require_shape(operation, "y", y, {x.extent(0), outputs, height, width});
  require_window(operation, rows, height);
  require_window(operation, columns, width);
  return {x.extent(0), x.extent(1), outputs, height, width, rows, columns};
}

}  // namespace

template <class T>
void conv1d_forward(const Context& ctx, View<const T, 3> x, View<const T, 3> weight,
                    View<const T, 1> bias, View<T, 3> y) {
  const ConvShape shape = shape_1d<T>("conv1d_forward", x, weight, y);
  require_shape("conv1d_forward", "bias", bias, {shape.outputs});
  forward_anywhere<T>(ctx, shape, x.data, weight.data, bias.data, y.data);
}

template <class T>
void conv2d_forward(const Context& ctx, View<const T, 4> x, View<const T, 4> weight,
                    View<const T, 1> bias, View<T, 4> y) {
  const ConvShape shape = shape_2d<T>("conv2d_forward", x, weight, y);
  require_shape("conv2d_forward", "bias", bias, {shape.outputs});
  forward_anywhere<T>(ctx, shape, x.data, weight.data, bias.data, y.data);
}

template <class T>
void conv1d_backward(const Context& ctx, View<const T, 3> x, View<const T, 3> weight,
                     View<const T, 3> dy, View<T, 3> dx, View<T, 3> dweight, View<T, 1> dbias) {
  const ConvShape shape = shape_1d<T>("conv1d_backward", x, weight, dy);
  if (dx.data) require_shape("conv1d_backward", "dx", dx, {shape.batch, shape.inputs, shape.width});
  require_shape("conv1d_backward", "dweight", dweight,
                {shape.outputs, shape.inputs, shape.window_columns});
  require_shape("conv1d_backward", "dbias", dbias, {shape.outputs});
  backward_anywhere<T>(ctx, shape, x.data, weight.data, dy.data, dx.data, dweight.data, dbias.data);
}

template <class T>
void conv2d_backward(const Context& ctx, View<const T, 4> x, View<const T, 4> weight,
                     View<const T, 4> dy, View<T, 4> dx, View<T, 4> dweight, View<T, 1> dbias) {
  const ConvShape shape = shape_2d<T>("conv2d_backward", x, weight, dy);
  if (dx.data)
    require_shape("conv2d_backward", "dx", dx,
                  {shape.batch, shape.inputs, shape.height, shape.width});
  require_shape("conv2d_backward", "dweight", dweight,
                {shape.outputs, shape.inputs, shape.window_rows, shape.window_columns});
  require_shape("conv2d_backward", "dbias", dbias, {shape.outputs});
  backward_anywhere<T>(ctx, shape, x.data, weight.data, dy.data, dx.data, dweight.data, dbias.data);
}

template void conv1d_forward(const Context&, View<const float, 3>, View<const float, 3>,
                             View<const float, 1>, View<float, 3>);
template void conv1d_forward(const Context&, View<const double, 3>, View<const double, 3>,
                             View<const double, 1>, View<double, 3>);
template void conv2d_forward(const Context&, View<const float, 4>, View<const float, 4>,
                             View<const float, 1>, View<float, 4>);
template void conv2d_forward(const Context&, View<const double, 4>, View<const double, 4>,
                             View<const double, 1>, View<double, 4>);
template void conv1d_backward(const Context&, View<const float, 3>, View<const float, 3>,
                              View<const float, 3>, View<float, 3>, View<float, 3>, View<float, 1>);
template void conv1d_backward(const Context&, View<const double, 3>, View<const double, 3>,
                              View<const double, 3>, View<double, 3>, View<double, 3>,
                              View<double, 1>);
template void conv2d_backward(const Context&, View<const float, 4>, View<const float, 4>,
                              View<const float, 4>, View<float, 4>, View<float, 4>, View<float, 1>);
template void conv2d_backward(const Context&, View<const double, 4>, View<const double, 4>,
                              View<const double, 4>, View<double, 4>, View<double, 4>,
                              View<double, 1>);

}  // namespace orrery
