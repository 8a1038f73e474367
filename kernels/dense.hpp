#pragma once

#include "kernels/context.hpp"
#include "kernels/view.hpp"

namespace orrery {

/// Dense (fully connected) layer: y[b,o] = bias[o] + sum_i weight[o,i] x[b,i].
/// Shapes   x (B,I)  weight (O,I)  bias (O)  y (B,O).
/// Throws   std::invalid_argument on a shape mismatch.
/// Cost     2 B I O flop; deterministic on both backends. T is float or double.
template <class T>
void dense_forward(const Context& ctx, View<const T, 2> x, View<const T, 2> weight,
                   View<const T, 1> bias, View<T, 2> y);

/// Gradients of dense_forward: dx = dy weight (overwritten), dweight += dy^T x, dbias += sum_b dy.
/// An empty dx (null data) is not computed.
/// Shapes   x, dx (B,I)  weight, dweight (O,I)  dy (B,O)  dbias (O).
/// Throws   std::invalid_argument on a shape mismatch.
/// Cost     4 B I O flop, half of them for dx; deterministic on both backends.
template <class T>
void dense_backward(const Context& ctx, View<const T, 2> x, View<const T, 2> weight,
                    View<const T, 2> dy, View<T, 2> dx, View<T, 2> dweight, View<T, 1> dbias);

}  // namespace orrery
