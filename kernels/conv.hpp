#pragma once

#include "kernels/context.hpp"
#include "kernels/view.hpp"

namespace orrery {

/// Circular convolution: y[b,o,i] = bias[o] + sum_{c,t} w[o,c,t] x[b,c,(i + t - T/2) mod L].
/// Shapes   x (B,C,L)  w (O,C,T)  bias (O)  y (B,O,L);  T odd, T <= L.
/// Throws   std::invalid_argument on a shape mismatch or an even or too long window.
/// Cost     2 B O C T L flop; deterministic on both backends. Scalar is float or double.
/// Source   Khoo, Paul, Sharon 2023, appendix A (conv1D_{w,c}).
template <class Scalar>
void conv1d_forward(const Context& ctx, View<const Scalar, 3> x, View<const Scalar, 3> weight,
                    View<const Scalar, 1> bias, View<Scalar, 3> y);

/// Gradients of conv1d_forward. dx is overwritten, dweight and dbias are added to; an empty dx
/// (null data) is not computed.
///   dx[b,c,j] = sum_{o,t} w[o,c,t] dy[b,o,(j - t + T/2) mod L]
///   dweight[o,c,t] += sum_{b,i} dy[b,o,i] x[b,c,(i + t - T/2) mod L]
///   dbias[o] += sum_{b,i} dy[b,o,i]
/// Shapes and errors   as conv1d_forward, dy (B,O,L).
/// Cost     4 B O C T L flop.
template <class Scalar>
void conv1d_backward(const Context& ctx, View<const Scalar, 3> x, View<const Scalar, 3> weight,
                     View<const Scalar, 3> dy, View<Scalar, 3> dx, View<Scalar, 3> dweight,
                     View<Scalar, 1> dbias);

/// Circular convolution in two dimensions, windows S x T, images H x W:
///   y[b,o,i,j] = bias[o] + sum_{c,s,t} w[o,c,s,t] x[b,c,(i + s - S/2) mod H,(j + t - T/2) mod W].
/// Shapes   x (B,C,H,W)  w (O,C,S,T)  bias (O)  y (B,O,H,W);  S and T odd, S <= H, T <= W.
/// Throws, cost, source: as conv1d_forward, 2 B O C S T H W flop.
template <class Scalar>
void conv2d_forward(const Context& ctx, View<const Scalar, 4> x, View<const Scalar, 4> weight,
                    View<const Scalar, 1> bias, View<Scalar, 4> y);

/// Gradients of conv2d_forward, as conv1d_backward.
template <class Scalar>
void conv2d_backward(const Context& ctx, View<const Scalar, 4> x, View<const Scalar, 4> weight,
                     View<const Scalar, 4> dy, View<Scalar, 4> dx, View<Scalar, 4> dweight,
                     View<Scalar, 1> dbias);

}  // namespace orrery
