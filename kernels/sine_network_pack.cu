#include "kernels/sine_network_tile.cuh"

namespace orrery::cuda {
namespace {

/// Where a parameter lies: in which layer, and which connection of it.
struct Parameter {
  Index layer, neuron, input;  // input = the layer's number of inputs: the bias
};

__device__ Parameter parameter_at(const SineNetworkShape& shape, Index position) {
  Index layer = 0;
  while (layer <= shape.hidden_layers && position >= shape.layer(layer + 1).weight) ++layer;
  const auto [inputs, neurons, weight, bias] = shape.layer(layer);
  if (position >= bias) return {layer, position - bias, inputs};
  return {layer, (position - weight) / inputs, (position - weight) % inputs};
}

__device__ Index packed_position(const SineNetworkShape& shape, const SineNetworkShape& padded,
                                 const Parameter& p, bool hidden_by_inputs) {
  const auto [inputs, neurons, weight, bias] = padded.layer(p.layer);
  if (p.input == shape.layer(p.layer).inputs) return bias + p.neuron;
  const bool hidden = p.layer > 0 && p.layer <= shape.hidden_layers;
  const bool by_inputs = p.layer == 0 || (hidden && hidden_by_inputs);
  return weight + (by_inputs ? p.input * neurons + p.neuron : p.neuron * inputs + p.input);
}

/// A thread a parameter. Only hidden layers' matrices meet tensor cores; all else stays FP32.
template <Precision precision>
__global__ void pack_parameters(SineNetworkShape shape, SineNetworkShape padded,
                                View<const float, 1> parameters, bool by_inputs,
                                View<float, 1> packed) {
  const Index i = Index(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= parameters.extent(0)) return;
  const Parameter p = parameter_at(shape, i);
  const bool multiplied = p.layer > 0 && p.layer <= shape.hidden_layers && p.input < shape.width;
  packed(packed_position(shape, padded, p, by_inputs)) =
      multiplied ? as_factor<precision>(parameters(i)) : parameters(i);
}

/// A thread a parameter: neighbours read neighbouring numbers of each share.
__global__ void add_shares(SineNetworkShape shape, SineNetworkShape padded,
                           View<const float, 2> shares, View<float, 1> dparameters) {
  const Index i = Index(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= dparameters.extent(0)) return;
  const Index position = packed_position(shape, padded, parameter_at(shape, i), false);
  float sum = 0;
  for (Index share = 0; share < shares.extent(0); ++share) sum += shares(share, position);
  dparameters(i) += sum;
}

}  // namespace

template <Precision precision>
void pack_sine_network(const Context& ctx, const SineNetworkShape& shape,
                       const SineNetworkShape& padded, View<const float, 1> parameters,
                       bool by_inputs, View<float, 1> packed) {
  set_zero<float, 1>(ctx, packed);
  launch(ctx, "sine network, pack", pack_parameters<precision>,
         dim3(blocks_for(parameters.size(), sine_threads)), dim3(sine_threads), 0, shape, padded,
         parameters, by_inputs, packed);
}

void add_packed_shares(const Context& ctx, const SineNetworkShape& shape,
                       const SineNetworkShape& padded, View<const float, 2> shares,
                       View<float, 1> dparameters) {
  launch(ctx, "sine network, add shares", add_shares,
         dim3(blocks_for(dparameters.size(), sine_threads)), dim3(sine_threads), 0, shape, padded,
         shares, dparameters);
}

#define ORRERY_INSTANTIATE(precision)                                                             \
  template void pack_sine_network<precision>(const Context&, const SineNetworkShape&,             \
                                             const SineNetworkShape&, View<const float, 1>, bool, \
                                             View<float, 1>);
ORRERY_INSTANTIATE(Precision::fp32)
ORRERY_INSTANTIATE(Precision::three_tf32)
ORRERY_INSTANTIATE(Precision::tf32)
#undef ORRERY_INSTANTIATE

}  // namespace orrery::cuda
