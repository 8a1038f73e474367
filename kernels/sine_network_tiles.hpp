#pragma once

#include "kernels/sine_network.hpp"

namespace orrery::tiles {

// The CPU twin of kernels/sine_network.hpp for processors with matrix tiles (AMX), which multiply
// bfloat16 numbers of 8 significant bits sixteen times as fast as vectors multiply floats. Every
// float is cut into two such numbers, x = high + low, and three of the four products are taken:
//   x y = high_x high_y + high_x low_y + low_x high_y,
// summed in float. What is left out is 2^-18 of the product, between TF32 (2^-11) and float
// (2^-24). Sines, slopes and the first and last layers are computed in float.

/// Whether the network can be computed so: hidden layers of a multiple of 32 units, and few enough
/// inputs and outputs.
bool fits(const SineNetworkShape& shape);

/// As the functions of kernels/sine_network.hpp, on so many threads. To be called only where
/// `available` (kernels/matrix_tiles.hpp) and `fits` say so. The result does not depend on the
/// number of threads.
/// Shapes   parameters, dparameters (shape.parameter_count())  x (points, inputs)
///          y, dy (points, outputs).
void sine_network_forward(int threads, const SineNetworkShape& shape, const float* parameters,
                          Index points, const float* x, float* y);
void sine_network_backward(int threads, const SineNetworkShape& shape, const float* parameters,
                           Index points, const float* x, const float* dy, float* dparameters);

}  // namespace orrery::tiles
