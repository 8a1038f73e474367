#include "kernels/readback.hpp"

#include "kernels/check.hpp"
#include "kernels/cuda_runtime.hpp"

namespace orrery {

Readback::Readback(const Context& ctx, Index count) : ctx_(ctx), count_(count) {
  if constexpr (built_with_cuda) {
    if (ctx.backend() == Backend::cuda) {
      copy_ = cuda::make_readback(ctx.device(), sizeof(double) * count);
      return;
    }
  }
  host_ = Tensor<double, 1>(ctx, count);
}

void Readback::begin(View<const double, 1> numbers) {
  require_shape("Readback::begin", "numbers", numbers, {count_});
  begun_ = true;
  if constexpr (built_with_cuda)
    if (copy_) return cuda::begin(ctx_.device(), *copy_, numbers.data);
  copy<double, 1>(ctx_, numbers, host_);
}

View<const double, 1> Readback::wait() {
  require(begun_, "Readback::wait", "no copy was begun");
  if constexpr (built_with_cuda)
    if (copy_) return {static_cast<const double*>(cuda::finish(ctx_.device(), *copy_)), count_};
  return host_;
}

}  // namespace orrery
