#pragma once

#include "kernels/context.hpp"
#include "kernels/view.hpp"

namespace orrery {

/// A sine network (SIREN): coordinates -> sine layers -> linear outputs.
///   a_1 = sin(w_first (W_1 x + b_1)),  a_l = sin(w_hidden (W_l a_{l-1} + b_l)),  y = W a_L + b.
/// Parameters lie flat in the order W_1 (width, inputs), b_1 (width), then for each hidden layer
/// W_l (width, width), b_l (width), then W (outputs, width), b (outputs).
struct SineNetworkShape {
  Index inputs = 3;
  Index width = 256;
  Index hidden_layers = 3;  // sine layers after the first
  Index outputs = 2;
  double first_frequency = 30.0;
  double hidden_frequency = 30.0;

  ORRERY_HOST_DEVICE Index parameter_count() const {
    return width * (inputs + 1) + hidden_layers * width * (width + 1) + outputs * (width + 1);
  }
  /// Offset of layer l's weight matrix (l = 0 .. hidden_layers + 1); its bias follows the matrix.
  ORRERY_HOST_DEVICE Index weight_offset(Index layer) const {
    if (layer == 0) return 0;
    return width * (inputs + 1) + (layer - 1) * width * (width + 1);
  }
};

/// y = network(x). Both twins work in blocks of points: memory does not grow with N beyond x and y.
/// Shapes   parameters (shape.parameter_count())  x (N, inputs)  y (N, outputs).
/// Throws   std::invalid_argument on a shape mismatch.
/// Cost     2 N parameter_count flop and N width (hidden_layers + 1) sines. CUDA: one kernel for
///          float up to 256 neurons a layer; hidden layers in the context's precision,
///          with TF32 the sine to 1e-6; first layer and outputs always in FP32.
template <class T>
void sine_network_forward(const Context& ctx, const SineNetworkShape& shape,
                          View<const T, 1> parameters, View<const T, 2> x, View<T, 2> y);

/// Gradient with respect to the parameters (added into dparameters). Activations are computed
/// again, block by block, instead of being kept. Deterministic: the points are cut into a fixed
/// number of shares whose gradients are added in order, whatever the number of threads or
/// multiprocessors.
/// Shapes   parameters, dparameters (shape.parameter_count())  x (N, inputs)  dy (N, outputs).
/// Throws   std::invalid_argument on a shape mismatch.
/// Cost     3 times the forward pass; on CUDA up to 256 times the parameters and, of networks that
///          do not fit shared memory, 256 tiles of 64 points of scratch.
template <class T>
void sine_network_backward(const Context& ctx, const SineNetworkShape& shape,
                           View<const T, 1> parameters, View<const T, 2> x, View<const T, 2> dy,
                           View<T, 1> dparameters);

}  // namespace orrery
