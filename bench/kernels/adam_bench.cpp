#include "bench/support/bench.hpp"
#include "kernels/adam.hpp"

namespace orrery::bench {
namespace {

// Five blocks are read, four of them written; about 15 operations a parameter.
const bool steps = measure("adam_step", "adam", [](const Context& ctx, Shape shape) {
  const Index count = shape["parameters"];
  auto zeros = [&] { return Tensor<float, 1>::zeros(ctx, count); };
  return Work{15.0 * count, 36.0 * count,
              [ctx, step = Index(0), gradient = random_tensor<float>(ctx, count), first = zeros(),
               second = zeros(), largest = zeros(),
               parameters = random_tensor<float>(ctx, count)]() mutable {
                adam_step<float>(ctx, {}, ++step, 1, gradient, first, second, largest, parameters);
              }};
});

}  // namespace
}  // namespace orrery::bench
