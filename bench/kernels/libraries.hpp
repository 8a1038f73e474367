#pragma once

#include "kernels/context.hpp"
#include "kernels/view.hpp"

/// The arithmetic of hand-written kernels as calls of the libraries that processors' makers tune:
/// the ladder's upper rungs. They form matrices that our kernels keep in registers, and leave out
/// what lies between the products. On the CPU OpenBLAS with threads of its own, on CUDA cuBLAS, on
/// tensor cores where the context's precision is not fp32, and queued as ours are.
namespace orrery::bench {

/// C (m,n) = A (m,k) B (k,n).
void library_product(const Context& ctx, View<const float, 2> a, View<const float, 2> b,
                     View<float, 2> c);

/// C (n,n) = A^T A of A (k,n), one triangle.
void library_rank_k(const Context& ctx, View<const float, 2> a, View<float, 2> c);

/// C (k,n) = A S of A (k,n) and the symmetric S (n,n), one triangle of which is read.
void library_symmetric_product(const Context& ctx, View<const float, 2> a, View<const float, 2> s,
                               View<float, 2> c);

}  // namespace orrery::bench
