#include "kernels/sine_network_fused.hpp"
#include "kernels/sine_network_tile.cuh"
#include "kernels/tensor.hpp"

// The more points a tile has, the less often the weights are read: 128 is what shared memory holds
// at the greatest width.

namespace orrery::cuda {
namespace {

template <int width>
using Tile = SineTile<128, width>;

/// y = W a + b: four neighbouring lanes share a point, and add their sums by shuffles.
template <class Tile>
__device__ void write_outputs(const SineNetworkShape& padded, const float* head,
                              const float* activations, int points, float* y) {
  const int quarter = threadIdx.x % 4, outputs = static_cast<int>(padded.outputs);
  const float* bias = head + outputs * Tile::width;
  for (int point = threadIdx.x / 4; point < Tile::points; point += sine_threads / 4)
    for (int o = 0; o < outputs; ++o) {
      float sum = 0;
      for (int j = 2 * quarter; j < Tile::width; j += 8) {
        const float2 a = pair_at(activations + point * Tile::pitch + j);
        const float* weight = head + o * Tile::width + j;
        sum += a.x * weight[0] + a.y * weight[1];
      }
      sum += __shfl_xor_sync(0xffffffffu, sum, 1);
      sum += __shfl_xor_sync(0xffffffffu, sum, 2);
      if (quarter == 0 && point < points) y[point * outputs + o] = sum + bias[o];
    }
}

/// Two blocks a multiprocessor where 128 registers a thread are enough for it.
template <Precision precision, int width>
constexpr int blocks_together = width > 128 || (width > 96 && precision == Precision::three_tf32)
                                    ? 1
                                    : 2;

template <Precision precision, int width>
__global__ void __launch_bounds__(sine_threads, (blocks_together<precision, width>))
    sine_network_tiles(SineNetworkShape padded, const float* packed, View<const float, 2> x,
                       View<float, 2> y) {
  using Tile = Tile<width>;
  float* activations = dynamic_shared<float>();
  WeightStream<width> weights(activations + Tile::numbers);
  const Index first = Index(blockIdx.x) * Tile::points;
  const int points = static_cast<int>(min(Index{Tile::points}, x.extent(0) - first));
  const int hidden = static_cast<int>(padded.hidden_layers);
  const auto weight = [&](int l) { return packed + padded.layer(l).weight; };
  // The last activations meet the head in FP32 and are not rounded.
  const auto activation = [&](int l, float phase) {
    const float a = sine_of<precision>(phase);
    return l < hidden ? as_factor<precision>(a) : a;
  };

  if (hidden > 0) weights.start(weight(1));
  first_layer_phases<Tile>(padded, packed, &x(first, 0), points, [&](int p, int j, float phase) {
    activations[p * Tile::pitch + j] = activation(0, phase);
  });
  const float frequency = static_cast<float>(padded.hidden_frequency);
  for (int l = 1; l <= hidden; ++l) {
    float sum[Tile::row_tiles][Tile::column_tiles][4];
    multiply_by_weights<precision, Tile>(activations, weights, sum);
    __syncthreads();  // all have read the activations, and all slabs
    if (l < hidden) weights.start(weight(l + 1));
    const float* bias = packed + padded.layer(l).bias + Tile::first_column();
    float* out = activations + Tile::first_row() * Tile::pitch + Tile::first_column();
    for_each_pair(sum, [&](int row, int column, float left, float right) {
      pair_at(out + row * Tile::pitch + column) =
          make_float2(activation(l, frequency * (left + bias[column])),
                      activation(l, frequency * (right + bias[column + 1])));
    });
  }
  __syncthreads();
  write_outputs<Tile>(padded, weight(hidden + 1), activations, points, &y(first, 0));
}

}  // namespace

void fused_sine_network_forward(const Context& ctx, const SineNetworkShape& shape,
                                View<const float, 1> parameters, View<const float, 2> x,
                                View<float, 2> y) {
  if (x.extent(0) == 0) return;
  with_precision_and_width(ctx.precision(), shape.width, [&](auto precision, auto width) {
    const SineNetworkShape padded = padded_to(width, shape);
    Tensor<float, 1> packed(ctx, padded.parameter_count());
    pack_sine_network<precision>(ctx, shape, padded, parameters, true, packed);
    constexpr std::size_t numbers = Tile<width>::numbers + WeightStream<width>::numbers;
    launch(ctx, "sine network, forward", sine_network_tiles<precision, width>,
           dim3(blocks_for(x.extent(0), Tile<width>::points)), dim3(sine_threads),
           numbers * sizeof(float), padded, packed.data(), x, y);
  });
}

}  // namespace orrery::cuda
