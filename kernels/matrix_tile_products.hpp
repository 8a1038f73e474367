#pragma once

// For the few .cpp files that multiply on the processor's matrix tiles (AMX), where the compiler
// knows them: factors in pairs of bfloat16 numbers, and their products in float. From here on a
// file uses instructions that its build may not be made for; nothing in it runs unless the
// processor has them (kernels/matrix_tiles.hpp). It should define no function that others could
// take for theirs.

#include <immintrin.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#include "kernels/view.hpp"

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

namespace orrery::tiles {
namespace {

constexpr Index side = 16;                        // rows of a tile, and columns of a sum
constexpr Index patch = 32;                       // rows and columns; a tile's inner indices too
constexpr Index tile_numbers = side * patch;      // bfloat16 numbers in a tile
constexpr Index patch_halves = 4 * tile_numbers;  // of a factor's patch, high and low parts
constexpr Index patch_numbers = patch * patch;

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
  T& operator[](Index i) { return memory_[i]; }

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

inline void clear_sums() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

inline void load_sums(const float* from) {
  constexpr int stride = patch * sizeof(float);
  _tile_loadd(0, from, stride);
  _tile_loadd(1, from + side, stride);
  _tile_loadd(2, from + side * patch, stride);
  _tile_loadd(3, from + side * patch + side, stride);
}

inline void store_sums(float* to) {
  constexpr int stride = patch * sizeof(float);
  _tile_stored(0, to, stride);
  _tile_stored(1, to + side, stride);
  _tile_stored(2, to + side * patch, stride);
  _tile_stored(3, to + side * patch + side, stride);
}

/// Tiles 0 to 3, a patch of sums, += the products of so many patches of a row and of a column.
inline void add_products(const Half* row, const Half* column, Index patches) {
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
      clear_sums();
      add_products(left + row * inner * patch_halves, right + column * inner * patch_halves, inner);
      store_sums(sums.row(0));
      use(row * patch, column * patch, sums);
    }
}

/// sums (rows, columns) patches += that product.
inline void add_product(const Half* left, const Half* right, Index rows, Index inner, Index columns,
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
inline void pack_rows(Patch& from, Half* to) {
  for (Index r = 0; r < patch; ++r)
    store(split_row(_mm512_load_ps(from.row(r)), _mm512_load_ps(from.row(r) + side)), to, r);
}

/// ... of a right factor, the inner index down its columns.
inline void pack_pairs_of_rows(Patch& from, Half* to) {
  for (Index r = 0; r < patch; ++r) {
    const Index pair = r % side, column = r / side * side;
    store(split_pairs(_mm512_load_ps(from.row(2 * pair) + column),
                      _mm512_load_ps(from.row(2 * pair + 1) + column)),
          to, r);
  }
}

/// ... of a right factor, turned over: the inner index along its rows.
inline void pack_pairs_of_columns(Patch& from, Half* to) {
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

/// ... of a left factor, turned over: the inner index down its columns.
inline void pack_columns(Patch& from, Half* to) {
  for (Index first = 0; first < patch; first += side) {
    __m512i left[16], right[16];
    for (Index r = 0; r < side; ++r) {
      left[r] = _mm512_load_si512(from.row(r) + first);
      right[r] = _mm512_load_si512(from.row(side + r) + first);
    }
    transpose(left);
    transpose(right);
    for (Index r = 0; r < side; ++r)
      store(split_row(_mm512_castsi512_ps(left[r]), _mm512_castsi512_ps(right[r])), to, first + r);
  }
}

}  // namespace
}  // namespace orrery::tiles
