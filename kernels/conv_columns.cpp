#include "kernels/conv_columns.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/parallel_tasks.hpp"
#include "kernels/shares.hpp"
#include "kernels/tensor.hpp"

namespace orrery {
namespace {

// The columns of all samples are cut into blocks, each as wide as a vector register. A block of the
// input is packed into consecutive memory, its rows wrapped around at both ends, and stays in the
// second cache; from there on every load is a whole register and no row needs a modulo.

constexpr std::size_t register_bytes = 64;
template <class T>
constexpr Index lanes = register_bytes / sizeof(T);
template <class T, std::size_t bytes>
struct RegisterOf {
  using Type [[gnu::vector_size(bytes)]] = T;
};
template <class T, std::size_t bytes = register_bytes>
using Register = typename RegisterOf<T, bytes>::Type;

// Tiles of 24 running sums, which leave 8 of the 32 registers for what is multiplied.
constexpr Index tile_outputs = 4;
constexpr Index tile_rows = 6;     // of the output, in a convolution
constexpr Index tile_weights = 6;  // of an output channel, in the weights' gradient

// Blocks whose weight gradients are added lane by lane before the lanes are added up: that costs as
// much as some twenty rows of a block.
constexpr Index blocks_together = 2;
constexpr Index most_shares = 16;

/// One block of columns of one sample.
struct Block {
  Index sample, column, columns;
};

template <class T>
Index blocks_of_sample(const ConvShape& shape) {
  return parts_of(shape.width, lanes<T>);
}

template <class T>
Block block_at(const ConvShape& shape, Index number) {
  const Index column = number % blocks_of_sample<T>(shape) * lanes<T>;
  return {number / blocks_of_sample<T>(shape), column,
          std::min<Index>(lanes<T>, shape.width - column)};
}

/// Memory for packed blocks: (channels, rows above + height + rows below) of registers.
template <class T>
class Packed {
 public:
  Packed(Index channels, const ConvShape& shape)
      : channels_(channels),
        height_(shape.height),
        halo_(shape.window_rows / 2),
        registers_(Context::cpu(1), channels * pitch() * lanes<T>) {}

  Index pitch() const { return height_ + 2 * halo_; }
  Index halo() const { return halo_; }

  /// The register `row` rows below the first row above the picture.
  const Register<T>* at(Index channel, Index row) const {
    return reinterpret_cast<const Register<T>*>(registers_.data()) + channel * pitch() + row;
  }

  /// Copies a block of z (samples, channels, height, width). Missing columns are zero.
  void pack(const Block& block, const T* z, Index width) {
    T* to = registers_.data();
    const auto copy_rows = [&](const T* channel, Index begin, Index end) {
      for (const T* from = channel + begin * width; from != channel + end * width;
           from += width, to += lanes<T>) {
        if (block.columns == lanes<T>) {
          std::memcpy(to, from, register_bytes);
        } else {
          std::copy_n(from, block.columns, to);
          std::fill(to + block.columns, to + lanes<T>, T(0));
        }
      }
    };
    for (Index c = 0; c < channels_; ++c) {
      const T* channel = z + (block.sample * channels_ + c) * height_ * width + block.column;
      copy_rows(channel, height_ - halo_, height_);
      copy_rows(channel, 0, height_);
      copy_rows(channel, 0, halo_);
    }
  }

 private:
  Index channels_, height_, halo_;
  Tensor<T, 1> registers_;
};

/// The weights of a convolution in the order in which a tile reads them: (outputs / tile, inputs,
/// rows, outputs of the tile), zero where there is no such output; and a bias for each.
template <class T>
struct TiledWeights {
  Index outputs, inputs, rows;
  std::vector<T> weights, biases;

  TiledWeights(Index outputs_, Index inputs_, Index rows_)
      : outputs(outputs_),
        inputs(inputs_),
        rows(rows_),
        weights(parts_of(outputs, tile_outputs) * tile_outputs * inputs * rows),
        biases(parts_of(outputs, tile_outputs) * tile_outputs) {}

