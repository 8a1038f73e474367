#include <string>

#include "bench/kernels/libraries.hpp"
#include "bench/support/bench.hpp"
#include "kernels/moment_residual.hpp"
#include "kernels/second_moment.hpp"

namespace orrery::bench {
namespace {

Tensor<float, 1> equal_weights(const Context& ctx, Index count) {
  Tensor<float, 1> weights(Context::cpu(1), count);
  for (float& z : weights.view()) z = 1.0f / static_cast<float>(count);
  return upload(ctx, weights);
}

const bool forward =
    measure("second_moment_forward", "second_moment", [](const Context& ctx, Shape shape) {
      const Index slices = shape["slices"], d = shape["n"] * shape["n"];
      return Work{1.0 * slices * d * d, 4.0 * (slices * d + d * d),
                  [ctx, h = random_tensor<float>(ctx, slices, d), z = equal_weights(ctx, slices),
                   m1 = Tensor<float, 1>(ctx, d), m2 = Tensor<float, 2>(ctx, d, d)]() mutable {
                    weighted_moments_forward<float>(ctx, h, z, m1, m2);
                  }};
    });

const bool backward =
    measure("second_moment_backward", "second_moment", [](const Context& ctx, Shape shape) {
      const Index slices = shape["slices"], d = shape["n"] * shape["n"];
      return Work{
          2.0 * slices * d * d, 4.0 * (2 * slices * d + d * d),
          [ctx, h = random_tensor<float>(ctx, slices, d), z = equal_weights(ctx, slices),
           dm1 = random_tensor<float>(ctx, d), dm2 = random_tensor<float>(ctx, d, d),
           dh = Tensor<float, 2>(ctx, slices, d), dz = Tensor<float, 1>(ctx, slices)]() mutable {
            weighted_moments_backward<float>(ctx, h, z, 1, dm1, 1, dm2, dh, dz);
          }};
    });

/// In full precision, and in that which a reconstruction asks for.
bool measure_residual(const char* name, Precision precision) {
  return measure(name, "second_moment", [precision](const Context& context, Shape shape) {
    const Context ctx = context.with_precision(precision);
    const Index slices = shape["slices"], d = shape["n"] * shape["n"];
    return Work{
        3.0 * slices * d * d, 4.0 * (3.0 * slices * d + 0.5 * d * d),
        [ctx, h = random_tensor<float>(ctx, slices, d), z = equal_weights(ctx, slices),
         m1 = random_tensor<float>(ctx, d), m2 = random_tensor<float>(ctx, d, d),
         r = Tensor<float, 1>(ctx, d), dh = Tensor<float, 2>(ctx, slices, d),
         norms = Tensor<double, 1>(ctx, Index{2}), dz = Tensor<float, 1>(ctx, slices)]() mutable {
          moment_residual<float>(ctx, h, z, m1, m2, r, dh, norms);
          moment_residual_gradients<float>(ctx, h, z, r, norms, dh, dz);
        }};
  });
}

const bool residual = measure_residual("moment_residual", Precision::fp32);
const bool residual_tf32 = measure_residual("moment_residual_tf32", Precision::tf32);

// The ladder: the moment as a matrix by ssyrk, its residual times the slices by ssymm.
enum Products { moment = 1, gradient = 2 };

bool measure_library(const std::string& name, int products, Precision precision) {
  return measure("library_" + name, "second_moment", [=](const Context& context, Shape shape) {
    const Context ctx = context.with_precision(precision);
    const Index slices = shape["slices"], d = shape["n"] * shape["n"];
    return Work{
        products * 1.0 * slices * d * d, 4.0 * (2.0 * slices * d + 0.5 * d * d),
        [=, h = random_tensor<float>(ctx, slices, d), m2 = Tensor<float, 2>::zeros(ctx, d, d),
         dh = Tensor<float, 2>(ctx, slices, d)]() mutable {
          if (products & moment) library_rank_k(ctx, h, m2);
          if (products & gradient) library_symmetric_product(ctx, h, m2, dh);
        }};
  });
}

const bool ladder = measure_library("second_moment_forward", moment, Precision::fp32) &&
                    measure_library("second_moment_backward", gradient, Precision::fp32) &&
                    measure_library("moment_residual", moment | gradient, Precision::fp32) &&
                    measure_library("moment_residual_tf32", moment | gradient, Precision::tf32);

}  // namespace
}  // namespace orrery::bench
