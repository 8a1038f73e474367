#include <dlfcn.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "kernels/check.hpp"
#include "kernels/gemm.hpp"

// The BLAS library is opened at run time instead of being linked, because OpenBLAS chooses its
// kernels while it is being loaded and reads its settings then, and only then.

namespace orrery::blas {
namespace {

// cblas_sgemm and cblas_dgemm; order and transposes are C enums, which are passed as int.
template <class T>
using CblasGemm = void(int order, int transpose_a, int transpose_b, int m, int n, int k, T alpha,
                       const T* a, int lda, const T* b, int ldb, T beta, T* c, int ldc);
constexpr int row_major = 101, no_transpose = 111, transposed = 112;

/// Sets an environment variable that the user has left unset, for as long as this object lives.
class Setting {
 public:
  Setting(const char* name, const char* value, bool wanted = true)
      : name_(name), ours_(wanted && !std::getenv(name)) {
    if (ours_) setenv(name, value, 1);
  }
  ~Setting() {
    if (ours_) unsetenv(name_);
  }
  Setting(const Setting&) = delete;

 private:
  const char* name_;
  bool ours_;
};

bool has_avx512() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
#else
  return false;
#endif
}

void* open_library() {
  // OpenBLAS 0.3.21 does not know newer AVX-512 processors and takes its AVX2 kernels there, at
  // half the speed; its Skylake-X kernels are the ones for all of them. One thread of its own is
  // enough, since the threads are ours.
  const Setting kernels("OPENBLAS_CORETYPE", "SkylakeX", has_avx512());
  const Setting threads("OPENBLAS_NUM_THREADS", "1");
  for (const char* name : {"libopenblas.so.0", "libopenblas.so", "libblas.so.3"})
    if (void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL))
      if (dlsym(library, "cblas_sgemm") && dlsym(library, "cblas_dgemm")) return library;
  throw std::runtime_error(
      "no BLAS library with cblas_sgemm was found (libopenblas.so.0, libopenblas.so, "
      "libblas.so.3); install OpenBLAS (Debian: libopenblas0) or add its folder to "
      "LD_LIBRARY_PATH");
}

struct Library {
  void* opened = open_library();
  CblasGemm<float>* sgemm;
  CblasGemm<double>* dgemm;
  std::string description = "BLAS of unknown make";

  Library() {
    auto find = [&]<class Function>(Function*& function, const char* name) {
      function = reinterpret_cast<Function*>(dlsym(opened, name));
      return function != nullptr;
    };
    find(sgemm, "cblas_sgemm");
    find(dgemm, "cblas_dgemm");

    void (*set_threads)(int);
    if (find(set_threads, "openblas_set_num_threads")) set_threads(1);
    const char* (*configuration)();
    const char* (*kernels)();
    if (find(configuration, "openblas_get_config") && find(kernels, "openblas_get_corename")) {
      const std::string text = configuration();  // "OpenBLAS 0.3.21 DYNAMIC_ARCH ..."
      description = text.substr(0, text.find(' ', text.find(' ') + 1)) + " " + kernels();
    }
  }

  template <class T>
  CblasGemm<T>* gemm() const {
    if constexpr (std::is_same_v<T, float>)
      return sgemm;
    else
      return dgemm;
  }
};

const Library& library() {
  static const Library loaded;
  return loaded;
}

}  // namespace

void load() { library(); }

void* symbol(const char* name) { return dlsym(library().opened, name); }

template <class T>
void gemm(Transpose transpose_a, Transpose transpose_b, Index m, Index n, Index k, T alpha,
          const T* a, Index lda, const T* b, Index ldb, T beta, T* c, Index ldc) {
  require(std::max({m, n, k, lda, ldb, ldc}) <= INT_MAX, "blas::gemm",
          "BLAS counts with 32 bits, and a dimension is longer than that");
  if (m == 0 || n == 0) return;
  auto size = [](Index count) { return static_cast<int>(count); };
  auto stride = [](Index count) { return static_cast<int>(std::max<Index>(count, 1)); };
  auto order = [](Transpose t) { return t == Transpose::yes ? transposed : no_transpose; };
  library().gemm<T>()(row_major, order(transpose_a), order(transpose_b), size(m), size(n), size(k),
                      alpha, a, stride(lda), b, stride(ldb), beta, c, stride(ldc));
}

template void gemm(Transpose, Transpose, Index, Index, Index, float, const float*, Index,
                   const float*, Index, float, float*, Index);
template void gemm(Transpose, Transpose, Index, Index, Index, double, const double*, Index,
                   const double*, Index, double, double*, Index);

}  // namespace orrery::blas

namespace orrery {

const char* blas_description() { return blas::library().description.c_str(); }

}  // namespace orrery
