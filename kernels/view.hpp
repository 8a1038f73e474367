#pragma once

#include <cstddef>
#include <type_traits>

// Functions marked so run on the host and, in CUDA sources, on the device too.
#if defined(__CUDACC__)
#define ORRERY_HOST_DEVICE __host__ __device__
#else
#define ORRERY_HOST_DEVICE
#endif

namespace orrery {

using Index = std::ptrdiff_t;

/// A non-owning, row-major, contiguous window on numbers: a pointer and its extents, nothing else.
/// Copied freely, passed by value, callable on host and device. `View<T>` converts to `View<const
/// T>`.
template <class T, int Rank>
struct View {
  static_assert(Rank >= 1);

  T* data = nullptr;
  Index extents[Rank] = {};

  View() = default;

  template <class... Extents>
  requires(sizeof...(Extents) == Rank &&
           (std::is_convertible_v<Extents, Index> && ...)) ORRERY_HOST_DEVICE
      constexpr View(T* numbers, Extents... sizes)
      : data(numbers), extents{static_cast<Index>(sizes)...} {}

  ORRERY_HOST_DEVICE constexpr Index extent(int dimension) const { return extents[dimension]; }

  ORRERY_HOST_DEVICE constexpr Index size() const {
    Index count = 1;
    for (int d = 0; d < Rank; ++d) count *= extents[d];
    return count;
  }

  /// Element at (i, j, ...); the last index runs fastest.
  template <class... Indices>
  requires(sizeof...(Indices) == Rank) ORRERY_HOST_DEVICE constexpr T& operator()(
      Indices... indices) const {
    const Index position[Rank] = {static_cast<Index>(indices)...};
    Index offset = 0;
    for (int d = 0; d < Rank; ++d) offset = offset * extents[d] + position[d];
    return data[offset];
  }

  /// The sub-view at index i of the first dimension; an element when Rank is 1.
  ORRERY_HOST_DEVICE constexpr decltype(auto) operator[](Index i) const {
    if constexpr (Rank == 1) {
      return (data[i]);
    } else {
      View<T, Rank - 1> row;
      Index stride = 1;
      for (int d = 1; d < Rank; ++d) {
        row.extents[d - 1] = extents[d];
        stride *= extents[d];
      }
      row.data = data + i * stride;
      return row;
    }
  }

  /// The rows [first, first + count) of the first dimension.
  ORRERY_HOST_DEVICE constexpr View rows(Index first, Index count) const {
    View part = *this;
    Index stride = 1;
    for (int d = 1; d < Rank; ++d) stride *= extents[d];
    part.data = data + first * stride;
    part.extents[0] = count;
    return part;
  }

  /// The same numbers as one dimension.
  ORRERY_HOST_DEVICE constexpr View<T, 1> flat() const { return View<T, 1>(data, size()); }

  /// The same numbers under other extents, whose product must equal size().
  template <class... Extents>
  ORRERY_HOST_DEVICE constexpr View<T, sizeof...(Extents)> reshaped(Extents... sizes) const {
    return View<T, sizeof...(Extents)>(data, sizes...);
  }

  ORRERY_HOST_DEVICE constexpr operator View<const T, Rank>() const requires(!std::is_const_v<T>) {
    View<const T, Rank> same;
    same.data = data;
    for (int d = 0; d < Rank; ++d) same.extents[d] = extents[d];
    return same;
  }

  // Iteration over all numbers, host side.
  T* begin() const { return data; }
  T* end() const { return data + size(); }
};

}  // namespace orrery
