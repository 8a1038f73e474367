#pragma once

// For CUDA sources only: what the fused sine networks' kernels, forward and backward, have in
// common.
//
// A block of 256 threads takes a tile of points through the whole network. Activations stay in
// shared memory, where each layer overwrites the one below; its 8 warps share out the tile as 2
// rows of 4, each forming its part of a layer's product in registers. A layer's weights do not fit
// beside them: they stream through shared memory in slabs that arrive while others are multiplied.
// All widths are padded with zeros to one of four, of which the kernels are compiled: neurons
// without weights are silent and change nothing.

#include <cstddef>
#include <type_traits>

#include "kernels/fast_sine.hpp"
#include "kernels/hardware_sine.cuh"
#include "kernels/sine_network_fused.hpp"
#include "kernels/tensor.hpp"
#include "kernels/warp_product.cuh"

namespace orrery::cuda {

inline constexpr int sine_threads = 256;

/// The network whose layers are that wide. Its parameters, "packed", lie in the same order, but for
/// the first layer's matrix, which lies by inputs: [input][neuron].
inline SineNetworkShape padded_to(Index width, const SineNetworkShape& shape) {
  SineNetworkShape padded = shape;
  padded.width = width;
  return padded;
}

/// Packs parameters for products of that precision; with `by_inputs` the hidden layers' matrices
/// lie by inputs too.
template <Precision precision>
void pack_sine_network(const Context& ctx, const SineNetworkShape& shape,
                       const SineNetworkShape& padded, View<const float, 1> parameters,
                       bool by_inputs, View<float, 1> packed);

/// dparameters += the packed gradients of all shares, a row each, in order.
void add_packed_shares(const Context& ctx, const SineNetworkShape& shape,
                       const SineNetworkShape& padded, View<const float, 2> shares,
                       View<float, 1> dparameters);

/// Calls body(std::integral_constant<Precision, ...>, std::integral_constant<int, padded width>).
template <class Body>
void with_precision_and_width(Precision precision, Index width, Body body) {
  with_precision(precision, [&](auto known) {
    if (width <= 64)
      body(known, std::integral_constant<int, 64>{});
    else if (width <= 96)
      body(known, std::integral_constant<int, 96>{});
    else if (width <= 128)
      body(known, std::integral_constant<int, 128>{});
    else
      body(known, std::integral_constant<int, int{widest_fused_network}>{});
  });
}

/// Sine and cosine as fine as the products around them.
template <Precision precision>
__device__ __forceinline__ float sine_of(float phase) {
  return precision == Precision::tf32 ? hardware_sine(phase) : fast_sine(phase);
}
template <Precision precision>
__device__ __forceinline__ float cosine_of(float phase) {
  return precision == Precision::tf32 ? hardware_cosine(phase) : fast_sine_cosine(phase).cosine;
}

/// A tile of points and the layout of its memory. A warp has row_tiles x 16 of the points and a
/// quarter of the width.
template <int points_, int width_>
struct SineTile {
  static constexpr int points = points_;
  static constexpr int width = width_;
  static constexpr int pitch = width + 8;  // of activations, as LeftByRows and LeftByColumns ask
  static constexpr int numbers = points * pitch;

  static constexpr int row_tiles = points / 2 / 16;
  static constexpr int column_tiles = width / 4 / 8;

  static __device__ __forceinline__ int warp_row() { return threadIdx.x / 32 / 4; }
  static __device__ __forceinline__ int first_row() { return warp_row() * 16 * row_tiles; }
  static __device__ __forceinline__ int first_column() {
    return threadIdx.x / 32 % 4 * 8 * column_tiles;
  }
};

/// A layer's weights on their way: `width` rows of `width` numbers from global memory, slab by slab
/// through three places in shared memory. Two slabs are under way while one is multiplied.
template <int width>
class WeightStream {
 public:
  static constexpr int depth = width > 128 ? 8 : 16;  // rows of a slab
  static constexpr int pitch = width + 4;             // as LeftByRows asks of the right factor
  static constexpr int numbers = 3 * depth * pitch;   // of shared memory

  __device__ explicit WeightStream(float* places) : places_(places) {}

  /// Sends the first slabs. No thread may still be in the walk before.
  __device__ void start(const float* matrix) {
    matrix_ = matrix;
    send(0);
    send(1);
  }

  /// Calls use(slab, k) for each slab in turn, whose first row is the matrix's k-th.
  template <class Use>
  __device__ void walk(Use use) {
    for (int slab = 0; slab < slabs; ++slab) {
      wait_for_copies<1>();
      __syncthreads();  // this slab is here for all, and all are done with the one before
      send(slab + 2);
      use(place(slab), slab * depth);
    }
  }

 private:
  static constexpr int slabs = width / depth;

  __device__ float* place(int slab) const { return places_ + slab % 3 * depth * pitch; }

  __device__ void send(int slab) {
    constexpr int packets = depth * width / 4;
    if (slab < slabs) {
      const float* rows = matrix_ + slab * depth * width;
      for (int i = threadIdx.x; i < packets; i += sine_threads) {
        const int row = i / (width / 4), column = i % (width / 4) * 4;
        copy_async<16>(place(slab) + row * pitch + column, rows + 4 * i);
      }
    }
    commit_copies();  // an empty group too: walk() counts them
  }

  float* places_;
  const float* matrix_ = nullptr;
};

/// sum = activations (tile) times the streamed matrix, the warp's part of it. Started before; all
/// threads' writes to the activations need no barrier of their own.
template <Precision precision, class Tile>
__device__ void multiply_by_weights(const float* activations, WeightStream<Tile::width>& weights,
                                    float (&sum)[Tile::row_tiles][Tile::column_tiles][4]) {
  constexpr int depth = WeightStream<Tile::width>::depth;
  for (auto& row : sum)
    for (auto& tile : row)
      for (float& number : tile) number = 0;
  const float* rows = activations + Tile::first_row() * Tile::pitch;
  weights.walk([&](const float* slab, int k) {
    multiply_tile<precision, depth>(
        LeftByRows{rows + k, Tile::pitch},
        Right{slab + Tile::first_column(), WeightStream<Tile::width>::pitch}, sum);
  });
}

/// Calls put(point, neuron, phase) for the whole tile with the first layer's phases
/// w_first (W x + b). Its few inputs are multiplied in FP32: phases of tens of radians need it. A
/// thread stays with a neuron, so that neighbours read neighbouring weights, and takes 8 points at
/// a time, for which it reads them once. Points past the last repeat it.
template <class Tile, class Put>
__device__ void first_layer_phases(const SineNetworkShape& padded, const float* packed,
                                   const float* x, int points, Put put) {
  constexpr int width = Tile::width, groups = sine_threads / width, together = 8;
  const int neuron = threadIdx.x % width, group = threadIdx.x / width;
  if (group >= groups) return;
  const int inputs = static_cast<int>(padded.inputs);
  const float bias = packed[inputs * width + neuron];
  const float frequency = static_cast<float>(padded.first_frequency);
  for (int first = group * together; first < Tile::points; first += groups * together) {
    float sum[together];
#pragma unroll
    for (int i = 0; i < together; ++i) sum[i] = bias;
    for (int c = 0; c < inputs; ++c) {
      const float weight = packed[c * width + neuron];
#pragma unroll
      for (int i = 0; i < together; ++i)
        sum[i] += weight * x[min(first + i, points - 1) * inputs + c];
    }
#pragma unroll
    for (int i = 0; i < together; ++i) put(first + i, neuron, frequency * sum[i]);
  }
}

}  // namespace orrery::cuda
