#include "kernels/sine_network_tiles.hpp"

#include "kernels/matrix_tiles.hpp"

#if ORRERY_WITH_MATRIX_TILES

#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

#include "kernels/fast_sine.hpp"
#include "kernels/matrix_tile_products.hpp"

// Everything lies as (units, points), in blocks of points whose activations stay in the second
// cache:
//   forward    Z_l = W_l A_(l-1)              left W_l,    right A: pairs of units
//   backward   dA_(l-1) = W_l^T dZ_l          left W_l^T,  right dZ: pairs of units
//              dW_l += dZ_l A_(l-1)^T         left dZ,     right A^T: pairs of points
// so that A and dZ are each packed twice on their way from a sum in float to the next product.

namespace orrery::tiles {
namespace {

constexpr Index block_points = 128;
constexpr Index point_patches = block_points / patch;
constexpr Index lanes = 16;  // floats in a vector

constexpr Index most_inputs = 8, most_outputs = 8;

/// The points are cut into shares whose gradients are added in order, whatever the number of
/// threads: so many that many threads find work, and none so small that adding is most of it.
constexpr Index most_shares = 64;
constexpr Index worth_a_share = 8;  // blocks
Index shares_of(Index blocks) {
  return std::clamp<Index>(blocks / worth_a_share, std::min<Index>(blocks, 4), most_shares);
}

/// A matrix (rows, columns) as a left factor. Number (r, c) lies at numbers[r * row_stride + c *
/// column_stride].
void pack_matrix(const float* numbers, Index rows, Index columns, Index row_stride,
                 Index column_stride, Half* to) {
  Patch block;
  for (Index row = 0; row < rows; row += patch)
    for (Index column = 0; column < columns; column += patch, to += patch_halves) {
      for (Index r = 0; r < patch; ++r)
        for (Index c = 0; c < patch; ++c)
          block.row(r)[c] = numbers[(row + r) * row_stride + (column + c) * column_stride];
      pack_rows(block, to);
    }
}

/// Where the patch of some unit and point lies in a factor whose inner index goes over the units,
/// and in one whose inner index goes over the points.
Index over_units(Index unit, Index point, Index width) {
  return (point / patch * (width / patch) + unit / patch) * patch_halves;
}
Index over_points(Index unit, Index point) {
  return (unit / patch * point_patches + point / patch) * patch_halves;
}

// --- The network ---------------------------------------------------------------------------------

/// The weights as the products want them, made once a call.
struct Network {
  const SineNetworkShape& shape;
  const float* parameters;
  Index width, patches;                       // units of a hidden layer, and patches along them
  std::vector<Aligned<Half>> along, against;  // W_l and W_l^T of the hidden layers

  Network(const SineNetworkShape& shape_, const float* parameters_, bool backward)
      : shape(shape_), parameters(parameters_), width(shape_.width), patches(shape_.width / patch) {
    for (Index l = 1; l <= shape.hidden_layers; ++l) {
      along.emplace_back(2 * width * width);
      pack_matrix(weight(l), width, width, width, 1, along.back() + 0);
      if (!backward) continue;
      against.emplace_back(2 * width * width);
      pack_matrix(weight(l), width, width, 1, width, against.back() + 0);
    }
  }

  const float* weight(Index layer) const { return parameters + shape.layer(layer).weight; }
  const float* bias(Index layer) const { return parameters + shape.layer(layer).bias; }
  float frequency(Index layer) const { return static_cast<float>(shape.frequency(layer)); }
};

/// What a block of points is asked for, and what comes of it: (inputs, points) and (outputs,
/// points). Points that the last block has too many are zero, and so is what is asked of them.
struct Block {
  Index count;
  alignas(64) float x[most_inputs][block_points];
  alignas(64) float y[most_outputs][block_points];

