#include <cmath>

#include "bench/support/bench.hpp"
#include "kernels/fft.hpp"

namespace orrery::bench {
namespace {

// The customary count of a fast Fourier transform's operations: 5 N log2 N.
const bool transforms = measure("fft_3d", "fft_3d", [](const Context& ctx, Shape shape) {
  const Index n = shape["n"];
  const double size = 1.0 * n * n * n;
  Tensor<std::complex<float>, 4> data(ctx, 1, n, n, n);
  set_zero(ctx, data.view());
  return Work{5 * size * std::log2(size), 16 * size, [ctx, data = std::move(data)]() mutable {
                fft_3d<float>(ctx, FftDirection::forward, data);
              }};
});

}  // namespace
}  // namespace orrery::bench
