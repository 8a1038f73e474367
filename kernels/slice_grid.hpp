#pragma once

#include "kernels/check.hpp"
#include "kernels/quotient.hpp"

namespace orrery {

/// The odd n x n grid of centred frequencies of kernels/slices.hpp: which one an index stands for.
struct SliceGrid {
  struct Frequency {
    Index x, y;
  };

  explicit SliceGrid(Index edge) : n(edge), row_of(edge) {}
  ORRERY_HOST_DEVICE Frequency operator()(Index index) const {
    const Index row = row_of(index);
    return {index - row * n - n / 2, row - n / 2};
  }

  Index n;
  Quotient row_of;
};

/// Throws std::invalid_argument naming the operation unless n is an edge of such a grid.
inline void require_odd(const char* operation, Index n) {
  require(n > 0 && n % 2 == 1, operation, "n must be odd and positive");
}

}  // namespace orrery
