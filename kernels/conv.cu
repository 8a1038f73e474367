#include <algorithm>

#include "kernels/block_sum.cuh"
#include "kernels/conv_shape.hpp"
#include "kernels/launch.hpp"
#include "kernels/parallel_for.hpp"
#include "kernels/shares.hpp"
#include "kernels/tensor.hpp"

// The CUDA twin: direct convolution on tiles in shared memory. Forward and the gradient of the
// input are one kernel, since the latter is a convolution with the roles of the channels exchanged
// and the window turned round. All sizes of tiles and shares follow from the shape alone, so that
// results do not depend on the device.

namespace orrery::cuda {
namespace {

constexpr int lanes = 32;
constexpr int most_threads = 256;
constexpr int outputs_per_thread = 8;
constexpr Index tile_budget = 40 * 1024;  // bytes: several blocks fit on one multiprocessor
constexpr Index enough_blocks = 512;      // fill the largest device a few times over

/// Numbers that go with a thread's outputs; read from shared memory in 16-byte pieces.
template <class T>
struct alignas(16) Outputs {
  T of[outputs_per_thread];
};

/// Weights as a convolution sees them, wherever they lie.
template <class T>
struct Weights {
  const T* first;
  Index output_stride, input_stride, row_stride, column_stride;
};

/// The part of a window, and of the channels, that is in shared memory at one time.
struct Piece {
  int channels, rows, columns;

  __host__ __device__ int window() const { return rows * columns; }

  /// What exists of the piece that begins there, before `last_channel`.
  __device__ Piece at(const ConvShape& shape, Index channel, Index last_channel, int row,
                      int column) const {
    return {static_cast<int>(min(static_cast<Index>(channels), last_channel - channel)),
            static_cast<int>(min(static_cast<Index>(rows), shape.window_rows - row)),
            static_cast<int>(min(static_cast<Index>(columns), shape.window_columns - column))};
  }
};

/// A rectangle of positions in one sample.
struct Tile {
  Index sample;
  int row, column;    // where it begins
  int rows, columns;  // what of it lies inside the image
};

/// Counts the tiles of a batch.
struct Tiling {
  int tile_rows, tile_columns;
  int down, across;

  Tiling(const ConvShape& shape, int rows_, int columns_)
      : tile_rows(rows_),
        tile_columns(columns_),
        down(static_cast<int>(parts_of(shape.height, rows_))),
        across(static_cast<int>(parts_of(shape.width, columns_))) {}

  __host__ __device__ Index in_sample() const { return static_cast<Index>(down) * across; }

