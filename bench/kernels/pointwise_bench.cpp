#include "bench/support/bench.hpp"
#include "kernels/pointwise.hpp"

namespace orrery::bench {
namespace {

// The fastest that memory is read and written: what kernels with little arithmetic are held
// against.
const bool copies = measure("memory_copy", "memory", [](const Context& ctx, Shape shape) {
  const Index count = shape["count"];
  return Work{1.0 * count, 8.0 * count,
              [ctx, x = random_tensor<float>(ctx, count),
               y = Tensor<float, 1>(ctx, count)]() mutable { copy<float, 1>(ctx, x, y); }};
});

// A fast sine is counted as 20 operations: 7 of the reduction, 4 of the sign, 9 of the polynomial.
constexpr double sine_flop = 20;

const bool sines = measure("sine_forward", "sine", [](const Context& ctx, Shape shape) {
  const Index count = shape["count"];
  return Work{sine_flop * count, 8.0 * count,
              [ctx, x = random_tensor<float>(ctx, count),
               y = Tensor<float, 1>(ctx, count)]() mutable { sine_forward<float>(ctx, 30, x, y); }};
});

}  // namespace
}  // namespace orrery::bench