  void read(const float* from, Index columns, float (*to)[block_points]) const {
    for (Index c = 0; c < columns; ++c)
      for (Index p = 0; p < block_points; ++p) to[c][p] = p < count ? from[p * columns + c] : 0.0f;
  }
};

/// Z of the first layer, without its bias: a patch of units and points.
void first_layer(const Network& network, const Block& block, Index unit, Index point, Patch& z) {
  const Index inputs = network.shape.inputs;
  for (Index r = 0; r < patch; ++r) {
    const float* weight = network.weight(0) + (unit + r) * inputs;
    float* row = z.row(r);
    for (Index p = 0; p < patch; ++p) row[p] = 0;
    for (Index c = 0; c < inputs; ++c)
#pragma omp simd
      for (Index p = 0; p < patch; ++p) row[p] += weight[c] * block.x[c][point + p];
  }
}

/// Z -> A = sin(frequency (Z + bias)), in place.
void apply_sine(const Network& network, Index layer, Index unit, Patch& z) {
  const float frequency = network.frequency(layer);
  for (Index r = 0; r < patch; ++r) {
    const float bias = network.bias(layer)[unit + r];
    float* row = z.row(r);
#pragma omp simd
    for (Index p = 0; p < patch; ++p) row[p] = fast_sine(frequency * (row[p] + bias));
  }
}

/// The same, and the slope dA/dZ, to (width, points).
void apply_sine_with_slope(const Network& network, Index layer, Index unit, Index point, Patch& z,
                           float* slopes) {
  const float frequency = network.frequency(layer);
  for (Index r = 0; r < patch; ++r) {
    const float bias = network.bias(layer)[unit + r];
    float *row = z.row(r), *slope = slopes + (unit + r) * block_points + point;
#pragma omp simd
    for (Index p = 0; p < patch; ++p) {
      const auto [sine, cosine] = fast_sine_cosine(frequency * (row[p] + bias));
      row[p] = sine;
      slope[p] = frequency * cosine;
    }
  }
}

/// Calls use(unit, point, Z) for every patch of a sine layer; `below` is what the layer before
/// gave, as pairs of units.
template <class Use>
void for_each_patch(const Network& network, Index layer, const Block& block, const Half* below,
                    const Use& use) {
  if (layer > 0)
    return multiply(network.along[layer - 1] + 0, below, network.patches, network.patches,
                    point_patches, use);
  Patch z;
  for (Index unit = 0; unit < network.width; unit += patch)
    for (Index point = 0; point < block_points; point += patch) {
      first_layer(network, block, unit, point, z);
      use(unit, point, z);
    }
}

/// y += the last layer's weights times a patch of A.
void add_outputs(const Network& network, Index unit, Index point, Patch& a, Block& block) {
  const float* weight = network.weight(network.shape.hidden_layers + 1);
  for (Index o = 0; o < network.shape.outputs; ++o)
    for (Index r = 0; r < patch; ++r) {
      const float factor = weight[o * network.width + unit + r];
      const float* row = a.row(r);
#pragma omp simd
      for (Index p = 0; p < patch; ++p) block.y[o][point + p] += factor * row[p];
    }
}

void forward_block(const Network& network, Block& block, Half* a, Half* b) {
  const Index last = network.shape.hidden_layers;
  for (Index o = 0; o < network.shape.outputs; ++o)
    std::fill_n(block.y[o], block_points, network.bias(last + 1)[o]);
  for (Index layer = 0; layer <= last; ++layer, std::swap(a, b))
    for_each_patch(network, layer, block, b, [&](Index unit, Index point, Patch& z) {
      apply_sine(network, layer, unit, z);
      if (layer < last)
        pack_pairs_of_rows(z, a + over_units(unit, point, network.width));
      else
        add_outputs(network, unit, point, z, block);
    });
}

// --- Backward ------------------------------------------------------------------------------------

/// One share's gradients. Those of the hidden layers lie in patches; sums over points are kept lane
/// by lane until the share is done.
struct Gradient {
  Index inputs, outputs, width, hidden;
  Aligned<float> weights;      // (hidden layers, width / 32, width / 32) patches
  Aligned<float> biases;       // (sine layers, width) lanes
  Aligned<float> first, head;  // (width, inputs) and (outputs, width) lanes
  Aligned<float> head_bias;    // (outputs) lanes

  explicit Gradient(const SineNetworkShape& shape)
      : inputs(shape.inputs),
        outputs(shape.outputs),
        width(shape.width),
        hidden(shape.hidden_layers),
        weights(hidden * width * width + lanes),
        biases((hidden + 1) * width * lanes),
        first(width * inputs * lanes),
        head(outputs * width * lanes),
        head_bias(outputs * lanes) {}

  void clear() {
    for (auto* part : {&weights, &biases, &first, &head, &head_bias}) part->clear();
  }

  static float sum(const float* lanes_of_one) {
    return _mm512_reduce_add_ps(_mm512_load_ps(lanes_of_one));
  }

