#pragma once

#include <algorithm>

#include "kernels/view.hpp"

namespace orrery {

/// Copies the m x n tile at (i, j) of a symmetric matrix, whose rows are `stride` apart, to its
/// mirror image at (j, i); of a tile on the diagonal, the upper half.
template <class T>
void mirror(T* matrix, Index stride, Index i, Index j, Index m, Index n) {
  constexpr Index strip = 16;  // of columns, a cache line wide; writing runs along rows
  for (Index column = j; column < j + n; column += strip)
    for (Index q = column; q < std::min(column + strip, j + n); ++q)
      for (Index r = i; r < std::min(i + m, q); ++r)
        matrix[q * stride + r] = matrix[r * stride + q];
}

}  // namespace orrery
