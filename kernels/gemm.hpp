#pragma once

#include "kernels/context.hpp"
#include "kernels/view.hpp"

namespace orrery {

enum class Transpose { no, yes };

/// Matrix product: C = alpha op(A) op(B) + beta C, op(A) being A or its transpose.
/// Shapes   op(A) (m,k)  op(B) (k,n)  C (m,n); C must not overlap A or B. beta = 0 ignores old C.
/// Throws   std::invalid_argument on a shape mismatch.
/// Cost     2 m n k flop. CPU: OpenBLAS on fixed tiles spread over the threads, so that the result
///          does not depend on their number. CUDA: cuBLAS. T is float or double.
template <class T>
void gemm(const Context& ctx, Transpose transpose_a, Transpose transpose_b, T alpha,
          View<const T, 2> a, View<const T, 2> b, T beta, View<T, 2> c);

/// Symmetric rank-k update: C = alpha A^T A + beta C, both triangles written; C symmetric before.
/// Shapes   A (k,n)  C (n,n).
/// Throws   std::invalid_argument on a shape mismatch.
/// Cost     n^2 k flop on the CPU (the upper triangle's tiles, then mirrored). T float or double.
template <class T>
void symmetric_rank_k(const Context& ctx, T alpha, View<const T, 2> a, T beta, View<T, 2> c);

/// Name of the BLAS library and of the kernels it chose, for people: "OpenBLAS 0.3.21 SkylakeX".
const char* blas_description();

namespace blas {

/// Loads the BLAS library now; otherwise it is loaded on first use. Throws std::runtime_error where
/// there is none: call it before parallel code, which an exception must not leave.
void load();

/// A function of that library by its name, or null.
void* symbol(const char* name);

/// One-threaded row-major C (m,n) = alpha op(A) op(B) + beta C with row strides, for use inside
/// parallel CPU code that has its own tiling.
template <class T>
void gemm(Transpose transpose_a, Transpose transpose_b, Index m, Index n, Index k, T alpha,
          const T* a, Index lda, const T* b, Index ldb, T beta, T* c, Index ldc);

}  // namespace blas
}  // namespace orrery