  /// In the order of the flat block.
  void write(const SineNetworkShape& shape, float* to) const {
    for (Index i = 0; i < width * inputs; ++i) to[i] = sum(first + i * lanes);
    for (Index layer = 0; layer <= hidden; ++layer) {
      float *matrix = to + shape.layer(layer).weight, *bias = to + shape.layer(layer).bias;
      if (layer > 0)
        for (Index r = 0; r < width; ++r)
          for (Index c = 0; c < width; c += patch)
            std::copy_n(weights + ((layer - 1) * width * width +
                                   (r / patch * (width / patch) + c / patch) * patch_numbers +
                                   r % patch * patch),
                        patch, matrix + r * width + c);
      for (Index unit = 0; unit < width; ++unit)
        bias[unit] = sum(biases + (layer * width + unit) * lanes);
    }
    float* matrix = to + shape.layer(hidden + 1).weight;
    for (Index i = 0; i < outputs * width; ++i) matrix[i] = sum(head + i * lanes);
    for (Index o = 0; o < outputs; ++o) matrix[outputs * width + o] = sum(head_bias + o * lanes);
  }
};

/// sums += a b over the points of a patch, lane by lane.
inline void add_dot(const float* a, const float* b, float* sums) {
  Vector total = _mm512_load_ps(sums);
  for (Index p = 0; p < patch; p += lanes)
    total = _mm512_fmadd_ps(_mm512_loadu_ps(a + p), _mm512_loadu_ps(b + p), total);
  _mm512_store_ps(sums, total);
}
inline void add_sum(const float* a, float* sums) {
  Vector total = _mm512_load_ps(sums);
  for (Index p = 0; p < patch; p += lanes) total = _mm512_add_ps(_mm512_loadu_ps(a + p), total);
  _mm512_store_ps(sums, total);
}

/// What one thread's backward pass writes to.
struct Scratch {
  Index numbers;                         // of one layer's activations
  std::vector<Aligned<float>> slopes;    // of each sine layer, (width, points)
  std::vector<Aligned<Half>> by_points;  // A of each but the last, as pairs of points
  Aligned<Half> a, b;                    // A of two layers, then dZ, as pairs of units
  Aligned<Half> rows;                    // dZ, as rows

