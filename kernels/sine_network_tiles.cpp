#include "kernels/sine_network_tiles.hpp"

// The one file that uses instructions which this build may not be made for: nothing in it runs
// unless the processor has them (kernels/matrix_tiles.hpp).
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    __GNUC__ >= 11

#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "kernels/fast_sine.hpp"

#pragma GCC target( \
    "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,amx-tile,amx-bf16,prefer-vector-width=512")
// GCC's own intrinsics start from registers that they leave undefined, and it warns of them.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

// A tile is 16 rows of 64 bytes. One instruction multiplies a tile of 16 x 32 bfloat16 numbers by
// one of 32 x 16 and adds to a tile of 16 x 16 floats. The right factor's rows come in pairs: a row
// of its tile holds 16 columns of two rows of the matrix, number beside number.
//
// Matrices are made of patches of 32 x 32 numbers, 4 kB each: two by two tiles of floats in a sum,
// two tiles of high and two of low parts in a factor.
//
// Everything lies as (units, points), in blocks of points whose activations stay in the second
// cache:
//   forward    Z_l = W_l A_(l-1)              left W_l,    right A: pairs of units
//   backward   dA_(l-1) = W_l^T dZ_l          left W_l^T,  right dZ: pairs of units
//              dW_l += dZ_l A_(l-1)^T         left dZ,     right A^T: pairs of points
// so that A and dZ are each packed twice on their way from a sum in float to the next product.

namespace orrery::tiles {
namespace {

constexpr Index side = 16;                        // rows of a tile, and columns of a sum
constexpr Index patch = 32;                       // rows and columns; a tile's inner indices too
constexpr Index tile_numbers = side * patch;      // bfloat16 numbers in a tile
constexpr Index patch_halves = 4 * tile_numbers;  // of a factor's patch, high and low parts
constexpr Index patch_numbers = patch * patch;
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

using Half = std::uint16_t;  // a bfloat16 number
using Vector = __m512;

/// Memory that starts at a cache line; its numbers are not set.
template <class T>
class Aligned {
 public:
  explicit Aligned(Index count)
      : memory_(static_cast<T*>(std::aligned_alloc(64, (count * sizeof(T) + 63) / 64 * 64))),
        count_(count) {
    if (!memory_) throw std::bad_alloc();
  }
  ~Aligned() { std::free(memory_); }
  Aligned(Aligned&& other) noexcept : memory_(other.memory_), count_(other.count_) {
    other.memory_ = nullptr;
  }
  void clear() { std::memset(memory_, 0, count_ * sizeof(T)); }
  T* operator+(Index i) { return memory_ + i; }
  const T* operator+(Index i) const { return memory_ + i; }

