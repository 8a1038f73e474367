#include "kernels/conv.hpp"

#include <algorithm>

#include "kernels/check.hpp"
#include "kernels/conv_columns.hpp"
#include "kernels/conv_shape.hpp"
#include "kernels/gemm.hpp"
#include "kernels/parallel_tasks.hpp"
#include "kernels/shares.hpp"
#include "kernels/tensor.hpp"

// The CPU twin: matrix products do the arithmetic. A window of M x N weights turns each channel
// into M N shifted copies, and it is the side with fewer channels that is unfolded so. With few
// inputs, the shifted inputs are multiplied by the weights; with few outputs (thousands of channels
// of a second moment come in, eight go out), the inputs are multiplied first, each number being
// read once, and the products are shifted and added. Windows one column wide have a twin of their
// own (kernels/conv_columns.hpp), and windows of one weight need none of this.

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

bool unfolds_input(const ConvShape& shape) { return shape.inputs <= shape.outputs; }

Index unfolded_rows(const ConvShape& shape) {
  return std::min(shape.inputs, shape.outputs) * shape.window();
}

Index wrapped(Index i, Index length) { return ((i % length) + length) % length; }

enum class Shift { along = 1, against = -1 };

/// Where weight (s, t) finds the number that belongs to position (i, j): in row
/// i + rows_down mod height, at column j + columns_right mod width.
struct Offset {
  Index rows_down, columns_right;
  Offset(const ConvShape& shape, Index weight, Shift shift)
      : rows_down(wrapped(
            static_cast<Index>(shift) * (weight / shape.window_columns - shape.window_rows / 2),
            shape.height)),
        columns_right(wrapped(
            static_cast<Index>(shift) * (weight % shape.window_columns - shape.window_columns / 2),
            shape.width)) {}
};

/// columns[(k,s,t), p] = z[k, p shifted by (s,t)]
template <class T>
void unfold(const Context& ctx, const ConvShape& shape, Shift shift, const T* z,
            View<T, 2> columns) {
  const Index height = shape.height, width = shape.width;
  const int threads = threads_for(ctx, columns.size());
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (Index row = 0; row < columns.extent(0); ++row) {
    const Offset offset(shape, row % shape.window(), shift);
    const T* channel = z + row / shape.window() * shape.positions();
    for (Index i = 0; i < height; ++i) {
      const T* from = channel + (i + offset.rows_down) % height * width;
      T* to = &columns(row, i * width);
      std::copy(from + offset.columns_right, from + width, to);
      std::copy(from, from + offset.columns_right, to + width - offset.columns_right);
    }
  }
}

/// z[k, p] = bias[k] + sum_{s,t} columns[(k,s,t), p shifted by (s,t)]; without bias when null.
template <class T>
void fold(const Context& ctx, const ConvShape& shape, Shift shift, View<const T, 2> columns,
          const T* bias, T* z) {
  const Index height = shape.height, width = shape.width;
  const Index channels = columns.extent(0) / shape.window();
  const int threads = threads_for(ctx, columns.size());
#pragma omp parallel for collapse(2) schedule(static) num_threads(threads) if (threads > 1)
  for (Index k = 0; k < channels; ++k)
    for (Index i = 0; i < height; ++i) {
      T* to = z + (k * height + i) * width;
      std::fill(to, to + width, bias ? bias[k] : T(0));
      for (Index weight = 0; weight < shape.window(); ++weight) {
        const Offset offset(shape, weight, shift);
        const T* from =
            &columns(k * shape.window() + weight, (i + offset.rows_down) % height * width);
        const Index until_wrap = width - offset.columns_right;
#pragma omp simd
        for (Index j = 0; j < until_wrap; ++j) to[j] += from[j + offset.columns_right];
#pragma omp simd
        for (Index j = until_wrap; j < width; ++j) to[j] += from[j - until_wrap];
      }
    }
}

/// The weights as a matrix that multiplies unfolded channels: (outputs, (inputs,s,t)) as they lie
/// in memory when the input is unfolded, and ((outputs,s,t), inputs) when the output is.
template <class T>
View<const T, 2> weight_matrix(const ConvShape& shape, const T* weight, Tensor<T, 2>& rearranged) {
  if (unfolds_input(shape))
    return View<const T, 2>(weight, shape.outputs, shape.inputs * shape.window());
  rearranged = Tensor<T, 2>(Context::cpu(1), shape.outputs * shape.window(), shape.inputs);
  for (Index o = 0; o < shape.outputs; ++o)
    for (Index c = 0; c < shape.inputs; ++c)
      for (Index w = 0; w < shape.window(); ++w) rearranged(o * shape.window() + w, c) = *weight++;
  return rearranged;
}

/// dweight += the gradient of the matrix of weight_matrix.
template <class T>
void add_weight_gradient(const ConvShape& shape, const T* matrix, T* dweight) {
  const bool as_it_lies = unfolds_input(shape);
  for (Index o = 0; o < shape.outputs; ++o)
    for (Index c = 0; c < shape.inputs; ++c)
      for (Index w = 0; w < shape.window(); ++w)
        *dweight++ += as_it_lies ? *matrix++ : matrix[(o * shape.window() + w) * shape.inputs + c];
}

/// One sample forward; `columns` is scratch.
template <class T>
void forward_sample(const Context& ctx, const ConvShape& shape, const T* x, View<const T, 2> weight,
                    const T* bias, T* y, View<T, 2> columns) {
  const Index positions = shape.positions();
  if (unfolds_input(shape)) {
    unfold(ctx, shape, Shift::along, x, columns);
    for (Index o = 0; o < shape.outputs; ++o) std::fill_n(y + o * positions, positions, bias[o]);
    gemm<T>(ctx, Transpose::no, Transpose::no, T(1), weight, columns, T(1),
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
  if (unfolds_input(shape)) {
    unfold(ctx, shape, Shift::along, x, columns);
    gemm<T>(ctx, Transpose::no, Transpose::yes, T(1), dy_matrix, columns, T(1), dweight);
    if (!dx) return;
    gemm<T>(ctx, Transpose::yes, Transpose::no, T(1), weight, dy_matrix, T(0), columns);
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
  Tensor<T, 2> rearranged;
  const auto matrix = weight_matrix(shape, weight, rearranged);
  for_each_share(ctx, shape.batch, [&](const Context& mine, Index first, Index last, Index) {
    Tensor<T, 2> columns(mine, unfolded_rows(shape), shape.positions());
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
  Tensor<T, 2> rearranged;
  const auto matrix = weight_matrix(shape, weight, rearranged);
  auto gradients = Tensor<T, 3>::zeros(Context::cpu(1), shares, matrix.extent(0), matrix.extent(1));
  for_each_share(ctx, shape.batch, [&](const Context& mine, Index first, Index last, Index share) {
    Tensor<T, 2> columns(mine, unfolded_rows(shape), positions);
    for (Index b = first; b < last; ++b)
      backward_sample<T>(
          mine, shape, x + b * shape.inputs * positions, matrix, dy + b * shape.outputs * positions,
          dx ? dx + b * shape.inputs * positions : nullptr, gradients.view()[share], columns);
  });
  for (Index share = 0; share < shares; ++share)
    add_weight_gradient(shape, &gradients(share, 0, 0), dweight);
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
