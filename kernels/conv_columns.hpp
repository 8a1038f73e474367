#pragma once

#include "kernels/context.hpp"
#include "kernels/conv_shape.hpp"

namespace orrery {

// The CPU twin of conv2d for windows one column wide. Such a window moves down the rows and never
// across, so that the columns are as many signals, convolved alike: a batch whose samples lie
// innermost. A vector register takes one position of sixteen signals (eight in double), whatever
// their length and the number of channels.

/// Whether that is worth it: a window of more than one row, and columns that fill a register.
template <class T>
bool convolves_columns(const ConvShape& shape);

/// As conv2d_forward.
template <class T>
void conv_columns_forward(const Context& ctx, const ConvShape& shape, const T* x, const T* weight,
                          const T* bias, T* y);

/// As conv2d_backward, but for the bias; dx may be null. The weight gradients of a fixed number of
/// shares of the columns are added in order, whatever the number of threads.
template <class T>
void conv_columns_backward(const Context& ctx, const ConvShape& shape, const T* x, const T* weight,
                           const T* dy, T* dx, T* dweight);

}  // namespace orrery
