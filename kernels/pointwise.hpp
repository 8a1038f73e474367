#pragma once

#include "kernels/context.hpp"
#include "kernels/view.hpp"

namespace orrery {

// Pointwise functions and their backward passes. In every backward, dy is the gradient of the
// scalar loss with respect to the output y, and dx, which is overwritten, with respect to the input
// x. All lengths must agree (std::invalid_argument); outputs may be the same memory as inputs. T is
// float or double; deterministic on both backends.

/// y = x for x > 0, slope x otherwise.  Source: the paper's LReLU, slope 0.02.
template <class T>
void leaky_relu_forward(const Context& ctx, T slope, View<const T, 1> x, View<T, 1> y);
/// dx = dy for x > 0, slope dy otherwise.
template <class T>
void leaky_relu_backward(const Context& ctx, T slope, View<const T, 1> x, View<const T, 1> dy,
                         View<T, 1> dx);

/// y = tanh x
template <class T>
void tanh_forward(const Context& ctx, View<const T, 1> x, View<T, 1> y);
/// dx = (1 - y^2) dy, from the forward pass's output.
template <class T>
void tanh_backward(const Context& ctx, View<const T, 1> y, View<const T, 1> dy, View<T, 1> dx);

/// y = sin(frequency x), by the fast sine of kernels/fast_sine.hpp.
template <class T>
void sine_forward(const Context& ctx, T frequency, View<const T, 1> x, View<T, 1> y);
/// dx = frequency cos(frequency x) dy
template <class T>
void sine_backward(const Context& ctx, T frequency, View<const T, 1> x, View<const T, 1> dy,
                   View<T, 1> dx);

/// y += alpha x
template <class T>
void add_scaled(const Context& ctx, T alpha, View<const T, 1> x, View<T, 1> y);
/// x *= alpha
template <class T>
void scale(const Context& ctx, T alpha, View<T, 1> x);

/// Softmax of each row: y[r,j] = exp(x[r,j] - max_j x[r,j]) / sum_j exp(x[r,j] - max_j x[r,j]).
/// Shapes   x (rows, length)  y (rows, length).
template <class T>
void softmax_forward(const Context& ctx, View<const T, 2> x, View<T, 2> y);
/// dx[r,j] = y[r,j] (dy[r,j] - sum_i y[r,i] dy[r,i]), from the forward pass's output.
template <class T>
void softmax_backward(const Context& ctx, View<const T, 2> y, View<const T, 2> dy, View<T, 2> dx);

}  // namespace orrery