  explicit Scratch(const Network& network)
      : numbers(network.width * block_points), a(2 * numbers), b(2 * numbers), rows(2 * numbers) {
    for (Index layer = 0; layer <= network.shape.hidden_layers; ++layer) {
      slopes.emplace_back(numbers);
      if (layer < network.shape.hidden_layers) by_points.emplace_back(2 * numbers);
    }
  }
};

/// `block.y` holds dy.
void backward_block(const Network& network, const Block& block, Scratch& scratch,
                    Gradient& gradient) {
  const Index width = network.width, last = network.shape.hidden_layers;
  const Index outputs = network.shape.outputs, inputs = network.shape.inputs;
  Half *now = scratch.a + 0, *before = scratch.b + 0;

  // dZ of a patch is known: what the layers below and the weights need of it.
  const auto take_gradient = [&](Index layer, Index unit, Index point, Patch& dz, Half* to) {
    for (Index r = 0; r < patch; ++r)
      add_sum(dz.row(r), gradient.biases + (layer * width + unit + r) * lanes);
    if (layer > 0) {
      pack_pairs_of_rows(dz, to + over_units(unit, point, width));
      pack_rows(dz, scratch.rows + over_points(unit, point));
      return;
    }
    for (Index r = 0; r < patch; ++r)
      for (Index c = 0; c < inputs; ++c)
        add_dot(dz.row(r), block.x[c] + point, gradient.first + ((unit + r) * inputs + c) * lanes);
  };
  // dZ = slope dA.
  const auto multiply_by_slopes = [&](Index layer, Index unit, Index point, Patch& da) {
    for (Index r = 0; r < patch; ++r) {
      const float* slope = scratch.slopes[layer] + ((unit + r) * block_points + point);
      float* row = da.row(r);
#pragma omp simd
      for (Index p = 0; p < patch; ++p) row[p] *= slope[p];
    }
  };

  // Forward again; at the last sine layer round the corner.
  for (Index layer = 0; layer <= last; ++layer, std::swap(now, before))
    for_each_patch(network, layer, block, before, [&](Index unit, Index point, Patch& z) {
      apply_sine_with_slope(network, layer, unit, point, z, scratch.slopes[layer] + 0);
      if (layer < last) {
        pack_pairs_of_rows(z, now + over_units(unit, point, width));
        pack_pairs_of_columns(z, scratch.by_points[layer] + over_points(unit, point));
        return;
      }
      const float* head = network.weight(last + 1);
      for (Index r = 0; r < patch; ++r) {
        float* row = z.row(r);
        for (Index o = 0; o < outputs; ++o)
          add_dot(row, block.y[o] + point, gradient.head + (o * width + unit + r) * lanes);
        for (Index p = 0; p < patch; ++p) row[p] = 0;
        for (Index o = 0; o < outputs; ++o) {
          const float factor = head[o * width + unit + r];
#pragma omp simd
          for (Index p = 0; p < patch; ++p) row[p] += factor * block.y[o][point + p];
        }
      }
      multiply_by_slopes(last, unit, point, z);
      take_gradient(last, unit, point, z, now);
    });
  for (Index o = 0; o < outputs; ++o)
    for (Index point = 0; point < block_points; point += patch)
      add_sum(block.y[o] + point, gradient.head_bias + o * lanes);

  // Down again: `before` holds dZ of the layer.
  for (Index layer = last; layer > 0; --layer, std::swap(now, before)) {
    add_product(scratch.rows + 0, scratch.by_points[layer - 1] + 0, network.patches, point_patches,
                network.patches, gradient.weights + (layer - 1) * width * width);
    multiply(network.against[layer - 1] + 0, before, network.patches, network.patches,
             point_patches, [&](Index unit, Index point, Patch& da) {
               multiply_by_slopes(layer - 1, unit, point, da);
               take_gradient(layer - 1, unit, point, da, now);
             });
  }
}

Index blocks_of(Index points) { return (points + block_points - 1) / block_points; }

}  // namespace

bool fits(const SineNetworkShape& shape) {
  return shape.width % patch == 0 && shape.inputs <= most_inputs && shape.outputs <= most_outputs;
}

void sine_network_forward(int threads, const SineNetworkShape& shape, const float* parameters,
                          Index points, const float* x, float* y) {
  const Network network(shape, parameters, false);
  const Index blocks = blocks_of(points), halves = 2 * network.width * block_points;
  Aligned<Half> a(threads * halves), b(threads * halves);
  Aligned<Block> block_of_each(threads);
#pragma omp parallel num_threads(threads)
  {
    const Tiles configured;
    const int thread = omp_get_thread_num();
    Block& block = block_of_each[thread];
#pragma omp for schedule(dynamic, 4)
    for (Index i = 0; i < blocks; ++i) {
      const Index first = i * block_points;
      block.count = std::min(block_points, points - first);
      block.read(x + first * shape.inputs, shape.inputs, block.x);
      forward_block(network, block, a + thread * halves, b + thread * halves);
      for (Index p = 0; p < block.count; ++p)
        for (Index o = 0; o < shape.outputs; ++o)
          y[(first + p) * shape.outputs + o] = block.y[o][p];
    }
  }
}

void sine_network_backward(int threads, const SineNetworkShape& shape, const float* parameters,
                           Index points, const float* x, const float* dy, float* dparameters) {
  const Network network(shape, parameters, true);
  const Index blocks = blocks_of(points), count = shape.parameter_count();
  const Index shares = shares_of(blocks);
  Aligned<float> partial(shares * count);
  std::vector<Scratch> scratch_of_each;
  std::vector<Gradient> gradient_of_each;
  Aligned<Block> block_of_each(threads);
  for (int thread = 0; thread < threads; ++thread) {
    scratch_of_each.emplace_back(network);
    gradient_of_each.emplace_back(shape);
  }
#pragma omp parallel num_threads(threads)
  {
    const Tiles configured;
    const int thread = omp_get_thread_num();
    Block& block = block_of_each[thread];
    Gradient& gradient = gradient_of_each[thread];
#pragma omp for schedule(dynamic, 1)
    for (Index share = 0; share < shares; ++share) {
      gradient.clear();
      for (Index i = blocks * share / shares; i < blocks * (share + 1) / shares; ++i) {
        const Index first = i * block_points;
        block.count = std::min(block_points, points - first);
        block.read(x + first * shape.inputs, shape.inputs, block.x);
        block.read(dy + first * shape.outputs, shape.outputs, block.y);
        backward_block(network, block, scratch_of_each[thread], gradient);
      }
      gradient.write(shape, partial + share * count);
    }
#pragma omp for schedule(static)
    for (Index first = 0; first < count; first += 4096)
      for (Index share = 0; share < shares; ++share)
        for (Index i = first; i < std::min(count, first + 4096); ++i)
          dparameters[i] += partial[share * count + i];
  }
}

}  // namespace orrery::tiles

#endif
