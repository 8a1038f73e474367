#pragma once

#include "kernels/context.hpp"
#include "kernels/view.hpp"

namespace orrery {

/// Circular convolution: y[b,o,i] = bias[o] + sum_{c,t} w[o,c,t] x[b,c,(i + t - N/2) mod L].
/// Shapes   x (B,C,L)  w (O,C,N)  bias (O)  y (B,O,L);  N odd, N <= L.
/// Throws   std::invalid_argument on a shape mismatch or an even or too long window.
/// Cost     2 B O C N L flop; deterministic on both backends. T is float or double.
/// Source   Khoo, Paul, Sharon 2023, appendix A (conv1D_{w,c}).
template <class T>
void conv1d_forward(const Context& ctx, View<const T, 3> x, View<const T, 3> weight,
                    View<const T, 1> bias, View<T, 3> y);

/// Gradients of conv1d_forward. dx is overwritten, dweight and dbias are added to; an empty dx
/// (null data) is not computed.
///   dx[b,c,j] = sum_{o,t} w[o,c,t] dy[b,o,(j - t + N/2) mod L]
///   dweight[o,c,t] += sum_{b,i} dy[b,o,i] x[b,c,(i + t - N/2) mod L]
///   dbias[o] += sum_{b,i} dy[b,o,i]
/// Shapes   x, dx (B,C,L)  w, dweight (O,C,N)  dy (B,O,L)  dbias (O).
/// Throws   as conv1d_forward.
/// Cost     4 B O C N L flop, half of them for dx; deterministic on both backends.
template <class T>
void conv1d_backward(const Context& ctx, View<const T, 3> x, View<const T, 3> weight,
                     View<const T, 3> dy, View<T, 3> dx, View<T, 3> dweight, View<T, 1> dbias);

/// Circular convolution in two dimensions, windows M x N, images H x W:
///   y[b,o,i,j] = bias[o] + sum_{c,s,t} w[o,c,s,t] x[b,c,(i + s - M/2) mod H,(j + t - N/2) mod W].
/// Shapes   x (B,C,H,W)  w (O,C,M,N)  bias (O)  y (B,O,H,W);  M and N odd, M <= H, N <= W.
/// Throws   as conv1d_forward.
/// Cost     2 B O C M N H W flop; deterministic on both backends.
/// Source   as conv1d_forward.
template <class T>
void conv2d_forward(const Context& ctx, View<const T, 4> x, View<const T, 4> weight,
                    View<const T, 1> bias, View<T, 4> y);

/// Gradients of conv2d_forward, as conv1d_backward those of conv1d_forward.
/// Shapes   x, dx (B,C,H,W)  w, dweight (O,C,M,N)  dy (B,O,H,W)  dbias (O).
/// Throws   as conv1d_forward.
/// Cost     4 B O C M N H W flop, half of them for dx; deterministic on both backends.
template <class T>
void conv2d_backward(const Context& ctx, View<const T, 4> x, View<const T, 4> weight,
                     View<const T, 4> dy, View<T, 4> dx, View<T, 4> dweight, View<T, 1> dbias);

}  // namespace orrery
