#include "kernels/pointwise.hpp"

#include <cmath>

#include "kernels/check.hpp"
#include "kernels/fast_sine.hpp"
#include "kernels/parallel_for.hpp"
#include "kernels/shares.hpp"

namespace orrery {

namespace cuda {
template <class T>
void softmax_forward(const Context&, View<const T, 2> x, View<T, 2> y);
template <class T>
void softmax_backward(const Context&, View<const T, 2> y, View<const T, 2> dy, View<T, 2> dx);
}  // namespace cuda

namespace {

template <class T>
struct LeakyReluForward {
  T slope;
  const T* x;
  T* y;
  ORRERY_HOST_DEVICE void operator()(Index i) const {
    const T number = x[i], scaled = slope * number;  // both always: a branch would not vectorise
    y[i] = number > 0 ? number : scaled;
  }
};

template <class T>
struct LeakyReluBackward {
  T slope;
  const T *x, *dy;
  T* dx;
  ORRERY_HOST_DEVICE void operator()(Index i) const {
    const T gradient = dy[i], scaled = slope * gradient;
    dx[i] = x[i] > 0 ? gradient : scaled;
  }
};

template <class T>
struct TanhForward {
  const T* x;
  T* y;
  ORRERY_HOST_DEVICE void operator()(Index i) const { y[i] = std::tanh(x[i]); }
};

template <class T>
struct TanhBackward {
  const T *y, *dy;
  T* dx;
  ORRERY_HOST_DEVICE void operator()(Index i) const { dx[i] = (1 - y[i] * y[i]) * dy[i]; }
};

template <class T>
struct SineForward {
  T frequency;
  const T* x;
  T* y;
  ORRERY_HOST_DEVICE void operator()(Index i) const { y[i] = fast_sine(frequency * x[i]); }
};

template <class T>
struct SineBackward {
  T frequency;
  const T *x, *dy;
  T* dx;
  ORRERY_HOST_DEVICE void operator()(Index i) const {
    dx[i] = frequency * fast_sine_cosine(frequency * x[i]).cosine * dy[i];
  }
};

template <class T>
struct AddScaled {
  T alpha;
  const T* x;
  T* y;
  ORRERY_HOST_DEVICE void operator()(Index i) const { y[i] += alpha * x[i]; }
};

template <class T>
struct Scale {
  T alpha;
  T* x;
  ORRERY_HOST_DEVICE void operator()(Index i) const { x[i] *= alpha; }
};

constexpr Index worth_a_thread = 4096;  // numbers of a softmax

template <class T>
void softmax_of_row(const T* x, T* y, Index length) {
  T largest = x[0];
  for (Index j = 1; j < length; ++j) largest = largest < x[j] ? x[j] : largest;
  double total = 0;
  for (Index j = 0; j < length; ++j) {
    y[j] = std::exp(x[j] - largest);
    total += y[j];
  }
  const T scale = static_cast<T>(1 / total);
  for (Index j = 0; j < length; ++j) y[j] *= scale;
}

template <class T>
void softmax_gradient_of_row(const T* y, const T* dy, T* dx, Index length) {
  double mean = 0;
  for (Index j = 0; j < length; ++j) mean += static_cast<double>(y[j]) * dy[j];
  const T subtracted = static_cast<T>(mean);
  for (Index j = 0; j < length; ++j) dx[j] = y[j] * (dy[j] - subtracted);
}

}  // namespace

template <class T>
void leaky_relu_forward(const Context& ctx, T slope, View<const T, 1> x, View<T, 1> y) {
  require_shape("leaky_relu_forward", "y", y, {x.size()});
  parallel_for(ctx, "leaky relu", x.size(), LeakyReluForward<T>{slope, x.data, y.data});
}

template <class T>
void leaky_relu_backward(const Context& ctx, T slope, View<const T, 1> x, View<const T, 1> dy,
                         View<T, 1> dx) {
  require_shape("leaky_relu_backward", "dy", dy, {x.size()});
  require_shape("leaky_relu_backward", "dx", dx, {x.size()});
  parallel_for(ctx, "leaky relu backward", x.size(),
               LeakyReluBackward<T>{slope, x.data, dy.data, dx.data});
}

template <class T>
void tanh_forward(const Context& ctx, View<const T, 1> x, View<T, 1> y) {
  require_shape("tanh_forward", "y", y, {x.size()});
  parallel_for(ctx, "tanh", x.size(), TanhForward<T>{x.data, y.data});
}

template <class T>
void tanh_backward(const Context& ctx, View<const T, 1> y, View<const T, 1> dy, View<T, 1> dx) {
  require_shape("tanh_backward", "dy", dy, {y.size()});
  require_shape("tanh_backward", "dx", dx, {y.size()});
  parallel_for(ctx, "tanh backward", y.size(), TanhBackward<T>{y.data, dy.data, dx.data});
}

template <class T>
void sine_forward(const Context& ctx, T frequency, View<const T, 1> x, View<T, 1> y) {
  require_shape("sine_forward", "y", y, {x.size()});
  parallel_for(ctx, "sine", x.size(), SineForward<T>{frequency, x.data, y.data});
}

template <class T>
void sine_backward(const Context& ctx, T frequency, View<const T, 1> x, View<const T, 1> dy,
                   View<T, 1> dx) {
  require_shape("sine_backward", "dy", dy, {x.size()});
  require_shape("sine_backward", "dx", dx, {x.size()});
  parallel_for(ctx, "sine backward", x.size(),
               SineBackward<T>{frequency, x.data, dy.data, dx.data});
}

template <class T>
void add_scaled(const Context& ctx, T alpha, View<const T, 1> x, View<T, 1> y) {
  require_shape("add_scaled", "y", y, {x.size()});
  parallel_for(ctx, "add scaled", x.size(), AddScaled<T>{alpha, x.data, y.data});
}

template <class T>
void scale(const Context& ctx, T alpha, View<T, 1> x) {
  parallel_for(ctx, "scale", x.size(), Scale<T>{alpha, x.data});
}

template <class T>
void softmax_forward(const Context& ctx, View<const T, 2> x, View<T, 2> y) {
  const Index rows = x.extent(0), length = x.extent(1);
  require_shape("softmax_forward", "y", y, {rows, length});
  if (x.size() == 0) return;
  if constexpr (built_with_cuda)
    if (ctx.backend() == Backend::cuda) return cuda::softmax_forward<T>(ctx, x, y);
  const int threads = threads_for(ctx, x.size(), worth_a_thread);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (Index r = 0; r < rows; ++r) softmax_of_row(&x(r, 0), &y(r, 0), length);
}

template <class T>
void softmax_backward(const Context& ctx, View<const T, 2> y, View<const T, 2> dy, View<T, 2> dx) {
  const Index rows = y.extent(0), length = y.extent(1);
  require_shape("softmax_backward", "dy", dy, {rows, length});
  require_shape("softmax_backward", "dx", dx, {rows, length});
  if (y.size() == 0) return;
  if constexpr (built_with_cuda)
    if (ctx.backend() == Backend::cuda) return cuda::softmax_backward<T>(ctx, y, dy, dx);
  const int threads = threads_for(ctx, y.size(), worth_a_thread);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (Index r = 0; r < rows; ++r) softmax_gradient_of_row(&y(r, 0), &dy(r, 0), &dx(r, 0), length);
}

template void leaky_relu_forward(const Context&, float, View<const float, 1>, View<float, 1>);
template void leaky_relu_backward(const Context&, float, View<const float, 1>, View<const float, 1>,
                                  View<float, 1>);
template void tanh_forward(const Context&, View<const float, 1>, View<float, 1>);
template void tanh_backward(const Context&, View<const float, 1>, View<const float, 1>,
                            View<float, 1>);
template void sine_forward(const Context&, float, View<const float, 1>, View<float, 1>);
template void sine_backward(const Context&, float, View<const float, 1>, View<const float, 1>,
                            View<float, 1>);
template void add_scaled(const Context&, float, View<const float, 1>, View<float, 1>);
template void scale(const Context&, float, View<float, 1>);
template void softmax_forward(const Context&, View<const float, 2>, View<float, 2>);
template void softmax_backward(const Context&, View<const float, 2>, View<const float, 2>,
                               View<float, 2>);

template void leaky_relu_forward(const Context&, double, View<const double, 1>, View<double, 1>);
template void leaky_relu_backward(const Context&, double, View<const double, 1>,
                                  View<const double, 1>, View<double, 1>);
template void tanh_forward(const Context&, View<const double, 1>, View<double, 1>);
template void tanh_backward(const Context&, View<const double, 1>, View<const double, 1>,
                            View<double, 1>);
template void sine_forward(const Context&, double, View<const double, 1>, View<double, 1>);
template void sine_backward(const Context&, double, View<const double, 1>, View<const double, 1>,
                            View<double, 1>);
template void add_scaled(const Context&, double, View<const double, 1>, View<double, 1>);
template void scale(const Context&, double, View<double, 1>);
template void softmax_forward(const Context&, View<const double, 2>, View<double, 2>);
template void softmax_backward(const Context&, View<const double, 2>, View<const double, 2>,
                               View<double, 2>);

}  // namespace orrery