  __device__ Tile at(const ConvShape& shape, Index number) const {
    Tile tile;
    tile.sample = number / in_sample();
    const int rest = static_cast<int>(number % in_sample());
    tile.row = rest / across * tile_rows;
    tile.column = rest % across * tile_columns;
    tile.rows = min(tile_rows, static_cast<int>(shape.height) - tile.row);
    tile.columns = min(tile_columns, static_cast<int>(shape.width) - tile.column);
    return tile;
  }
};

/// i mod length for -length <= i < 2 length: a window is never longer than the image.
__device__ int wrapped(int i, int length) {
  return i < 0 ? i + length : i >= length ? i - length : i;
}

__device__ int thread_in_block() {
  return static_cast<int>(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z));
}
__device__ int threads_in_block() { return static_cast<int>(blockDim.x * blockDim.y * blockDim.z); }

/// Brings what a tile of positions sees through a piece of the window that begins at
/// (first_row, first_column) into shared memory: rows of `pitch` numbers, channels of
/// channel_pitch. The halo wraps around. A warp takes a row, so that its lanes read neighbouring
/// numbers.
template <class T>
__device__ void stage_input(const ConvShape& shape, const Tile& tile, const Piece& piece,
                            Index first_channel, int first_row, int first_column, const T* x,
                            int pitch, int channel_pitch, T* staged) {
  const int rows = tile.rows + piece.rows - 1, columns = tile.columns + piece.columns - 1;
  const int height = static_cast<int>(shape.height), width = static_cast<int>(shape.width);
  const int row_shift = tile.row + first_row - static_cast<int>(shape.window_rows) / 2;
  const int column_shift = tile.column + first_column - static_cast<int>(shape.window_columns) / 2;
  for (int line = thread_in_block() / lanes; line < piece.channels * rows;
       line += threads_in_block() / lanes) {
    const int channel = line / rows, row = line % rows;
    const T* from = x + ((tile.sample * shape.inputs + first_channel + channel) * height +
                         wrapped(row + row_shift, height)) *
                            width;
    T* to = staged + channel * channel_pitch + row * pitch;
    for (int j = thread_in_block() % lanes; j < columns; j += lanes)
      to[j] = from[wrapped(j + column_shift, width)];
  }
}

/// Brings a piece's weights into shared memory as (channel, row, column, output), zero for outputs
/// that do not exist. Consecutive threads take consecutive weights of one output, as they lie in
/// memory.
template <class T>
__device__ void stage_weights(const ConvShape& shape, const Weights<T>& weights, const Piece& piece,
                              Index first_output, int outputs, Index first_channel, int first_row,
                              int first_column, T* staged) {
  const int of_one_output = piece.channels * piece.window();
  for (int i = thread_in_block(); i < of_one_output * outputs; i += threads_in_block()) {
    const int w = i % of_one_output, output = i / of_one_output;
    const Index column = first_column + w % piece.columns;
    const Index row = first_row + w / piece.columns % piece.rows;
    const Index channel = first_channel + w / piece.window(), o = first_output + output;
    staged[w * outputs + output] =
        o < shape.outputs
            ? weights.first[o * weights.output_stride + channel * weights.input_stride +
                            row * weights.row_stride + column * weights.column_stride]
            : T(0);
  }
}

// y[b,o,p] = bias[o] + sum over a share of the input channels. A block owns a tile of positions,
// tile_rows x 64, and 8 outputs for each blockDim.z. A thread owns 8 outputs at two positions, 32
// columns apart: lanes then read neighbouring inputs without bank conflicts, and 16 products are
// made of two inputs and of 8 weights that the whole warp reads at once.
template <class T>
__global__ void __launch_bounds__(most_threads, 2)
    convolve_kernel(ConvShape shape, Tiling tiling, Piece piece, Index shares, const T* x,
                    Weights<T> weights, const T* bias, T* y) {
  const int tile_rows = static_cast<int>(blockDim.y), groups = static_cast<int>(blockDim.z);
  const int row = static_cast<int>(threadIdx.y), lane = static_cast<int>(threadIdx.x);
  const int pitch = 2 * lanes + piece.columns - 1;
  const int channel_pitch = (tile_rows + piece.rows - 1) * pitch;
  auto* staged_weights = dynamic_shared<Outputs<T>>();
  T* staged_x = staged_weights[piece.channels * piece.window() * groups].of;

  const Index tiles = shape.batch * tiling.in_sample();
  const Tile tile = tiling.at(shape, blockIdx.x % tiles);
  const Index share = blockIdx.x / tiles;
  const Index first_output = static_cast<Index>(blockIdx.y) * groups * outputs_per_thread;
  const Index end = (share + 1) * shape.inputs / shares;

  T left[outputs_per_thread] = {}, right[outputs_per_thread] = {};
  for (Index c0 = share * shape.inputs / shares; c0 < end; c0 += piece.channels)
    for (int s0 = 0; s0 < shape.window_rows; s0 += piece.rows)
      for (int t0 = 0; t0 < shape.window_columns; t0 += piece.columns) {
        const Piece part = piece.at(shape, c0, end, s0, t0);
        __syncthreads();  // the part before has been used
        stage_input(shape, tile, part, c0, s0, t0, x, pitch, channel_pitch, staged_x);
        stage_weights(shape, weights, part, first_output, groups * outputs_per_thread, c0, s0, t0,
                      staged_weights->of);
        __syncthreads();
        const Outputs<T>* w = staged_weights + threadIdx.z;
        for (int c = 0; c < part.channels; ++c)
          for (int s = 0; s < part.rows; ++s) {
            const T* seen = staged_x + c * channel_pitch + (row + s) * pitch + lane;
            for (int t = 0; t < part.columns; ++t, w += groups) {
              const Outputs<T> weight = *w;
              const T x_left = seen[t], x_right = seen[t + lanes];
#pragma unroll
              for (int o = 0; o < outputs_per_thread; ++o) {
                left[o] += weight.of[o] * x_left;
                right[o] += weight.of[o] * x_right;
              }
            }
          }
      }

  if (row >= tile.rows) return;
  T* out = y + share * shape.batch * shape.outputs * shape.positions();
  for (int o = 0; o < outputs_per_thread; ++o) {
    const Index output = first_output + static_cast<Index>(threadIdx.z) * outputs_per_thread + o;
    if (output >= shape.outputs) return;
    const T start = bias ? bias[output] : T(0);
    T* line =
        out +
        ((tile.sample * shape.outputs + output) * shape.height + tile.row + row) * shape.width +
        tile.column;
    if (lane < tile.columns) line[lane] = start + left[o];
    if (lane + lanes < tile.columns) line[lane + lanes] = start + right[o];
  }
}

// dweight of a piece of the window for some input channels and 8 outputs, over a share of the
// tiles. A thread owns one weight of each of the 8 outputs and adds up all positions by itself: the
// sum needs no other thread, and its order is fixed. Lanes hold consecutive weights, and the
// pitches in shared memory are such that consecutive weights see consecutive banks.
template <class T>
__global__ void __launch_bounds__(most_threads)
    weight_gradient_kernel(ConvShape shape, Tiling tiling, Piece piece, int pitch,
                           int channel_pitch, Index shares, const T* x, const T* dy, T* dweight) {
  auto* staged_dy = dynamic_shared<Outputs<T>>();
  T* staged_x = staged_dy[tiling.tile_rows * tiling.tile_columns].of;

  const int pieces_down = static_cast<int>(parts_of(shape.window_rows, piece.rows));
  const int pieces_across = static_cast<int>(parts_of(shape.window_columns, piece.columns));
  const Index first_channel =
      static_cast<Index>(blockIdx.x) / (pieces_down * pieces_across) * piece.channels;
  const int piece_number = static_cast<int>(blockIdx.x % (pieces_down * pieces_across));
  const int first_row = piece_number / pieces_across * piece.rows;
  const int first_column = piece_number % pieces_across * piece.columns;
  const Piece part = piece.at(shape, first_channel, shape.inputs, first_row, first_column);
  const Index first_output = static_cast<Index>(blockIdx.y) * outputs_per_thread;

  const int mine = static_cast<int>(threadIdx.x);
  const int t = mine % piece.columns, s = mine / piece.columns % piece.rows;
  const int c = mine / piece.window();
  const bool owns_weights = c < part.channels && s < part.rows && t < part.columns;

  const Index tiles = shape.batch * tiling.in_sample(), share = blockIdx.z;
  T sums[outputs_per_thread] = {};
  for (Index number = share * tiles / shares; number < (share + 1) * tiles / shares; ++number) {
    const Tile tile = tiling.at(shape, number);
    __syncthreads();  // the tile before has been used
    stage_input(shape, tile, part, first_channel, first_row, first_column, x, pitch, channel_pitch,
                staged_x);
    for (int i = mine; i < outputs_per_thread * tile.rows * tile.columns;
         i += static_cast<int>(blockDim.x)) {
      const int column = i % tile.columns, row = i / tile.columns % tile.rows;
      const int o = i / (tile.columns * tile.rows);
      const Index line = (tile.sample * shape.outputs + first_output + o) * shape.height;
      staged_dy[row * tiling.tile_columns + column].of[o] =
          first_output + o < shape.outputs
              ? dy[(line + tile.row + row) * shape.width + tile.column + column]
              : T(0);
    }
    __syncthreads();
    if (!owns_weights) continue;
    for (int row = 0; row < tile.rows; ++row)
      for (int column = 0; column < tile.columns; ++column) {
        const Outputs<T> gradient = staged_dy[row * tiling.tile_columns + column];
        const T seen = staged_x[c * channel_pitch + (row + s) * pitch + column + t];
#pragma unroll
        for (int o = 0; o < outputs_per_thread; ++o) sums[o] += gradient.of[o] * seen;
      }
  }

  if (!owns_weights) return;
  for (int o = 0; o < outputs_per_thread && first_output + o < shape.outputs; ++o)
    dweight[share * shape.weights() +
            (((first_output + o) * shape.inputs + first_channel + c) * shape.window_rows +
             first_row + s) *
                shape.window_columns +
            first_column + t] = sums[o];
}

// A block for each output channel.
template <class T>
__global__ void __launch_bounds__(most_threads)
    bias_gradient_kernel(ConvShape shape, const T* dy, T* dbias) {
  const Index positions = shape.positions(), count = shape.batch * positions, o = blockIdx.x;
  double total = 0;
  for (Index i = threadIdx.x; i < count; i += blockDim.x)
    total += dy[(i / positions * shape.outputs + o) * positions + i % positions];
  total = block_sum(total, dynamic_shared<double>());
  if (threadIdx.x == 0) dbias[o] += static_cast<T>(total);
}

/// out[i] = start + the shares' sums in order; start is the bias of i's channel, or what out held.
template <class T>
struct AddShares {
  const T* parts;
  Index shares, size;
  const T* bias;  // or null
  Index positions, channels;
  bool add_to_old;
  T* out;

