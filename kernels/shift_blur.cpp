#include "kernels/shift_blur.hpp"

#include <cmath>
#include <numbers>

#include "kernels/check.hpp"
#include "kernels/parallel_for.hpp"
#include "kernels/slice_grid.hpp"

namespace orrery {
namespace {

ORRERY_HOST_DEVICE inline Index magnitude(Index i) { return i < 0 ? -i : i; }

template <class T>
struct BlurFirst {
  SliceGrid grid;
  const T* factors;
  T* first;

  ORRERY_HOST_DEVICE void operator()(Index i) const {
    const auto k = grid(i);
    first[i] *= factors[magnitude(k.x)] * factors[magnitude(k.y)];
  }
};

/// Entry (k,k') and its counterpart (-k,-k'), which is as far from the end of the matrix as the
/// former is from its beginning, are mixed with one another alone.
template <class T>
struct BlurSecond {
  SliceGrid grid;
  Index size;  // of the grid
  Quotient line_of;
  const T* factors;
  T* second;

  ORRERY_HOST_DEVICE void operator()(Index i) const {
    const Index line = line_of(i);
    const auto k = grid(line), l = grid(i - line * size);
    const T difference = factors[magnitude(k.x - l.x)] * factors[magnitude(k.y - l.y)];
    const T sum = factors[magnitude(k.x + l.x)] * factors[magnitude(k.y + l.y)];
    T& here = second[i];
    T& there = second[size * size - 1 - i];
    const T even = difference * T(0.5) * (here + there);
    const T odd = sum * T(0.5) * (here - there);
    here = even + odd;
    there = even - odd;
  }
};

}  // namespace

template <class T>
Tensor<T, 1> shift_blur_factors(const Context& ctx, int n, double deviation) {
  require_odd("shift_blur_factors", n);
  Tensor<T, 1> factors(Context::cpu(1), Index{n});
  for (Index d = 0; d < n; ++d)
    factors(d) = static_cast<T>(std::exp(-2 * std::pow(std::numbers::pi * deviation * d, 2)));
  return upload(ctx, factors);
}

template <class T>
void blur_moments(const Context& ctx, View<const T, 1> factors, View<T, 1> first,
                  View<T, 2> second) {
  const Index n = factors.size(), size = n * n;
  require_odd("blur_moments", n);
  require_shape("blur_moments", "first", first, {size});
  require_shape("blur_moments", "second", second, {size, size});
  const SliceGrid grid(n);
  parallel_for(ctx, "blur first moment", size, BlurFirst<T>{grid, factors.data, first.data});
  // The middle entry, at k = k' = 0, is its own counterpart and stays as it is.
  parallel_for(ctx, "blur second moment", size * size / 2,
               BlurSecond<T>{grid, size, Quotient(size), factors.data, second.data}, 4);
}

#define ORRERY_INSTANTIATE(T)                                               \
  template Tensor<T, 1> shift_blur_factors<T>(const Context&, int, double); \
  template void blur_moments<T>(const Context&, View<const T, 1>, View<T, 1>, View<T, 2>);
ORRERY_INSTANTIATE(float)
ORRERY_INSTANTIATE(double)
#undef ORRERY_INSTANTIATE

}  // namespace orrery
