#pragma once

#include <algorithm>

#include "kernels/shares.hpp"

namespace orrery::cpu {

/// sum = sum_j weights_j rows_j and, in the same pass over the rows, scaled_j = factors_j rows_j,
/// for operations that have checked their shapes: rows, scaled (J,D)  weights, factors (J)
/// sum (D). Threads take stripes of columns, so that every sum runs in order within one thread.
template <class T>
void weighted_sum(const Context& ctx, View<const T, 2> rows, View<const T, 1> weights,
                  View<const T, 1> factors, View<T, 1> sum, View<T, 2> scaled) {
  const Index count = rows.extent(0), d = rows.extent(1);
  constexpr Index stripe = 128;
#pragma omp parallel for num_threads(threads_for(ctx, rows.size()))
  for (Index first = 0; first < d; first += stripe) {
    const Index width = std::min(stripe, d - first);
    T total[stripe] = {};
    for (Index j = 0; j < count; ++j) {
      const T* row = rows.data + j * d + first;
      T* out = scaled.data + j * d + first;
      const T weight = weights(j), factor = factors(j);
#pragma omp simd
      for (Index i = 0; i < width; ++i) {
        out[i] = factor * row[i];
        total[i] += weight * row[i];
      }
    }
    std::copy_n(total, width, sum.data + first);
  }
}

}  // namespace orrery::cpu
