#include "kernels/row_products_tiles.hpp"

#include "kernels/matrix_tiles.hpp"

#if ORRERY_WITH_MATRIX_TILES

#include <omp.h>

#include <vector>

#include "kernels/matrix_tile_products.hpp"

// Rows of numbers become patches of 32 rows and 32 columns, once, as parts of a right factor; what
// a left factor needs is the same turned over, sixteen by sixteen pairs of numbers, which is done
// on the way to the first cache. The sums of a tile of patches stay in the second cache, and so do
// the factors of one block of rows; what comes next is fetched meanwhile.

namespace orrery::tiles {
namespace {

constexpr Index tile_rows = 12, tile_columns = 16;  // patches of sums: 768 kB
constexpr Index block = 4;                          // patches of rows, so that a factor takes 16 kB
constexpr Index most_rows = 4096;                   // that are summed in float

Index smaller(Index a, Index b) { return a < b ? a : b; }
Index larger(Index a, Index b) { return a > b ? a : b; }
Index parts_of(Index length, Index part) { return (length + part - 1) / part; }

/// Rows as right factors: patch by patch down a block, then column by column, then block by block.
class PackedRows {
 public:
  PackedRows(const float* rows, Index count, Index n, void* scratch)
      : rows_(rows),
        count_(count),
        n_(n),
        depth_(parts_of(count, patch)),
        columns_(parts_of(n, patch)),
        halves_(static_cast<Half*>(scratch)) {}

  Index depth() const { return depth_; }  // patches of rows
  Index columns() const { return columns_; }
  /// Of a block, the factor of one column of patches.
  const Half* factor(Index first, Index column) const {
    return halves_ + (first * columns_ + column * block) * patch_halves;
  }
  void pack(Index row) {
    Patch numbers;
    for (Index column = 0; column < columns_; ++column) {
      read(row * patch, column * patch, numbers);
      const Index before = row / block * block;
      pack_pairs_of_rows(
          numbers, halves_ + (before * columns_ + column * block + row % block) * patch_halves);
    }
  }

 private:
  void read(Index row, Index column, Patch& numbers) const {
    const Index height = smaller(patch, count_ - row), width = smaller(patch, n_ - column);
    if (height < patch || width < patch) std::memset(&numbers, 0, sizeof numbers);
    for (Index r = 0; r < height; ++r)
      std::memcpy(numbers.row(r), rows_ + (row + r) * n_ + column, width * sizeof(float));
  }

  const float* rows_;
  Index count_, n_, depth_, columns_;
  Half* halves_;
};

/// A right factor's tile as a left factor's: pairs of numbers change places.
void turn(const Half* from, Half* to) {
  __m512i pairs[side];
  for (Index r = 0; r < side; ++r) pairs[r] = _mm512_load_si512(from + r * patch);
  transpose(pairs);
  for (Index r = 0; r < side; ++r) _mm512_store_si512(to + r * patch, pairs[r]);
}

/// Tiles 0 to 3 += the products of low parts with one another.
void add_low_products(const Half* row, const Half* column, Index patches) {
  for (Index k = 0; k < patches; ++k, row += patch_halves, column += patch_halves) {
    _tile_loadd(4, row + tile_numbers, 64);
    _tile_loadd(5, row + 3 * tile_numbers, 64);
    _tile_loadd(6, column + tile_numbers, 64);
    _tile_loadd(7, column + 3 * tile_numbers, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
}

/// Part of what one step will need, into the second cache during another.
void fetch(const Half* from, Index part, Index parts) {
  constexpr Index line = 64, bytes = block * patch_halves * static_cast<Index>(sizeof(Half));
  const auto* memory = reinterpret_cast<const char*>(from);
  const Index lines = parts_of(bytes / line, parts);
  for (Index i = part * lines; i < smaller((part + 1) * lines, bytes / line); ++i)
    _mm_prefetch(memory + i * line, _MM_HINT_T1);
}

/// Where a tile of sums begins, in patches.
struct Corner {
  Index row, column;
};

/// The products of a tile, from the diagonal on to the right.
void form_tile(const PackedRows& packed, Corner corner, Patch* sums) {
  alignas(64) Half turned[block * patch_halves];
  const Index last_row = smaller(corner.row + tile_rows, packed.columns());
  const Index last_column = smaller(corner.column + tile_columns, packed.columns());
  for (Index k = 0; k < packed.depth(); k += block) {
    const Index count = smaller(block, packed.depth() - k);
    const Index next = k + block < packed.depth() ? k + block : k;
    for (Index i = corner.row; i < last_row; ++i) {
      const Half* left = packed.factor(k, i);
      for (Index t = 0; t < count * patch_halves; t += tile_numbers) turn(left + t, turned + t);
      for (Index j = larger(i, corner.column); j < last_column; ++j) {
        fetch(packed.factor(next, j), i - corner.row, tile_rows);
        float* sum = sums[(i - corner.row) * tile_columns + (j - corner.column)].row(0);
        if (k == 0)
          clear_sums();
        else
          load_sums(sum);
        const Half* right = packed.factor(k, j);
        add_products(turned, right, count);
        if (i == j) add_low_products(turned, right, count);
        store_sums(sum);
      }
    }
  }
}

/// Adds a tile's sums to the triangle, row by row.
void add_tile(Corner corner, Index n, Patch* sums, double* triangle) {
  const Index end = smaller((corner.column + tile_columns) * patch, n);
  for (Index i = corner.row * patch; i < smaller((corner.row + tile_rows) * patch, n); ++i)
    for (Index j = larger(i, corner.column * patch); j < end;) {
      const Index row = i / patch - corner.row, column = j / patch - corner.column;
      const Index stop = smaller((j / patch + 1) * patch, end);
      const float* from = sums[row * tile_columns + column].row(i % patch);
      double* to = triangle + packed_index(n, i, j);
      const Index width = stop - j, offset = j % patch;
      for (Index c = 0; c < width; ++c) to[c] += static_cast<double>(from[offset + c]);
      j = stop;
    }
}

}  // namespace

Index row_products_scratch_bytes(Index count, Index n) {
  const Index depth = parts_of(smaller(count, most_rows), patch * block) * block;
  return depth * parts_of(n, patch) * patch_halves * static_cast<Index>(sizeof(Half));
}

void add_row_products(int threads, const float* rows, Index count, Index n, double* sums,
                      void* scratch) {
  for (; count > most_rows; count -= most_rows, rows += most_rows * n)
    add_row_products(threads, rows, most_rows, n, sums, scratch);
  PackedRows packed(rows, count, n, scratch);
  std::vector<Corner> corners;
  for (Index i = 0; i < packed.columns(); i += tile_rows)
    for (Index j = i / tile_columns * tile_columns; j < packed.columns(); j += tile_columns)
      corners.push_back({i, j});

  Aligned<Patch> sums_of_each(threads * tile_rows * tile_columns);
#pragma omp parallel num_threads(threads)
  {
    const Tiles configured;
    Patch* const tile = sums_of_each + omp_get_thread_num() * tile_rows * tile_columns;
#pragma omp for schedule(dynamic)
    for (Index row = 0; row < packed.depth(); ++row) packed.pack(row);
#pragma omp for schedule(dynamic)
    for (std::size_t task = 0; task < corners.size(); ++task) {
      form_tile(packed, corners[task], tile);
      add_tile(corners[task], n, tile, sums);
    }
  }
}

}  // namespace orrery::tiles

#endif
