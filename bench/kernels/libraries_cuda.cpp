#include <cublas_v2.h>

#include <memory>
#include <stdexcept>

#include "bench/kernels/libraries.hpp"
#include "kernels/cuda_runtime.hpp"

namespace orrery::bench::cuda {

namespace {

int extent(Index size) { return static_cast<int>(size); }

void check(bool succeeded) {
  if (!succeeded) throw std::runtime_error("a call of cuBLAS failed");
}

/// A cuBLAS handle on the context's stream, where its work is queued as the engine's is.
class Blas {
 public:
  explicit Blas(const Context& ctx) {
    static const cublasHandle_t handle = [] {
      cublasHandle_t created;
      check(cublasCreate(&created) == CUBLAS_STATUS_SUCCESS);
      return created;
    }();
    handle_ = handle;
    check(cublasSetStream(handle_, orrery::cuda::stream_of(ctx.device())) == CUBLAS_STATUS_SUCCESS);
    const bool fp32 = ctx.precision() == Precision::fp32;
    check(cublasSetMathMode(handle_, fp32 ? CUBLAS_DEFAULT_MATH : CUBLAS_TF32_TENSOR_OP_MATH) ==
          CUBLAS_STATUS_SUCCESS);
  }

  template <class Function, class... Arguments>
  void call(Function function, Arguments... arguments) const {
    check(function(handle_, arguments...) == CUBLAS_STATUS_SUCCESS);
  }

 private:
  cublasHandle_t handle_;
};

constexpr float one = 1, zero = 0;

}  // namespace

// cuBLAS counts columns first: what is A (m,k) to us is A^T to it.

void library_product(const Context& ctx, View<const float, 2> a, View<const float, 2> b,
                     View<float, 2> c) {
  const int m = extent(a.extent(0)), k = extent(a.extent(1)), n = extent(b.extent(1));
  Blas(ctx).call(cublasSgemm, CUBLAS_OP_N, CUBLAS_OP_N, n, m, k, &one, b.data, n, a.data, k, &zero,
                 c.data, n);
}

void library_rank_k(const Context& ctx, View<const float, 2> a, View<float, 2> c) {
  const int k = extent(a.extent(0)), n = extent(a.extent(1));
  Blas(ctx).call(cublasSsyrk, CUBLAS_FILL_MODE_LOWER, CUBLAS_OP_N, n, k, &one, a.data, n, &zero,
                 c.data, n);
}

void library_symmetric_product(const Context& ctx, View<const float, 2> a, View<const float, 2> s,
                               View<float, 2> c) {
  const int k = extent(a.extent(0)), n = extent(a.extent(1));
  Blas(ctx).call(cublasSsymm, CUBLAS_SIDE_LEFT, CUBLAS_FILL_MODE_LOWER, n, k, &one, s.data, n,
                 a.data, n, &zero, c.data, n);
}

}  // namespace orrery::bench::cuda
