#include <algorithm>

#include "kernels/sine_network_fused.hpp"
#include "kernels/sine_network_tile.cuh"
#include "kernels/tensor.hpp"

// A block takes the tiles of its share one after another: each goes up through the network again,
// leaving the phases of its layers, and its gradient comes down. Going down a layer, the gradient
// of its phases (dphases, in shared memory) is multiplied twice: with the activations below, which
// gives the weights' gradient, and with the weights, which gives the gradient below.
//
// Phases are kept and not activations, because both sine and cosine come from them: of two numbers
// a neuron one is stored. They stay in shared memory where two blocks fit a multiprocessor even so,
// and go to memory of the block's own otherwise, which its caches hold.
//
// Each share adds its weights' gradients to sums of its own, in tile order, and another kernel adds
// the shares, in order. How many there are depends on the number of points alone, not on the
// device.

namespace orrery::cuda {
namespace {

template <int width>
using Tile = SineTile<64, width>;

constexpr Index most_shares = 256;
constexpr std::size_t most_shared_bytes = 113 * 1024;  // of which an H100 holds two blocks

__device__ void add(float& sum, float number, bool first) { sum = first ? number : sum + number; }

/// The head's gradient, dW += dy^T a and db += sum of dy; a thread a number.
template <class Tile>
__device__ void head_gradient(int outputs, const float* activations, const float* dy, int points,
                              bool first_tile, float* gradient) {
  for (int i = threadIdx.x; i < outputs * (Tile::width + 1); i += sine_threads) {
    const bool bias = i >= outputs * Tile::width;
    const int o = bias ? i - outputs * Tile::width : i / Tile::width;
    float sum = 0;
    for (int p = 0; p < points; ++p)
      sum += dy[p * outputs + o] * (bias ? 1.0f : activations[p * Tile::pitch + i % Tile::width]);
    add(gradient[i], sum, first_tile);
  }
}

/// Calls put(point, neuron, da) with da = W^T dy, zero for points past the last.
template <class Tile, class Put>
__device__ void head_down(int outputs, const float* head, const float* dy, int points, Put put) {
  for (int i = threadIdx.x; i < Tile::points * Tile::width; i += sine_threads) {
    const int p = i / Tile::width, j = i % Tile::width;
    float sum = 0;
    if (p < points)
      for (int o = 0; o < outputs; ++o) sum += dy[p * outputs + o] * head[o * Tile::width + j];
    put(p, j, sum);
  }
}

/// Bias gradients, the sums of dphases over points.
template <class Tile>
__device__ void bias_gradient(const float* dphases, bool first_tile, float* gradient) {
  for (int j = threadIdx.x; j < Tile::width; j += sine_threads) {
    float sum = 0;
    for (int p = 0; p < Tile::points; ++p) sum += dphases[p * Tile::pitch + j];
    add(gradient[j], sum, first_tile);
  }
}

/// dW += dphases^T x, by inputs: neighbouring threads take neighbouring neurons.
template <class Tile>
__device__ void first_layer_gradient(int inputs, const float* dphases, const float* x, int points,
                                     bool first_tile, float* gradient) {
  for (int i = threadIdx.x; i < inputs * Tile::width; i += sine_threads) {
    const int c = i / Tile::width, j = i % Tile::width;
    float sum = 0;
    for (int p = 0; p < points; ++p) sum += dphases[p * Tile::pitch + j] * x[p * inputs + c];
    add(gradient[i], sum, first_tile);
  }
}

/// dW += dphases^T a. Both rows of warps take 32 neurons above at a time and every neuron below.
template <Precision precision, class Tile>
__device__ void hidden_layer_gradient(const float* dphases, const float* activations,
                                      bool first_tile, float* gradient) {
  constexpr int rows = 16 * Tile::row_tiles;
  for (int row = Tile::warp_row() * rows; row < Tile::width; row += 2 * rows) {
    float sum[Tile::row_tiles][Tile::column_tiles][4] = {};
    multiply_tile<precision, Tile::points>(LeftByColumns{dphases + row, Tile::pitch},
                                           Right{activations + Tile::first_column(), Tile::pitch},
                                           sum);
    float* out = gradient + row * Tile::width + Tile::first_column();
    for_each_pair(sum, [&](int r, int c, float left, float right) {
      float2& pair = pair_at(out + r * Tile::width + c);
      pair = first_tile ? make_float2(left, right) : make_float2(pair.x + left, pair.y + right);
    });
  }
}

/// Everything a kernel is told.
struct BackwardArguments {
  SineNetworkShape padded;
  const float *packed, *packed_by_inputs;
  View<const float, 2> x, dy;
  Index tiles;
  float* phases;  // of all blocks, so many each; null: in shared memory
  Index phases_a_block;
  View<float, 2> shares;  // packed gradients
};

template <Precision precision, int width>
__global__ void __launch_bounds__(sine_threads, width > 128 ? 1 : 2)
    sine_network_gradients(BackwardArguments given) {
  using Tile = Tile<width>;
  float* dphases = dynamic_shared<float>();  // activations on the way up
  float* activations = dphases + Tile::numbers;
  WeightStream<width> weights(activations + Tile::numbers);
  float* phases = given.phases ? given.phases + blockIdx.x * given.phases_a_block
                               : activations + Tile::numbers + WeightStream<width>::numbers;
  const auto phases_of = [&](int l) { return phases + l * Tile::numbers; };

  const SineNetworkShape& padded = given.padded;
  const int hidden = static_cast<int>(padded.hidden_layers);
  const int inputs = static_cast<int>(padded.inputs), outputs = static_cast<int>(padded.outputs);
  const auto frequency_of = [&](int l) { return static_cast<float>(padded.frequency(l)); };
  const auto slope = [&](int l, float phase) {
    return frequency_of(l) * cosine_of<precision>(phase);
  };
  // The first layer's weights are not multiplied on tensor cores, and its gradient is not rounded.
  const auto going_down = [&](int l, float dphase) {
    return l > 0 ? as_factor<precision>(dphase) : dphase;
  };
  float* gradient = &given.shares(blockIdx.x, 0);
  const int part = (Tile::first_row() * Tile::pitch) + Tile::first_column();  // the warp's

  const Index begin = given.tiles * blockIdx.x / gridDim.x;
  const Index end = given.tiles * (blockIdx.x + 1) / gridDim.x;
  for (Index tile = begin; tile < end; ++tile) {
    const Index first = tile * Tile::points;
    const int points = static_cast<int>(min(Index{Tile::points}, given.x.extent(0) - first));
    const float *x = &given.x(first, 0), *dy = &given.dy(first, 0);
    const bool first_tile = tile == begin;

    // Up: phases of every layer; the activations of the last, which meet the head in FP32.
    if (hidden > 0) weights.start(given.packed_by_inputs + padded.layer(1).weight);
    const auto activation = [&](int l, float phase) {
      const float a = sine_of<precision>(phase);
      return l < hidden ? as_factor<precision>(a) : a;
    };
    first_layer_phases<Tile>(padded, given.packed, x, points, [&](int p, int j, float phase) {
      phases_of(0)[p * Tile::pitch + j] = phase;
      dphases[p * Tile::pitch + j] = activation(0, phase);
    });
    for (int l = 1; l <= hidden; ++l) {
      float sum[Tile::row_tiles][Tile::column_tiles][4];
      multiply_by_weights<precision, Tile>(dphases, weights, sum);
      __syncthreads();  // all have read the activations, and all slabs
      if (l < hidden) weights.start(given.packed_by_inputs + padded.layer(l + 1).weight);
      const float* bias = given.packed + padded.layer(l).bias + Tile::first_column();
      for_each_pair(sum, [&](int row, int column, float left, float right) {
        const int at = part + row * Tile::pitch + column;
        const float2 phase = make_float2(frequency_of(l) * (left + bias[column]),
                                         frequency_of(l) * (right + bias[column + 1]));
        pair_at(phases_of(l) + at) = phase;
        pair_at(dphases + at) = make_float2(activation(l, phase.x), activation(l, phase.y));
      });
    }
    __syncthreads();

    // Down: the head first.
    const Index head = padded.layer(hidden + 1).weight;
    head_gradient<Tile>(outputs, dphases, dy, points, first_tile, gradient + head);
    __syncthreads();
    head_down<Tile>(outputs, given.packed + head, dy, points, [&](int p, int j, float da) {
      const int at = p * Tile::pitch + j;
      dphases[at] = going_down(hidden, da * slope(hidden, phases_of(hidden)[at]));
    });

    for (int l = hidden; l > 0; --l) {
      const auto layer = padded.layer(l);
      weights.start(given.packed + layer.weight);
      const float* below = phases_of(l - 1);
      for (int i = threadIdx.x; i < Tile::points * width; i += sine_threads) {
        const int at = i / width * Tile::pitch + i % width;
        activations[at] = as_factor<precision>(sine_of<precision>(below[at]));
      }
      __syncthreads();
      hidden_layer_gradient<precision, Tile>(dphases, activations, first_tile,
                                             gradient + layer.weight);
      bias_gradient<Tile>(dphases, first_tile, gradient + layer.bias);

      float sum[Tile::row_tiles][Tile::column_tiles][4];
      multiply_by_weights<precision, Tile>(dphases, weights, sum);
      __syncthreads();
      for_each_pair(sum, [&](int row, int column, float left, float right) {
        const int at = part + row * Tile::pitch + column;
        const float2 phase = pair_at(below + at);
        pair_at(dphases + at) = make_float2(going_down(l - 1, left * slope(l - 1, phase.x)),
                                            going_down(l - 1, right * slope(l - 1, phase.y)));
      });
    }
    __syncthreads();
    first_layer_gradient<Tile>(inputs, dphases, x, points, first_tile, gradient);
    bias_gradient<Tile>(dphases, first_tile, gradient + inputs * width);
    __syncthreads();
  }
}

}  // namespace

void fused_sine_network_backward(const Context& ctx, const SineNetworkShape& shape,
                                 View<const float, 1> parameters, View<const float, 2> x,
                                 View<const float, 2> dy, View<float, 1> dparameters) {
  if (x.extent(0) == 0) return;
  with_precision_and_width(ctx.precision(), shape.width, [&](auto precision, auto width) {
    using Tile = Tile<width>;
    const SineNetworkShape padded = padded_to(width, shape);
    Tensor<float, 1> packed(ctx, padded.parameter_count());
    Tensor<float, 1> packed_by_inputs(ctx, padded.parameter_count());
    pack_sine_network<precision>(ctx, shape, padded, parameters, false, packed);
    pack_sine_network<precision>(ctx, shape, padded, parameters, true, packed_by_inputs);

    const Index tiles = blocks_for(x.extent(0), Tile::points);
    const Index shares = std::min(tiles, most_shares);
    const Index phases = (shape.hidden_layers + 1) * Tile::numbers;
    std::size_t shared = (2 * Tile::numbers + WeightStream<width>::numbers) * sizeof(float);
    const bool inside = shared + phases * sizeof(float) <= most_shared_bytes;
    if (inside) shared += phases * sizeof(float);
    Tensor<float, 2> own_phases(ctx, inside ? 0 : shares, phases);
    // Shares begin on 16 bytes, so that pairs of numbers can be added to.
    Tensor<float, 2> gradients(ctx, shares, (padded.parameter_count() + 3) / 4 * 4);
    launch(ctx, "sine network, backward", sine_network_gradients<precision, width>,
           dim3(static_cast<unsigned>(shares)), dim3(sine_threads), shared,
           BackwardArguments{padded, packed.data(), packed_by_inputs.data(), x, dy, tiles,
                             inside ? nullptr : own_phases.data(), phases, gradients});
    add_packed_shares(ctx, shape, padded, gradients, dparameters);
  });
}

}  // namespace orrery::cuda
