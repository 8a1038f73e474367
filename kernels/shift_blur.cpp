#include "kernels/shift_blur.hpp"

#include <cmath>
#include <numbers>

#include "kernels/check.hpp"
#include "kernels/parallel_for.hpp"
#include "kernels/quotient.hpp"

namespace orrery {
namespace {

ORRERY_HOST_DEVICE inline Index magnitude(Index i) { return i < 0 ? -i : i; }

template <class T>
struct BlurFirst {
  Index n;
  Quotient row_of;
  const T* factors;
  T* first;

  ORRERY_HOST_DEVICE void operator()(Index i) const {
    const Index y = row_of(i), x = i - y * n, h = n / 2;
    first[i] *= factors[magnitude(x - h)] * factors[magnitude(y - h)];
  }
};

/// Entry (k,k') and its counterpart (-k,-k'), which is as far from the end of the matrix as the
/// former is from its beginning, are mixed with one another alone.
template <class T>
struct BlurSecond {
  Index n, grid;
  Quotient row_of, line_of;
  const T* factors;
  T* second;

  ORRERY_HOST_DEVICE void operator()(Index i) const {
    const Index k = line_of(i), l = i - k * grid;
    const Index ky = row_of(k), kx = k - ky * n, ly = row_of(l), lx = l - ly * n;
    // The indices' own offset of n / 2 is twice in their sum.
    const T difference = factors[magnitude(kx - lx)] * factors[magnitude(ky - ly)];
    const T sum = factors[magnitude(kx + lx - n + 1)] * factors[magnitude(ky + ly - n + 1)];
    T& here = second[i];
    T& there = second[grid * grid - 1 - i];
    const T even = difference * T(0.5) * (here + there);
    const T odd = sum * T(0.5) * (here - there);
    here = even + odd;
    there = even - odd;
  }
};

}  // namespace

template <class T>
Tensor<T, 1> shift_blur_factors(const Context& ctx, int n, double deviation) {
  require(n > 0 && n % 2 == 1, "shift_blur_factors", "n must be odd and positive");
  Tensor<T, 1> factors(Context::cpu(1), Index{n});
  for (Index d = 0; d < n; ++d)
    factors(d) = static_cast<T>(std::exp(-2 * std::pow(std::numbers::pi * deviation * d, 2)));
  return upload(ctx, factors);
}

template <class T>
void blur_moments(const Context& ctx, View<const T, 1> factors, View<T, 1> first,
                  View<T, 2> second) {
  const Index n = factors.size(), grid = n * n;
  require(n % 2 == 1, "blur_moments", "n must be odd");
  require_shape("blur_moments", "first", first, {grid});
  require_shape("blur_moments", "second", second, {grid, grid});
  parallel_for(ctx, "blur first moment", grid,
               BlurFirst<T>{n, Quotient(n), factors.data, first.data});
  // The middle entry, at k = k' = 0, is its own counterpart and stays as it is.
  parallel_for(ctx, "blur second moment", grid * grid / 2,
               BlurSecond<T>{n, grid, Quotient(n), Quotient(grid), factors.data, second.data}, 4);
}

#define ORRERY_INSTANTIATE(T)                                               \
  template Tensor<T, 1> shift_blur_factors<T>(const Context&, int, double); \
  template void blur_moments<T>(const Context&, View<const T, 1>, View<T, 1>, View<T, 2>);
ORRERY_INSTANTIATE(float)
ORRERY_INSTANTIATE(double)
#undef ORRERY_INSTANTIATE

}  // namespace orrery
