#pragma once

// The wrappers of kernels/matrix_instructions.cuh on the CPU, and stricter than the hardware:
//   - an operand that was not rounded to TF32 is an error, where tensor cores cut its last bits
//   off;
//   - an asynchronous copy arrives when it is waited for; until then its place holds NaN;
//   - what is not aligned as the instruction demands, or lies outside shared memory, is an error.
// Sums are made in double and rounded to float once, a little better than tensor cores do it.

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tests/emulation/emulation.hpp"

namespace orrery {
namespace emulation {

inline float float_of(Tf32 x) {
  if ((x.bits & 0x1fffu) && !std::isnan(std::bit_cast<float>(x.bits)))
    fail("a number was multiplied as TF32 before it was rounded to TF32");
  return std::bit_cast<float>(x.bits);
}

inline float half_of(Bf16Pair pair, int which) {
  return std::bit_cast<float>(which ? pair.bits & 0xffff0000u : pair.bits << 16);
}

/// What a lane brings to a product.
template <class Number>
struct Operands {
  Number a[4], b[2];
};

/// c += the lane's four numbers of A B. `element_of_a(operands, row, k)` knows the layout, by
/// lanes.
template <int depth, class Number, class A, class B>
void multiply_add_lanes(float (&c)[4], const Number (&a)[4], const Number (&b)[2], A element_of_a,
                        B element_of_b) {
  const auto lanes =
      exchange(0xffffffffu, Operands<Number>{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}});
  const int g = static_cast<int>(lane()) / 4, t = static_cast<int>(lane()) % 4;
  for (int r = 0; r < 4; ++r) {
    const int row = g + r / 2 * 8, column = 2 * t + r % 2;
    double sum = c[r];
    for (int k = 0; k < depth; ++k)
      sum += double(element_of_a(lanes, row, k)) * double(element_of_b(lanes, k, column));
    c[r] = static_cast<float>(sum);
  }
}

inline void load_matrices(const void* row, unsigned (&words)[4], bool transposed) {
  if (reinterpret_cast<std::uintptr_t>(row) % 16) fail("a row for load_matrices is not aligned");
  require_shared(row, 16);
  const auto rows = exchange(0xffffffffu, row);
  const auto element = [&](int matrix, int i, int j) {
    std::uint16_t bits;
    std::memcpy(&bits, static_cast<const unsigned char*>(rows[matrix * 8 + i]) + 2 * j, 2);
    return static_cast<unsigned>(bits);
  };
  const int g = static_cast<int>(lane()) / 4, t = static_cast<int>(lane()) % 4;
  for (int m = 0; m < 4; ++m)
    words[m] = transposed ? element(m, 2 * t, g) | element(m, 2 * t + 1, g) << 16
                          : element(m, g, 2 * t) | element(m, g, 2 * t + 1) << 16;
}

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

inline Bf16Pair round_to_bf16(float first, float second) {
  const auto rounded = [](float x) {
    const auto bits = std::bit_cast<unsigned>(x);
    return std::isnan(x) ? 0x7fffu : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  };
  return {rounded(first) | rounded(second) << 16};
}

inline void multiply_add(float (&c)[4], const Tf32 (&a)[4], const Tf32 (&b)[2]) {
  emulation::multiply_add_lanes<8>(
      c, a, b,
      [](const auto& lanes, int row, int k) {
        return emulation::float_of(lanes[row % 8 * 4 + k % 4].a[row / 8 + k / 4 * 2]);
      },
      [](const auto& lanes, int k, int column) {
        return emulation::float_of(lanes[column * 4 + k % 4].b[k / 4]);
      });
}

inline void multiply_add(float (&c)[4], const Bf16Pair (&a)[4], const Bf16Pair (&b)[2]) {
  emulation::multiply_add_lanes<16>(
      c, a, b,
      [](const auto& lanes, int row, int k) {
        return emulation::half_of(lanes[row % 8 * 4 + k % 8 / 2].a[row / 8 + k / 8 * 2], k % 2);
      },
      [](const auto& lanes, int k, int column) {
        return emulation::half_of(lanes[column * 4 + k % 8 / 2].b[k / 8], k % 2);
      });
}

inline void load_matrices(const void* row, unsigned (&words)[4]) {
  emulation::load_matrices(row, words, false);
}
inline void load_matrices_transposed(const void* row, unsigned (&words)[4]) {
  emulation::load_matrices(row, words, true);
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