  T& at(Index o, Index c, Index s) {
    return weights[((o / tile_outputs * inputs + c) * rows + s) * tile_outputs + o % tile_outputs];
  }
  const T* tile(Index first_output) const { return &weights[first_output * inputs * rows]; }
};

template <class T>
TiledWeights<T> forward_weights(const ConvShape& shape, const T* weight, const T* bias) {
  TiledWeights<T> tiled(shape.outputs, shape.inputs, shape.window_rows);
  std::copy_n(bias, shape.outputs, tiled.biases.begin());
  for (Index o = 0; o < shape.outputs; ++o)
    for (Index c = 0; c < shape.inputs; ++c)
      for (Index s = 0; s < shape.window_rows; ++s) tiled.at(o, c, s) = *weight++;
  return tiled;
}

/// The gradient of the input is a convolution of the output's, channels exchanged and the window
/// turned round.
template <class T>
TiledWeights<T> backward_weights(const ConvShape& shape, const T* weight) {
  TiledWeights<T> tiled(shape.inputs, shape.outputs, shape.window_rows);
  for (Index o = 0; o < shape.outputs; ++o)
    for (Index c = 0; c < shape.inputs; ++c)
      for (Index s = shape.window_rows; s-- > 0;) tiled.at(c, o, s) = *weight++;
  return tiled;
}

/// What a tile of outputs and rows gives for one block of columns.
template <class T, Index rows>
void convolve_tile(const TiledWeights<T>& tiled, const Packed<T>& x, Index first_output,
                   Index first_row, Register<T> (&sums)[tile_outputs][rows]) {
  for (Index o = 0; o < tile_outputs; ++o)
    for (Index i = 0; i < rows; ++i) sums[o][i] = Register<T>{} + tiled.biases[first_output + o];
  const T* weight = tiled.tile(first_output);
  for (Index c = 0; c < tiled.inputs; ++c) {
    const Register<T>* seen = x.at(c, first_row);
    for (Index s = 0; s < tiled.rows; ++s, ++seen, weight += tile_outputs)
#pragma GCC unroll 8
      for (Index i = 0; i < rows; ++i) {
        const Register<T> number = seen[i];
#pragma GCC unroll 8
        for (Index o = 0; o < tile_outputs; ++o) sums[o][i] += weight[o] * number;
      }
  }
}

/// One block of y (samples, outputs, height, width), in tiles of so many rows; the last tile moves
/// up to end with the picture, and its first rows are done twice.
template <Index rows, class T>
void convolve_block(const TiledWeights<T>& tiled, const Packed<T>& x, const Block& block,
                    const ConvShape& shape, T* y) {
  for (Index next = 0; next < shape.height; next += rows) {
    const Index row = std::min(next, shape.height - rows);
    for (Index output = 0; output < tiled.outputs; output += tile_outputs) {
      Register<T> sums[tile_outputs][rows];
      convolve_tile<T, rows>(tiled, x, output, row, sums);
      const Index outputs = std::min(tile_outputs, tiled.outputs - output);
      for (Index o = 0; o < outputs; ++o)
        for (Index i = 0; i < rows; ++i) {
          const Index line = (block.sample * tiled.outputs + output + o) * shape.height + row + i;
          T* to = y + line * shape.width + block.column;
          if (block.columns == lanes<T>)
            std::memcpy(to, &sums[o][i], register_bytes);
          else
            std::memcpy(to, &sums[o][i], static_cast<std::size_t>(block.columns) * sizeof(T));
        }
    }
  }
}

template <class T>
void convolve(const TiledWeights<T>& tiled, const Packed<T>& x, const Block& block,
              const ConvShape& shape, T* y) {
  if (shape.height >= tile_rows)
    convolve_block<tile_rows>(tiled, x, block, shape, y);
  else
    convolve_block<1>(tiled, x, block, shape, y);
}

/// The sum of a register's lanes: its halves are added until one number is left.
template <class T, std::size_t bytes = register_bytes>
inline T sum_of_lanes(const Register<T, bytes>& numbers) {
  if constexpr (bytes == 2 * sizeof(T)) {
    return numbers[0] + numbers[1];
  } else {
    Register<T, bytes / 2> half[2];
    std::memcpy(half, &numbers, bytes);
    return sum_of_lanes<T, bytes / 2>(half[0] + half[1]);
  }
}

/// dweight += the gradient of a tile of weights, `count` of those of each of `outputs` channels,
/// over blocks of columns: sum_{i,j} dy[o,i,j] x[c,i + s,j].
template <class T>
void add_gradient_of_tile(const std::vector<Packed<T>>& x, const std::vector<Packed<T>>& dy,
                          const ConvShape& shape, Index blocks, Index first_output,
                          Index first_weight, T* dweight) {
  const Index weights = shape.inputs * shape.window_rows;
  const Index outputs = std::min(tile_outputs, shape.outputs - first_output);
  const Index count = std::min(tile_weights, weights - first_weight);

  Register<T> sums[tile_outputs][tile_weights] = {};
  for (Index b = 0; b < blocks; ++b) {
    // What a tile has too many is read from its first place, and left out below.
    const Register<T>*gradients[tile_outputs], *seen[tile_weights];
    for (Index o = 0; o < tile_outputs; ++o)
      gradients[o] = dy[b].at(first_output + (o < outputs ? o : 0), dy[b].halo());
    for (Index k = 0; k < tile_weights; ++k) {
      const Index weight = first_weight + (k < count ? k : 0);
      seen[k] = x[b].at(weight / shape.window_rows, weight % shape.window_rows);
    }
    for (Index i = 0; i < shape.height; ++i)
#pragma GCC unroll 8
      for (Index k = 0; k < tile_weights; ++k) {
        const Register<T> number = seen[k][i];
#pragma GCC unroll 8
        for (Index o = 0; o < tile_outputs; ++o) sums[o][k] += gradients[o][i] * number;
      }
  }
  for (Index o = 0; o < outputs; ++o)
    for (Index k = 0; k < count; ++k)
      dweight[(first_output + o) * weights + first_weight + k] += sum_of_lanes<T>(sums[o][k]);
}

}  // namespace

template <class T>
bool convolves_columns(const ConvShape& shape) {
  return shape.window_columns == 1 && shape.window_rows > 1 && shape.width >= lanes<T>;
}

template <class T>
void conv_columns_forward(const Context& ctx, const ConvShape& shape, const T* x, const T* weight,
                          const T* bias, T* y) {
  const auto tiled = forward_weights(shape, weight, bias);
  const Index blocks = shape.batch * blocks_of_sample<T>(shape);
  const int threads = static_cast<int>(std::min<Index>(ctx.threads(), blocks));
  for_each_task(threads, threads, [&](Index share) {
    Packed<T> packed(shape.inputs, shape);
    const Index end = (share + 1) * blocks / threads;
    for (Index number = share * blocks / threads; number < end; ++number) {
      const Block block = block_at<T>(shape, number);
      packed.pack(block, x, shape.width);
      convolve(tiled, packed, block, shape, y);
    }
  });
}

template <class T>
void conv_columns_backward(const Context& ctx, const ConvShape& shape, const T* x, const T* weight,
                           const T* dy, T* dx, T* dweight) {
  const auto tiled = backward_weights(shape, weight);
  const Index blocks = shape.batch * blocks_of_sample<T>(shape);
  const Index shares = std::min(most_shares, parts_of(blocks, blocks_together));
  auto weight_gradients = Tensor<T, 2>::zeros(Context::cpu(1), shares, shape.weights());
  const int threads = static_cast<int>(std::min<Index>(ctx.threads(), shares));
  for_each_task(threads, shares, [&](Index share) {
    std::vector<Packed<T>> packed_x, packed_dy;
    for (Index b = 0; b < blocks_together; ++b) {
      packed_x.emplace_back(shape.inputs, shape);
      packed_dy.emplace_back(shape.outputs, shape);
    }
    const Index end = (share + 1) * blocks / shares;
    for (Index first = share * blocks / shares; first < end; first += blocks_together) {
      const Index together = std::min(blocks_together, end - first);
      for (Index b = 0; b < together; ++b) {
        const Block block = block_at<T>(shape, first + b);
        packed_x[b].pack(block, x, shape.width);
        packed_dy[b].pack(block, dy, shape.width);
        if (dx) convolve(tiled, packed_dy[b], block, shape, dx);
      }
      for (Index o = 0; o < shape.outputs; o += tile_outputs)
        for (Index k = 0; k < shape.inputs * shape.window_rows; k += tile_weights)
          add_gradient_of_tile(packed_x, packed_dy, shape, together, o, k,
                               &weight_gradients(share, 0));
    }
  });
  for (Index share = 0; share < shares; ++share)
    for (Index i = 0; i < shape.weights(); ++i) dweight[i] += weight_gradients(share, i);
}

template bool convolves_columns<float>(const ConvShape&);
template bool convolves_columns<double>(const ConvShape&);
template void conv_columns_forward(const Context&, const ConvShape&, const float*, const float*,
                                   const float*, float*);
template void conv_columns_forward(const Context&, const ConvShape&, const double*, const double*,
                                   const double*, double*);
template void conv_columns_backward(const Context&, const ConvShape&, const float*, const float*,
                                    const float*, float*, float*);
template void conv_columns_backward(const Context&, const ConvShape&, const double*, const double*,
                                    const double*, double*, double*);

}  // namespace orrery
