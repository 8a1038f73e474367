#include "bench/kernels/libraries.hpp"
#include "bench/support/bench.hpp"
#include "kernels/conv.hpp"

namespace orrery::bench {
namespace {

struct Sizes {
  Index batch, in, out, n, window;
  explicit Sizes(Shape& s)
      : batch(s["batch"]), in(s["in"]), out(s["out"]), n(s["n"]), window(s["window"]) {}
  double x() const { return 1.0 * batch * in * n * n; }
  double y() const { return 1.0 * batch * out * n * n; }
  double weight() const { return 1.0 * out * in * window * window; }
  double flop() const { return 2.0 * batch * weight() * n * n; }
};

const bool forward = measure("conv2d_forward", "conv2d", [](const Context& ctx, Shape shape) {
  const Sizes s(shape);
  return Work{s.flop(), 4.0 * (s.x() + s.weight() + s.y()),
              [ctx, x = random_tensor<float>(ctx, s.batch, s.in, s.n, s.n),
               weight = random_tensor<float>(ctx, s.out, s.in, s.window, s.window),
               bias = random_tensor<float>(ctx, s.out),
               y = Tensor<float, 4>(ctx, s.batch, s.out, s.n, s.n)]() mutable {
                conv2d_forward<float>(ctx, x, weight, bias, y);
              }};
});

const bool backward = measure("conv2d_backward", "conv2d", [](const Context& ctx, Shape shape) {
  const Sizes s(shape);
  return Work{2 * s.flop(), 4.0 * (2 * s.x() + 2 * s.weight() + s.y()),
              [ctx, x = random_tensor<float>(ctx, s.batch, s.in, s.n, s.n),
               weight = random_tensor<float>(ctx, s.out, s.in, s.window, s.window),
               dy = random_tensor<float>(ctx, s.batch, s.out, s.n, s.n),
               dx = Tensor<float, 4>(ctx, s.batch, s.in, s.n, s.n),
               dweight = Tensor<float, 4>::zeros(ctx, s.out, s.in, s.window, s.window),
               dbias = Tensor<float, 1>::zeros(ctx, s.out)]() mutable {
                conv2d_backward<float>(ctx, x, weight, dy, dx, dweight, dbias);
              }};
});

/// The ladder on the CPU: the products that are left once every window of x lies in a matrix, as
/// many as there are passes. For CUDA see bench/cudnn.
bool measure_products(const char* name, int passes) {
  return measure(
      name, "conv2d",
      [passes](const Context& ctx, Shape shape) {
        const Sizes s(shape);
        const Index inputs = s.in * s.window * s.window, places = s.batch * s.n * s.n;
        return Work{passes * s.flop(), passes * 4.0 * (s.x() + s.weight() + s.y()),
                    [=, weight = random_tensor<float>(ctx, s.out, inputs),
                     windows = random_tensor<float>(ctx, inputs, places),
                     y = Tensor<float, 2>(ctx, s.out, places)]() mutable {
                      for (int pass = 0; pass < passes; ++pass)
                        library_product(ctx, weight, windows, y);
                    }};
      },
      Backend::cpu);
}

const bool ladder =
    measure_products("library_conv2d_forward", 1) && measure_products("library_conv2d_backward", 2);

}  // namespace
}  // namespace orrery::bench
