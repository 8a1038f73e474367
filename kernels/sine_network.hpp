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

  /// A layer's sizes, and where its matrix (outputs, inputs) and its bias lie in the flat block.
  struct Layer {
    Index inputs, outputs, weight, bias;
  };

  /// The sine layers, and the linear one that gives the outputs.
  ORRERY_HOST_DEVICE Index layers() const { return hidden_layers + 2; }
  ORRERY_HOST_DEVICE Layer layer(Index l) const {
    const Index from = l == 0 ? inputs : width, to = l > hidden_layers ? outputs : width;
    const Index weight = l == 0 ? 0 : width * (inputs + 1) + (l - 1) * width * (width + 1);
    return {from, to, weight, weight + to * from};
  }
  ORRERY_HOST_DEVICE Index parameter_count() const {
    return layer(hidden_layers + 1).bias + outputs;
  }
  /// Of a sine layer.
  ORRERY_HOST_DEVICE double frequency(Index l) const {
    return l == 0 ? first_frequency : hidden_frequency;
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
