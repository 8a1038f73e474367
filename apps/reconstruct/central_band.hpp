#pragma once

#include <vector>

#include "kernels/view.hpp"

namespace orrery {

/// The central band x band frequencies of an odd n x n grid: where they lie on it.
struct CentralBand {
  Index n, band;

  Index count() const { return band * band; }
  Index operator()(Index i) const {
    const Index edge = (n - band) / 2;
    return (i / band + edge) * n + i % band + edge;
  }

  /// A vector (n^2) and a matrix (n^2, n^2), restricted.
  template <class T>
  std::vector<T> of_vector(const T* numbers) const {
    std::vector<T> kept(count());
    for (Index i = 0; i < count(); ++i) kept[i] = numbers[(*this)(i)];
    return kept;
  }
  template <class T>
  std::vector<T> of_matrix(const T* numbers) const {
    std::vector<T> kept(count() * count());
    for (Index i = 0; i < count(); ++i)
      for (Index j = 0; j < count(); ++j)
        kept[i * count() + j] = numbers[(*this)(i)*n * n + (*this)(j)];
    return kept;
  }
};

}  // namespace orrery
