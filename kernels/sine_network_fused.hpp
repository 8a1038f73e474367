#pragma once

#include "kernels/sine_network.hpp"

// The CUDA twin of the sine networks has two forms: fused kernels for float up to a width, and
// chunks of points between library products for the rest (sine_network.cu chooses).

namespace orrery::cuda {

/// The widest network whose activations fit a block's shared memory.
inline constexpr Index widest_fused_network = 256;

void fused_sine_network_forward(const Context& ctx, const SineNetworkShape& shape,
                                View<const float, 1> parameters, View<const float, 2> x,
                                View<float, 2> y);

void fused_sine_network_backward(const Context& ctx, const SineNetworkShape& shape,
                                 View<const float, 1> parameters, View<const float, 2> x,
                                 View<const float, 2> dy, View<float, 1> dparameters);

}  // namespace orrery::cuda