  ORRERY_HOST_DEVICE void operator()(Index i) const {
    T total = 0;
    for (Index share = 0; share < shares; ++share) total += parts[share * size + i];
    if (bias) total += bias[i / positions % channels];
    out[i] = add_to_old ? out[i] + total : total;
  }
};

template <class T>
void convolve(const Context& ctx, const char* name, const ConvShape& shape, const T* x,
              const Weights<T>& weights, const T* bias, T* y) {
  // Images share a block's threads between rows and outputs; signals have no rows to share.
  const int wanted_groups =
      static_cast<int>(std::min<Index>(parts_of(shape.outputs, outputs_per_thread), 8));
  const int groups = shape.height > 1 ? std::min(wanted_groups, 4) : wanted_groups;
  const int tile_rows =
      static_cast<int>(std::min<Index>(most_threads / lanes / groups, shape.height));
  const Tiling tiling(shape, tile_rows, 2 * lanes);
  const Index block_outputs = static_cast<Index>(groups) * outputs_per_thread;
  const Index output_blocks = parts_of(shape.outputs, block_outputs);
  const Index tiles = shape.batch * tiling.in_sample();
  const Index shares = std::clamp<Index>(enough_blocks / (tiles * output_blocks), 1,
                                         std::max<Index>(shape.inputs / 16, 1));

  Piece piece{16, static_cast<int>(shape.window_rows), static_cast<int>(shape.window_columns)};
  const auto bytes = [&] {
    const Index seen = (tile_rows + piece.rows - 1) * (2 * lanes + piece.columns - 1);
    return piece.channels * (seen + piece.window() * block_outputs) * static_cast<Index>(sizeof(T));
  };
  while (bytes() > tile_budget) {
    int& part = piece.channels > 1 ? piece.channels : piece.rows > 1 ? piece.rows : piece.columns;
    part = (part + 1) / 2;
  }

  const Index size = shape.batch * shape.outputs * shape.positions();
  const bool split = shares > 1;
  Tensor<T, 2> parts;
  if (split) parts = Tensor<T, 2>(ctx, shares, size);
  launch(ctx, name, convolve_kernel<T>,
         dim3(blocks_for(tiles * shares, 1), blocks_for(output_blocks, 1)),
         dim3(lanes, static_cast<unsigned>(tile_rows), static_cast<unsigned>(groups)),
         static_cast<std::size_t>(bytes()), shape, tiling, piece, shares, x, weights,
         split ? nullptr : bias, split ? parts.data() : y);
  if (split)
    parallel_for(
        ctx, "add shares", size,
        AddShares<T>{parts.data(), shares, size, bias, shape.positions(), shape.outputs, false, y});
}

template <class T>
void weight_gradient(const Context& ctx, const ConvShape& shape, const T* x, const T* dy,
                     T* dweight) {
  Piece piece;
  piece.columns = static_cast<int>(std::min<Index>(shape.window_columns, most_threads));
  piece.rows = static_cast<int>(std::min<Index>(shape.window_rows, most_threads / piece.columns));
  piece.channels = static_cast<int>(std::min<Index>(shape.inputs, most_threads / piece.window()));
  const int pitch = lanes + piece.columns;  // = window columns mod 32
  int tile_rows = static_cast<int>(std::min<Index>(4, shape.height));
  const auto channel_pitch = [&] {  // = window mod 32
    const int needed = (tile_rows + piece.rows - 1) * pitch;
    return needed + (piece.window() % lanes + lanes - needed % lanes) % lanes;
  };
  const auto bytes = [&] {
    return static_cast<Index>(sizeof(T)) *
           (piece.channels * channel_pitch() + tile_rows * lanes * outputs_per_thread);
  };
  while (tile_rows > 1 && bytes() > tile_budget) tile_rows /= 2;

  const Tiling tiling(shape, tile_rows, lanes);
  const Index pieces = parts_of(shape.inputs, piece.channels) *
                       parts_of(shape.window_rows, piece.rows) *
                       parts_of(shape.window_columns, piece.columns);
  const Index output_blocks = parts_of(shape.outputs, outputs_per_thread);
  const Index tiles = shape.batch * tiling.in_sample();
  const Index shares =
      std::clamp<Index>(enough_blocks / (pieces * output_blocks), 1, std::max<Index>(tiles / 4, 1));
  const unsigned threads = blocks_for(piece.channels * piece.window(), lanes) * lanes;

  Tensor<T, 2> parts(ctx, shares, shape.weights());
  launch(ctx, "convolution weight gradient", weight_gradient_kernel<T>,
         dim3(blocks_for(pieces, 1), blocks_for(output_blocks, 1), blocks_for(shares, 1)),
         dim3(threads), static_cast<std::size_t>(bytes()), shape, tiling, piece, pitch,
         channel_pitch(), shares, x, dy, parts.data());
  parallel_for(ctx, "add shares", shape.weights(),
               AddShares<T>{parts.data(), shares, shape.weights(), nullptr, 1, 1, true, dweight});
}

}  // namespace

