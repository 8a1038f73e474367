#include "bench/kernels/libraries.hpp"
#include "bench/support/bench.hpp"
#include "kernels/gemm.hpp"

namespace orrery::bench {
namespace {

// The library's matrix product: what hand-written kernels of the same arithmetic are held against.
const bool gemms = measure("gemm", "gemm", [](const Context& ctx, Shape shape) {
  const Index m = shape["m"], n = shape["n"], k = shape["k"];
  return Work{2.0 * m * n * k, 4.0 * (m * k + k * n + m * n),
              [ctx, a = random_tensor<float>(ctx, m, k), b = random_tensor<float>(ctx, k, n),
               c = Tensor<float, 2>(ctx, m, n)]() mutable {
                gemm<float>(ctx, Transpose::no, Transpose::no, 1, a, b, 0, c);
              }};
});

const bool updates = measure("symmetric_rank_k", "second_moment", [](const Context& ctx, Shape s) {
  const Index slices = s["slices"], d = s["n"] * s["n"];
  return Work{
      1.0 * slices * d * d, 4.0 * (slices * d + d * d),
      [ctx, a = random_tensor<float>(ctx, slices, d), c = Tensor<float, 2>(ctx, d, d)]() mutable {
        symmetric_rank_k<float>(ctx, 1, a, 0, c);
      }};
});

const bool library_updates =
    measure("library_symmetric_rank_k", "second_moment", [](const Context& ctx, Shape s) {
      const Index slices = s["slices"], d = s["n"] * s["n"];
      return Work{1.0 * slices * d * d, 4.0 * (slices * d + 0.5 * d * d),
                  [ctx, a = random_tensor<float>(ctx, slices, d),
                   c = Tensor<float, 2>(ctx, d, d)]() mutable { library_rank_k(ctx, a, c); }};
    });

}  // namespace
}  // namespace orrery::bench
