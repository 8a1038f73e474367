#include "kernels/second_moment.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/check.hpp"
#include "kernels/gemm.hpp"
#include "kernels/moment_residual.hpp"
#include "kernels/tensor.hpp"
#include "kernels/weighted_sum.hpp"

namespace orrery {

namespace cuda {
template <class T>
void weighted_moments_forward(const Context& ctx, View<const T, 2> slices, View<const T, 1> weights,
                              View<T, 1> m1, View<T, 2> m2);
}  // namespace cuda

template <class T>
void weighted_moments_forward(const Context& ctx, View<const T, 2> slices, View<const T, 1> weights,
                              View<T, 1> m1, View<T, 2> m2) {
  const char* operation = "weighted_moments_forward";
  const Index j_count = slices.extent(0), d = slices.extent(1);
  require_shape(operation, "weights", weights, {j_count});
  require_shape(operation, "m1", m1, {d});
  require_shape(operation, "m2", m2, {d, d});
  if constexpr (built_with_cuda)
    if (ctx.backend() == Backend::cuda)
      return cuda::weighted_moments_forward<T>(ctx, slices, weights, m1, m2);

  // With B = diag(sqrt z) A the second moment is B^T B, which costs half of A^T diag(z) A.
  Tensor<T, 2> scaled(ctx, j_count, d);
  Tensor<T, 1> roots(ctx, j_count);
  std::transform(weights.begin(), weights.end(), roots.view().begin(),
                 [](T z) { return std::sqrt(z); });
  cpu::weighted_sum<T>(ctx, slices, weights, roots, m1, scaled);
  symmetric_rank_k<T>(ctx, T(1), scaled, T(0), m2);
}

template <class T>
void weighted_moments_backward(const Context& ctx, View<const T, 2> slices,
                               View<const T, 1> weights, T a, View<const T, 1> dm1, T b,
                               View<const T, 2> dm2, View<T, 2> dslices, View<T, 1> dweights) {
  const char* operation = "weighted_moments_backward";
  const Index j_count = slices.extent(0), d = slices.extent(1);
  require_shape(operation, "weights", weights, {j_count});
  require_shape(operation, "dm1", dm1, {d});
  require_shape(operation, "dm2", dm2, {d, d});
  require_shape(operation, "dslices", dslices, {j_count, d});
  require_shape(operation, "dweights", dweights, {j_count});
  // Of the factors b is in the products already.
  gemm<T>(ctx, Transpose::no, Transpose::no, b, slices, dm2, T(0), dslices);
  moment_residual_gradients<T>(ctx, slices, weights, dm1,
                               upload_as<double>(ctx, std::vector<T>{a, 1}), dslices, dweights);
}

#define ORRERY_INSTANTIATE(T)                                                                      \
  template void weighted_moments_forward<T>(const Context&, View<const T, 2>, View<const T, 1>,    \
                                            View<T, 1>, View<T, 2>);                               \
  template void weighted_moments_backward<T>(const Context&, View<const T, 2>, View<const T, 1>,   \
                                             T, View<const T, 1>, T, View<const T, 2>, View<T, 2>, \
                                             View<T, 1>);
ORRERY_INSTANTIATE(float)
ORRERY_INSTANTIATE(double)
#undef ORRERY_INSTANTIATE

}  // namespace orrery
