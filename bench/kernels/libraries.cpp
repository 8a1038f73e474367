#include "bench/kernels/libraries.hpp"

#include <dlfcn.h>

#include <stdexcept>
#include <string>

#include "kernels/check.hpp"
#include "kernels/gemm.hpp"

namespace orrery::bench {

namespace cuda {
void library_product(const Context&, View<const float, 2>, View<const float, 2>, View<float, 2>);
void library_rank_k(const Context&, View<const float, 2>, View<float, 2>);
void library_symmetric_product(const Context&, View<const float, 2>, View<const float, 2>,
                               View<float, 2>);
}  // namespace cuda

namespace {

// The C enums of CBLAS.
constexpr int row_major = 101, no_transpose = 111, transposed = 112, upper = 121, right = 142;

/// Calls of OpenBLAS that the engine makes no use of, with as many threads as a context has.
class OpenBlas {
 public:
  explicit OpenBlas(const Context& ctx) {
    blas::load();  // the engine's way, which chooses the kernels
    static void* const library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!library) throw std::runtime_error("the benchmarks need OpenBLAS: libopenblas.so.0");
    library_ = library;
    set_threads(ctx.threads());
  }
  ~OpenBlas() { set_threads(1); }
  OpenBlas(const OpenBlas&) = delete;

  template <class... Arguments>
  void call(const char* name, Arguments... arguments) const {
    auto* function = reinterpret_cast<void (*)(Arguments...)>(dlsym(library_, name));
    if (!function) throw std::runtime_error(std::string("OpenBLAS has no ") + name);
    function(arguments...);
  }

 private:
  void set_threads(int count) const { call("openblas_set_num_threads", count); }
  void* library_;
};

int extent(Index size) { return static_cast<int>(size); }

}  // namespace

void library_product(const Context& ctx, View<const float, 2> a, View<const float, 2> b,
                     View<float, 2> c) {
  if constexpr (built_with_cuda)
    if (ctx.backend() == Backend::cuda) return cuda::library_product(ctx, a, b, c);
  const int m = extent(a.extent(0)), k = extent(a.extent(1)), n = extent(b.extent(1));
  OpenBlas(ctx).call("cblas_sgemm", row_major, no_transpose, no_transpose, m, n, k, 1.0f, a.data, k,
                     b.data, n, 0.0f, c.data, n);
}

void library_rank_k(const Context& ctx, View<const float, 2> a, View<float, 2> c) {
  if constexpr (built_with_cuda)
    if (ctx.backend() == Backend::cuda) return cuda::library_rank_k(ctx, a, c);
  const int k = extent(a.extent(0)), n = extent(a.extent(1));
  OpenBlas(ctx).call("cblas_ssyrk", row_major, upper, transposed, n, k, 1.0f, a.data, n, 0.0f,
                     c.data, n);
}

void library_symmetric_product(const Context& ctx, View<const float, 2> a, View<const float, 2> s,
                               View<float, 2> c) {
  if constexpr (built_with_cuda)
    if (ctx.backend() == Backend::cuda) return cuda::library_symmetric_product(ctx, a, s, c);
  const int k = extent(a.extent(0)), n = extent(a.extent(1));
  OpenBlas(ctx).call("cblas_ssymm", row_major, right, upper, k, n, 1.0f, s.data, n, a.data, n, 0.0f,
                     c.data, n);
}

}  // namespace orrery::bench
