#pragma once

// For CUDA sources only: matrix products of a whole warp on tensor cores, the roundings they ask
// for, and copies to shared memory that a kernel does not wait for (sm_80 and later). PTX is
// written here and nowhere else.
//
// The operands of a product, C (16 x 8) += A (16 x 8) B (8 x 8), lie spread over the 32 lanes.
// With g = lane / 4 and t = lane % 4, number r of a lane's array is that of (row, column)
//
//       r
//   A   0..3    (g + r%2 * 8, t + r/2 * 4)
//   B   0..1    (t + r * 4, g)
//   C   0..3    (g + r/2 * 8, 2t + r%2)
//
// which is the PTX ISA's "mma.m16n8k8". All 32 lanes must take part.

#include "kernels/launch.hpp"
#include "kernels/precision.hpp"

namespace orrery {

/// An FP32 number whose last 13 bits are zero.
struct Tf32 {
  unsigned bits;
};

/// A number as the sum of two TF32 numbers: 21 of its 24 bits at least.
struct SplitTf32 {
  Tf32 large, small;
};

}  // namespace orrery

#if defined(ORRERY_EMULATED)
#include "tests/emulation/matrix_instructions.hpp"
#else

namespace orrery {

/// To the nearest; of two equally near ones to the one away from zero.
__device__ __forceinline__ Tf32 round_to_tf32(float x) {
  Tf32 rounded;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded.bits) : "f"(x));
  return rounded;
}

__device__ __forceinline__ float as_float(Tf32 x) { return __uint_as_float(x.bits); }

/// A number that was rounded to TF32 before.
__device__ __forceinline__ Tf32 already_tf32(float x) { return {__float_as_uint(x)}; }

/// round_to_tf32 by whole numbers, which a multiprocessor adds at its full rate, unlike
/// conversions; but of NaN it makes a zero.
__device__ __forceinline__ Tf32 round_finite_to_tf32(float x) {
  return {(__float_as_uint(x) + 0x1000u) & 0xffffe000u};
}

/// With its last 13 bits cut off.
__device__ __forceinline__ Tf32 cut_to_tf32(float x) { return {__float_as_uint(x) & 0xffffe000u}; }

__device__ __forceinline__ void multiply_add(float (&c)[4], const Tf32 (&a)[4],
                                             const Tf32 (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0].bits), "r"(a[1].bits), "r"(a[2].bits), "r"(a[3].bits), "r"(b[0].bits),
        "r"(b[1].bits));
}

/// Starts to copy 4, 8 or 16 bytes, aligned to as many on both sides; zeros instead of them where
/// `inside` does not hold, and nothing is read then. They are there for this thread after
/// commit_copies() and wait_for_copies(), for the others after a barrier too.
template <int bytes>
__device__ __forceinline__ void copy_async(void* shared, const void* global, bool inside = true) {
  static_assert(bytes == 4 || bytes == 8 || bytes == 16);
  const auto to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  const int read = inside ? bytes : 0;
  if constexpr (bytes == 16)  // past the L1 cache: shared memory is where it will be read again
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(read)
                 : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(to), "l"(global), "n"(bytes),
                 "r"(read)
                 : "memory");
}

/// Makes the copies started since the last call one group.
__device__ __forceinline__ void commit_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

/// Waits for all groups of this thread but the latest `but`.
template <int but>
__device__ __forceinline__ void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(but) : "memory");
}

}  // namespace orrery

#endif

namespace orrery {

/// x to 2^-22 of itself: what rounding leaves has 12 bits and either sign, and loses its last one.
/// NaN stays in the small part.
__device__ __forceinline__ SplitTf32 split_tf32(float x) {
  const Tf32 large = round_finite_to_tf32(x);
  return {large, cut_to_tf32(x - as_float(large))};
}

/// The product of the two small parts, 2^-22 of the whole, is left out; the small sums come first.
__device__ __forceinline__ void multiply_add(float (&c)[4], const SplitTf32 (&a)[4],
                                             const SplitTf32 (&b)[2]) {
  const Tf32 a_large[4] = {a[0].large, a[1].large, a[2].large, a[3].large};
  const Tf32 a_small[4] = {a[0].small, a[1].small, a[2].small, a[3].small};
  const Tf32 b_large[2] = {b[0].large, b[1].large}, b_small[2] = {b[0].small, b[1].small};
  multiply_add(c, a_small, b_large);
  multiply_add(c, a_large, b_small);
  multiply_add(c, a_large, b_large);
}

/// A number as it should lie in shared memory for products of that precision: TF32 is rounded once
/// instead of at every use.
template <Precision precision, class T>
__device__ __forceinline__ T as_factor(T x) {
  if constexpr (precision == Precision::tf32)
    return as_float(round_to_tf32(x));
  else
    return x;
}

/// What such a number becomes on its way into an instruction.
template <Precision>
struct Multiplier;

template <>
struct Multiplier<Precision::tf32> {
  using Number = Tf32;
  static __device__ __forceinline__ Number of(float x) { return already_tf32(x); }
};

template <>
struct Multiplier<Precision::three_tf32> {
  using Number = SplitTf32;
  static __device__ __forceinline__ Number of(float x) { return split_tf32(x); }
};

}  // namespace orrery