template <class T>
void conv_forward(const Context& ctx, const ConvShape& shape, const T* x, const T* weight,
                  const T* bias, T* y) {
  const Weights<T> weights{weight, shape.inputs * shape.window(), shape.window(),
                           shape.window_columns, 1};
  convolve<T>(ctx, "convolution", shape, x, weights, bias, y);
}

template <class T>
void conv_backward(const Context& ctx, const ConvShape& shape, const T* x, const T* weight,
                   const T* dy, T* dx, T* dweight, T* dbias) {
  if (dx) {
    ConvShape transposed = shape;
    std::swap(transposed.inputs, transposed.outputs);
    const Weights<T> turned{weight + shape.window() - 1, shape.window(),
                            shape.inputs * shape.window(), -shape.window_columns, -1};
    convolve<T>(ctx, "convolution input gradient", transposed, dy, turned, nullptr, dx);
  }
  weight_gradient<T>(ctx, shape, x, dy, dweight);
  launch(ctx, "convolution bias gradient", bias_gradient_kernel<T>,
         dim3(blocks_for(shape.outputs, 1)), dim3(most_threads),
         block_combine_numbers(most_threads) * sizeof(double), shape, dy, dbias);
}

template void conv_forward(const Context&, const ConvShape&, const float*, const float*,
                           const float*, float*);
template void conv_forward(const Context&, const ConvShape&, const double*, const double*,
                           const double*, double*);
template void conv_backward(const Context&, const ConvShape&, const float*, const float*,
                            const float*, float*, float*, float*);
template void conv_backward(const Context&, const ConvShape&, const double*, const double*,
                            const double*, double*, double*, double*);

}  // namespace orrery::cuda
