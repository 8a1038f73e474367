#include "kernels/matrix_instructions.cuh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/random.hpp"

namespace orrery {
namespace {

const Context& device() {
  static const Context ctx = Context::cuda();
  return ctx;
}

std::string failure(void (*kernel)(float*), unsigned shared_bytes = 1024) {
  std::vector<float> memory(256);
  try {
    launch(device(), "wrong", kernel, dim3(1), dim3(32), shared_bytes, memory.data());
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

// Products. The kernels place operands as the PTX ISA's figures do, one register after another.

struct Lane {
  int g = static_cast<int>(threadIdx.x) / 4, t = static_cast<int>(threadIdx.x) % 4;
};

/// C (16,8) += A (16,8) B (8,8), row-major, with each number made an operand by `convert`.
template <class Convert>
__device__ void product_of_depth_8(const float* a, const float* b, float* c, Convert convert) {
  const Lane lane;
  using Number = decltype(convert(0.0f));
  const Number left[4] = {convert(a[lane.g * 8 + lane.t]), convert(a[(lane.g + 8) * 8 + lane.t]),
                          convert(a[lane.g * 8 + lane.t + 4]),
                          convert(a[(lane.g + 8) * 8 + lane.t + 4])};
  const Number right[2] = {convert(b[lane.t * 8 + lane.g]), convert(b[(lane.t + 4) * 8 + lane.g])};
  float sums[4];
  for (int r = 0; r < 4; ++r) sums[r] = c[(lane.g + r / 2 * 8) * 8 + 2 * lane.t + r % 2];
  multiply_add(sums, left, right);
  for (int r = 0; r < 4; ++r) c[(lane.g + r / 2 * 8) * 8 + 2 * lane.t + r % 2] = sums[r];
}

__global__ void tf32_product(const float* a, const float* b, float* c) {
  product_of_depth_8(a, b, c, [](float x) { return round_to_tf32(x); });
}

__global__ void split_product(const float* a, const float* b, float* c) {
  product_of_depth_8(a, b, c, [](float x) { return split_tf32(x); });
}

struct Product {
  static constexpr int depth = 8;
  std::vector<float> a, b, c;

  /// Of whole numbers that every precision holds exactly, or of normal ones.
  explicit Product(bool whole) : a(16 * depth), b(depth * 8), c(16 * 8) {
    RandomSequence random(5, 0);
    for (auto* numbers : {&a, &b, &c})
      for (float& x : *numbers)
        x = static_cast<float>(whole ? std::round(20 * random.normal()) : random.normal());
  }

  /// The largest error of the kernel's result, over sum_k |a| |b| + |c|.
  double error(void (*kernel)(const float*, const float*, float*)) const {
    std::vector<float> found = c;
    launch(device(), "product", kernel, dim3(1), dim3(32), 0, a.data(), b.data(), found.data());
    double largest = 0;
    for (int row = 0; row < 16; ++row)
      for (int column = 0; column < 8; ++column) {
        double expected = c[row * 8 + column], scale = std::abs(expected);
        for (int k = 0; k < depth; ++k) {
          const double term = double(a[row * depth + k]) * b[k * 8 + column];
          expected += term;
          scale += std::abs(term);
        }
        const double difference = std::abs(found[row * 8 + column] - expected);
        largest = std::max(largest, difference / scale);
      }
    return largest;
  }
};

TEST(MatrixInstructions, OperandsLieWhereThePtxManualSays) {
  EXPECT_EQ(Product(true).error(tf32_product), 0);
  EXPECT_EQ(Product(true).error(split_product), 0);
}

TEST(MatrixInstructions, ErrorsAreThoseOfTheRoundedOperands) {
  // Two operands rounded to half a unit of their last place each, and one rounding to FP32.
  const double fp32 = std::exp2(-24);
  EXPECT_LT(Product(false).error(tf32_product), 2 * std::exp2(-11) + fp32);
  EXPECT_GT(Product(false).error(tf32_product), std::exp2(-14));
  EXPECT_LT(Product(false).error(split_product), 4 * std::exp2(-22) + 3 * fp32);
}

TEST(MatrixInstructions, RoundingsAreTheHardwares) {
  const auto tf32 = [](float x) { return as_float(round_to_tf32(x)); };
  const float unit = std::exp2(-10.0f);  // of TF32's last place at 1
  EXPECT_EQ(tf32(1 + unit), 1 + unit);
  EXPECT_EQ(tf32(1 + 0.5f * unit), 1 + unit);  // a tie goes away from zero
  EXPECT_EQ(tf32(-1 - 0.5f * unit), -1 - unit);
  EXPECT_EQ(tf32(1 + 0.499f * unit), 1);
  EXPECT_EQ(tf32(2 - 0.25f * unit), 2);
  EXPECT_EQ(tf32(-std::numeric_limits<float>::infinity()), -std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(tf32(std::numeric_limits<float>::quiet_NaN())));
  RandomSequence random(8, 0);
  for (int i = 0; i < 1000; ++i) {
    const float x = static_cast<float>(random.normal());
    EXPECT_EQ(round_finite_to_tf32(x).bits, round_to_tf32(x).bits);
    const SplitTf32 split = split_tf32(x);
    const double sum = double(as_float(split.large)) + double(as_float(split.small));
    EXPECT_LE(std::abs(sum - x), std::exp2(-22) * std::abs(x));
  }
  EXPECT_TRUE(std::isnan(as_float(split_tf32(std::numeric_limits<float>::quiet_NaN()).small)));
}

TEST(MatrixInstructions, AnUnroundedOperandIsReported) {
  const auto unrounded = [](float* c) {
    const Tf32 a[4] = {{0x3f800001u}, {0}, {0}, {0}}, b[2] = {{0}, {0}};
    float sums[4] = {};
    multiply_add(sums, a, b);
    c[threadIdx.x] = sums[0];
  };
  EXPECT_THAT(failure(unrounded), testing::HasSubstr("before it was rounded to TF32"));
}

// Copies.

__global__ void copies_kernel(const float* from, float* to) {
  float* shared = dynamic_shared<float>();
  const unsigned i = threadIdx.x;
  copy_async<4>(shared + i, from + i);
  commit_copies();
  copy_async<4>(shared + 32 + i, from + 32 + i, i % 2 == 0);
  if (i < 8) copy_async<16>(shared + 64 + 4 * i, from + 64 + 4 * i);
  commit_copies();
  to[i] = shared[i];  // too early
  wait_for_copies<1>();
  to[32 + i] = shared[i];
  to[64 + i] = shared[32 + i];  // too early
  wait_for_copies<0>();
  __syncwarp();
  to[96 + i] = shared[32 + i];
  to[128 + i] = shared[64 + i];
}

TEST(MatrixInstructions, CopiesArriveWhenTheyAreWaitedFor) {
  alignas(16) float from[96];
  for (int i = 0; i < 96; ++i) from[i] = static_cast<float>(i);
  std::vector<float> to(160);
  launch(device(), "copies", copies_kernel, dim3(1), dim3(32), 384, from, to.data());
  for (int i = 0; i < 32; ++i) {
    EXPECT_TRUE(std::isnan(to[i]));
    EXPECT_EQ(to[32 + i], from[i]);
    EXPECT_TRUE(std::isnan(to[64 + i]));
    EXPECT_EQ(to[96 + i], i % 2 ? 0 : from[32 + i]);
    EXPECT_EQ(to[128 + i], from[64 + i]);
  }
}

TEST(MatrixInstructions, CopiesThatTheHardwareRefusesAreReported) {
  const auto misaligned = [](float* memory) {
    copy_async<16>(dynamic_shared<float>() + 1, memory);
  };
  const auto outside = [](float* memory) { copy_async<4>(memory, memory); };
  EXPECT_THAT(failure(misaligned), testing::HasSubstr("not aligned"));
  EXPECT_THAT(failure(outside), testing::HasSubstr("outside shared memory"));
}

}  // namespace
}  // namespace orrery
