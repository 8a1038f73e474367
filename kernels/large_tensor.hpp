#pragma once

#include "kernels/tensor.hpp"

namespace orrery {

namespace detail {
void prefer_large_pages(const Context&, void* memory, std::size_t bytes);
}

/// A new tensor as its constructor makes it, for which the system is asked for large pages: worth
/// it where much memory is gone through all over, or given back and taken again.
template <class T, int Rank, class... Extents>
Tensor<T, Rank> large_tensor(const Context& ctx, Extents... sizes) {
  Tensor<T, Rank> tensor(ctx, sizes...);
  detail::prefer_large_pages(ctx, tensor.data(), sizeof(T) * tensor.size());
  return tensor;
}

}  // namespace orrery