 private:
  T* memory_;
  Index count_;
};

/// All eight tiles of a thread at their full size, as long as one lives.
class Tiles {
 public:
  Tiles() {
    struct alignas(64) {
      std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
      std::uint16_t bytes_a_row[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } shape;
    _tile_loadconfig(&shape);
  }
  ~Tiles() { _tile_release(); }
  Tiles(const Tiles&) = delete;
};

/// A patch of floats.
struct alignas(64) Patch {
  float numbers[patch][patch];
  float* row(Index r) { return numbers[r]; }
};

void load_sums(const float* from) {
  constexpr int stride = patch * sizeof(float);
  _tile_loadd(0, from, stride);
  _tile_loadd(1, from + side, stride);
  _tile_loadd(2, from + side * patch, stride);
  _tile_loadd(3, from + side * patch + side, stride);
}

void store_sums(float* to) {
  constexpr int stride = patch * sizeof(float);
  _tile_stored(0, to, stride);
  _tile_stored(1, to + side, stride);
  _tile_stored(2, to + side * patch, stride);
  _tile_stored(3, to + side * patch + side, stride);
}

/// Tiles 0 to 3, a patch of sums, += the products of so many patches of a row and of a column.
void add_products(const Half* row, const Half* column, Index patches) {
  for (Index k = 0; k < patches; ++k, row += patch_halves, column += patch_halves) {
    // A factor's patch: the first tile's high part, its low part, and the second's.
    const Half *low = row + tile_numbers, *second = row + 2 * tile_numbers;
    const Half* second_low = row + 3 * tile_numbers;
    _tile_loadd(4, row, 64);
    _tile_loadd(5, second, 64);
    _tile_loadd(6, column, 64);
    _tile_loadd(7, column + 2 * tile_numbers, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    _tile_loadd(4, low, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, second_low, 64);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    _tile_loadd(6, column + tile_numbers, 64);
    _tile_loadd(7, column + 3 * tile_numbers, 64);
    _tile_loadd(4, row, 64);
    _tile_loadd(5, second, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
}

/// Calls use(row, column, patch) for every patch of a product of (rows, inner) by (inner, columns)
/// patches. A factor's patches along the inner index follow one another.
template <class Use>
void multiply(const Half* left, const Half* right, Index rows, Index inner, Index columns,
              const Use& use) {
  Patch sums;
  for (Index row = 0; row < rows; ++row)
    for (Index column = 0; column < columns; ++column) {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
      add_products(left + row * inner * patch_halves, right + column * inner * patch_halves, inner);
      store_sums(sums.row(0));
      use(row * patch, column * patch, sums);
    }
}

/// sums (rows, columns) patches += that product.
void add_product(const Half* left, const Half* right, Index rows, Index inner, Index columns,
                 float* sums) {
  for (Index row = 0; row < rows; ++row)
    for (Index column = 0; column < columns; ++column, sums += patch_numbers) {
      load_sums(sums);
      add_products(left + row * inner * patch_halves, right + column * inner * patch_halves, inner);
      store_sums(sums);
    }
}

// --- From floats to tiles ------------------------------------------------------------------------

inline __m512i halves_of(Vector low_half, Vector high_half) {
  const __m512bh packed = _mm512_cvtne2ps_pbh(high_half, low_half);
  __m512i bits;
  std::memcpy(&bits, &packed, sizeof bits);
  return bits;
}

inline Vector floats_of(__m256i halves) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

/// 32 numbers of one row, high and low parts, one after the other.
struct SplitRow {
  __m512i high, low;
};
inline SplitRow split_row(Vector first, Vector second) {
  const __m512i high = halves_of(first, second);
  const Vector rest = _mm512_sub_ps(first, floats_of(_mm512_castsi512_si256(high)));
  const Vector second_rest = _mm512_sub_ps(second, floats_of(_mm512_extracti64x4_epi64(high, 1)));
  return {high, halves_of(rest, second_rest)};
}

/// 16 numbers of each of two rows, side by side in pairs.
inline SplitRow split_pairs(Vector even, Vector odd) {
  alignas(64) static constexpr std::uint16_t order[32] = {
      0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const __m512i interleave = _mm512_load_si512(order);
  const __m512i high = _mm512_permutexvar_epi16(interleave, halves_of(even, odd));
  const Vector even_high = _mm512_castsi512_ps(_mm512_slli_epi32(high, 16));
  const Vector odd_high =
      _mm512_castsi512_ps(_mm512_and_si512(high, _mm512_set1_epi32(int(0xffff0000u))));
  const __m512i low = halves_of(_mm512_sub_ps(even, even_high), _mm512_sub_ps(odd, odd_high));
  return {high, _mm512_permutexvar_epi16(interleave, low)};
}

/// A 16 x 16 matrix of 32-bit numbers, one row a register, turned over.
inline void transpose(__m512i (&rows)[16]) {
  __m512i mixed[16];
  for (int i = 0; i < 16; i += 2) {
    mixed[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    mixed[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    rows[i] = _mm512_unpacklo_epi64(mixed[i], mixed[i + 2]);
    rows[i + 1] = _mm512_unpackhi_epi64(mixed[i], mixed[i + 2]);
    rows[i + 2] = _mm512_unpacklo_epi64(mixed[i + 1], mixed[i + 3]);
    rows[i + 3] = _mm512_unpackhi_epi64(mixed[i + 1], mixed[i + 3]);
  }
  // Now rows[4 j + i] holds column 4 q + i of rows 4 j .. 4 j + 3 in its q-th quarter.
  for (int i = 0; i < 4; ++i) {
    const __m512i low = _mm512_shuffle_i32x4(rows[i], rows[4 + i], 0x88);
    const __m512i high = _mm512_shuffle_i32x4(rows[i], rows[4 + i], 0xdd);
    const __m512i low_below = _mm512_shuffle_i32x4(rows[8 + i], rows[12 + i], 0x88);
    const __m512i high_below = _mm512_shuffle_i32x4(rows[8 + i], rows[12 + i], 0xdd);
    mixed[i] = _mm512_shuffle_i32x4(low, low_below, 0x88);
    mixed[8 + i] = _mm512_shuffle_i32x4(low, low_below, 0xdd);
    mixed[4 + i] = _mm512_shuffle_i32x4(high, high_below, 0x88);
    mixed[12 + i] = _mm512_shuffle_i32x4(high, high_below, 0xdd);
  }
  std::memcpy(rows, mixed, sizeof mixed);
}

/// Row r of a factor's patch: of its first tile, or from 16 on of its second.
inline void store(const SplitRow& row, Half* to, Index r) {
  Half* high = to + r / side * 2 * tile_numbers + r % side * patch;
  _mm512_store_si512(high, row.high);
  _mm512_store_si512(high + tile_numbers, row.low);
}

/// A patch as part of a left factor, the inner index along its rows.
void pack_rows(Patch& from, Half* to) {
  for (Index r = 0; r < patch; ++r)
    store(split_row(_mm512_load_ps(from.row(r)), _mm512_load_ps(from.row(r) + side)), to, r);
}

/// ... of a right factor, the inner index down its columns.
void pack_pairs_of_rows(Patch& from, Half* to) {
  for (Index r = 0; r < patch; ++r) {
    const Index pair = r % side, column = r / side * side;
    store(split_pairs(_mm512_load_ps(from.row(2 * pair) + column),
                      _mm512_load_ps(from.row(2 * pair + 1) + column)),
          to, r);
  }
}

/// ... of a right factor, turned over: the inner index along its rows.
void pack_pairs_of_columns(Patch& from, Half* to) {
  for (Index first = 0; first < patch; first += side) {
    __m512i high[16], low[16];
    for (Index r = 0; r < side; ++r) {
      const float* row = from.row(first + r);
      const SplitRow split = split_row(_mm512_load_ps(row), _mm512_load_ps(row + side));
      high[r] = split.high;
      low[r] = split.low;
    }
    transpose(high);
    transpose(low);
    for (Index r = 0; r < side; ++r) store({high[r], low[r]}, to, first + r);
  }
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

  const float* weight(Index layer) const { return parameters + shape.weight_offset(layer); }
  const float* bias(Index layer) const {
    const Index inputs = layer == 0 ? shape.inputs : width;
    return weight(layer) + inputs * (layer == shape.hidden_layers + 1 ? shape.outputs : width);
  }
  float frequency(Index layer) const {
    return static_cast<float>(layer == 0 ? shape.first_frequency : shape.hidden_frequency);
  }
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
      float* matrix = to + shape.weight_offset(layer);
      if (layer > 0)
        for (Index r = 0; r < width; ++r)
          for (Index c = 0; c < width; c += patch)
            std::copy_n(weights + ((layer - 1) * width * width +
                                   (r / patch * (width / patch) + c / patch) * patch_numbers +
                                   r % patch * patch),
                        patch, matrix + r * width + c);
      float* bias = matrix + width * (layer == 0 ? inputs : width);
      for (Index unit = 0; unit < width; ++unit)
        bias[unit] = sum(biases + (layer * width + unit) * lanes);
    }
    float* matrix = to + shape.weight_offset(hidden + 1);
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

  // dZ of a patch is known: what the layers below and the weights need of it. `z` is overwritten.
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
  const Index blocks = blocks_of(points);
#pragma omp parallel num_threads(threads)
  {
    const Tiles configured;
    Aligned<Half> a(2 * network.width * block_points), b(2 * network.width * block_points);
    const auto block = std::make_unique<Block>();
#pragma omp for schedule(dynamic, 4)
    for (Index i = 0; i < blocks; ++i) {
      const Index first = i * block_points;
      block->count = std::min(block_points, points - first);
      block->read(x + first * shape.inputs, shape.inputs, block->x);
      forward_block(network, *block, a + 0, b + 0);
      for (Index p = 0; p < block->count; ++p)
        for (Index o = 0; o < shape.outputs; ++o)
          y[(first + p) * shape.outputs + o] = block->y[o][p];
    }
  }
}

void sine_network_backward(int threads, const SineNetworkShape& shape, const float* parameters,
                           Index points, const float* x, const float* dy, float* dparameters) {
  const Network network(shape, parameters, true);
  const Index blocks = blocks_of(points), count = shape.parameter_count();
  const Index shares = shares_of(blocks);
  Aligned<float> partial(shares * count);
#pragma omp parallel num_threads(threads)
  {
    const Tiles configured;
    Scratch scratch(network);
    Gradient gradient(shape);
    const auto block = std::make_unique<Block>();
#pragma omp for schedule(dynamic, 1)
    for (Index share = 0; share < shares; ++share) {
      gradient.clear();
      for (Index i = blocks * share / shares; i < blocks * (share + 1) / shares; ++i) {
        const Index first = i * block_points;
        block->count = std::min(block_points, points - first);
        block->read(x + first * shape.inputs, shape.inputs, block->x);
        block->read(dy + first * shape.outputs, shape.outputs, block->y);
        backward_block(network, *block, scratch, gradient);
      }
      gradient.write(shape, partial + share * count);
    }
#pragma omp for schedule(static)
    for (Index first = 0; first < count; first += 4096)
      for (Index share = 0; share < shares; ++share)
        for (Index i = first; i < std::min(count, first + 4096); ++i)
          dparameters[i] += (partial + share * count)[i];
  }
}

}  // namespace orrery::tiles

#else

#include <stdexcept>

namespace orrery::tiles {

bool fits(const SineNetworkShape&) { return false; }
void sine_network_forward(int, const SineNetworkShape&, const float*, Index, const float*, float*) {
  throw std::logic_error("this build has no matrix tiles");
}
void sine_network_backward(int, const SineNetworkShape&, const float*, Index, const float*,
                           const float*, float*) {
  throw std::logic_error("this build has no matrix tiles");
}

}  // namespace orrery::tiles

#endif
