#pragma once

#include "kernels/view.hpp"

namespace orrery {

/// Sizes of a circular convolution in two dimensions; in one dimension height = window_rows = 1.
///   x (batch, inputs, height, width)  weight (outputs, inputs, window_rows, window_columns)
///   y (batch, outputs, height, width)
struct ConvShape {
  Index batch, inputs, outputs;
  Index height, width;
  Index window_rows, window_columns;

  ORRERY_HOST_DEVICE Index positions() const { return height * width; }
  ORRERY_HOST_DEVICE Index window() const { return window_rows * window_columns; }
  ORRERY_HOST_DEVICE Index weights() const { return outputs * inputs * window(); }
};

}  // namespace orrery
