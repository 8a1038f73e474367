#pragma once

#include <algorithm>

#include "kernels/view.hpp"

namespace orrery {

/// Copies the m x n tile at (i, j) of a symmetric matrix, whose rows are `stride` apart, to its
/// mirror image at (j, i); of a tile on the diagonal, the upper half.
template <class T>
void mirror(T* matrix, Index stride, Index i, Index j, Index m, Index n) {
  constexpr Index block = 16;  // a cache line each way
  for (Index row = i; row < i + m; row += block)
    for (Index column = j; column < j + n; column += block)
      for (Index r = row; r < std::min(row + block, i + m); ++r)
        for (Index q = std::max(column, r + 1); q < std::min(column + block, j + n); ++q)
          matrix[q * stride + r] = matrix[r * stride + q];
}

}  // namespace orrery
