#pragma once

// The wrappers of kernels/matrix_instructions.cuh on the CPU, and stricter than the hardware:
//   - an operand that was not rounded to TF32 is an error (tensor cores cut its last bits off);
//   - an asynchronous copy arrives when it is waited for; until then its place holds NaN;
//   - what is not aligned as the instruction demands, or lies outside shared memory, is an error.
// Sums are made in double and rounded to float once, a little better than tensor cores do it.

#include <bit>
#include <cmath>

#include "tests/emulation/emulation.hpp"

namespace orrery {
namespace emulation {

inline float float_of(Tf32 x) {
  if ((x.bits & 0x1fffu) && !std::isnan(std::bit_cast<float>(x.bits)))
    fail("a number was multiplied as TF32 before it was rounded to TF32");
  return std::bit_cast<float>(x.bits);
}

/// What a lane brings to a product.
struct Operands {
  Tf32 a[4], b[2];
};

}  // namespace emulation

inline Tf32 round_to_tf32(float x) {
  if (std::isnan(x)) return {0x7fffe000u};
  return {(std::bit_cast<unsigned>(x) + 0x1000u) & ~0x1fffu};
}

inline float as_float(Tf32 x) { return std::bit_cast<float>(x.bits); }
inline Tf32 already_tf32(float x) { return {std::bit_cast<unsigned>(x)}; }
inline Tf32 round_finite_to_tf32(float x) {
  return {(std::bit_cast<unsigned>(x) + 0x1000u) & ~0x1fffu};
}
inline Tf32 cut_to_tf32(float x) { return {std::bit_cast<unsigned>(x) & ~0x1fffu}; }

inline void multiply_add(float (&c)[4], const Tf32 (&a)[4], const Tf32 (&b)[2]) {
  using emulation::float_of;
  const auto lanes =
      emulation::exchange(0xffffffffu, emulation::Operands{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}});
  const int lane = static_cast<int>(emulation::lane()), g = lane / 4, t = lane % 4;
  for (int r = 0; r < 4; ++r) {
    const int row = g + r / 2 * 8, column = 2 * t + r % 2;
    double sum = c[r];
    for (int k = 0; k < 8; ++k)
      sum += double(float_of(lanes[row % 8 * 4 + k % 4].a[row / 8 + k / 4 * 2])) *
             double(float_of(lanes[column * 4 + k % 4].b[k / 4]));
    c[r] = static_cast<float>(sum);
  }
}

template <int bytes>
void copy_async(void* shared, const void* global, bool inside = true) {
  static_assert(bytes == 4 || bytes == 8 || bytes == 16);
  emulation::copy_later(shared, inside ? global : nullptr, bytes);
}
inline void commit_copies() { emulation::commit_copies(); }
template <int but>
void wait_for_copies() {
  emulation::wait_for_copies(but);
}

}  // namespace orrery
