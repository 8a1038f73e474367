#include "kernels/sine_network_tiles.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/matrix_tiles.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

using test::random_tensor;
using test::relative_difference;

#define ORRERY_REQUIRE_TILES() \
  if (!tiles::available()) GTEST_SKIP() << "this processor has no matrix tiles"

struct Example {
  SineNetworkShape shape;
  Tensor<float, 1> parameters;
  Tensor<float, 2> x, dy;

  Example(Index inputs, Index width, Index hidden_layers, Index outputs, Index points)
      : shape{inputs, width, hidden_layers, outputs, 3.0, 2.0},
        parameters(random_tensor<float>(1, shape.parameter_count())),
        x(random_tensor<float>(2, points, inputs)),
        dy(random_tensor<float>(3, points, outputs)) {
    // So that phases stay of order one at any width.
    for (float& p : parameters.view()) p /= std::sqrt(static_cast<float>(width));
  }

  Tensor<float, 2> output(Precision precision) const {
    Tensor<float, 2> y(Context::cpu(1), x.extent(0), shape.outputs);
    std::fill(y.view().begin(), y.view().end(), NAN);
    sine_network_forward<float>(Context::cpu(2).with_precision(precision), shape, parameters, x, y);
    return y;
  }
  Tensor<float, 1> gradient(Precision precision, int threads = 2) const {
    auto gradient = random_tensor<float>(4, shape.parameter_count());
    sine_network_backward<float>(Context::cpu(threads).with_precision(precision), shape, parameters,
                                 x, dy, gradient);
    return gradient;
  }

  /// The same in double, whose gradients differences have confirmed (sine_network_test.cpp).
  Tensor<double, 2> exact_output() const {
    Tensor<double, 2> y(Context::cpu(1), x.extent(0), shape.outputs);
    sine_network_forward<double>(Context::cpu(2), shape, in_double(parameters), in_double(x), y);
    return y;
  }
  Tensor<double, 1> exact_gradient() const {
    auto gradient = in_double(random_tensor<float>(4, shape.parameter_count()));
    sine_network_backward<double>(Context::cpu(2), shape, in_double(parameters), in_double(x),
                                  in_double(dy), gradient);
    return gradient;
  }

 private:
  static Tensor<double, 1> in_double(const Tensor<float, 1>& numbers) {
    Tensor<double, 1> wide(Context::cpu(1), numbers.size());
    std::copy(numbers.view().begin(), numbers.view().end(), wide.view().begin());
    return wide;
  }
  static Tensor<double, 2> in_double(const Tensor<float, 2>& numbers) {
    Tensor<double, 2> wide(Context::cpu(1), numbers.extent(0), numbers.extent(1));
    std::copy(numbers.view().begin(), numbers.view().end(), wide.view().begin());
    return wide;
  }
};

// Fewer points than a block, just a block, one more; more blocks than a share takes; every count of
// layers; widths of one patch and of several.
class SineNetworkTilesShapes : public testing::TestWithParam<std::array<Index, 5>> {};

TEST_P(SineNetworkTilesShapes, KeepsSixteenBits) {
  ORRERY_REQUIRE_TILES();
  const auto [inputs, width, hidden, outputs, points] = GetParam();
  const Example example(inputs, width, hidden, outputs, points);
  if constexpr (built_with_matrix_tiles) {
    ASSERT_TRUE(tiles::fits(example.shape));
  }
  EXPECT_LT(relative_difference(example.output(Precision::tf32), example.exact_output()), 2e-5);
  EXPECT_LT(relative_difference(example.gradient(Precision::tf32), example.exact_gradient()), 2e-5);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, SineNetworkTilesShapes,
    testing::Values(std::array<Index, 5>{3, 32, 0, 2, 1}, std::array<Index, 5>{3, 32, 1, 2, 127},
                    std::array<Index, 5>{3, 64, 2, 2, 128}, std::array<Index, 5>{3, 64, 3, 2, 129},
                    std::array<Index, 5>{2, 96, 1, 1, 1000}, std::array<Index, 5>{8, 32, 2, 8, 300},
                    std::array<Index, 5>{3, 64, 1, 2, 9000},
                    std::array<Index, 5>{3, 256, 3, 2, 400}));

TEST(SineNetworkTiles, AreTakenWhereLessThanFp32IsAskedFor) {
  ORRERY_REQUIRE_TILES();
  const Example example(3, 64, 2, 2, 500);
  const auto exact = example.exact_output();
  const double in_tiles = relative_difference(example.output(Precision::tf32), exact);
  const double in_float = relative_difference(example.output(Precision::fp32), exact);
  EXPECT_LT(in_float, 1e-6);
  EXPECT_GT(in_tiles, in_float);
}

TEST(SineNetworkTiles, GiveTheSameBitsOnAnyNumberOfThreads) {
  ORRERY_REQUIRE_TILES();
  const Example example(3, 64, 2, 2, 9000);
  const auto one = example.gradient(Precision::tf32, 1),
             three = example.gradient(Precision::tf32, 3);
  for (Index i = 0; i < one.size(); ++i) ASSERT_EQ(one(i), three(i));
}

TEST(SineNetworkTiles, LeaveOtherShapesToFloat) {
  if constexpr (built_with_matrix_tiles) {
    EXPECT_FALSE(tiles::fits({3, 33, 1, 2}));
    EXPECT_FALSE(tiles::fits({9, 32, 1, 2}));
    EXPECT_FALSE(tiles::fits({3, 32, 1, 9}));
  }
  const Example example(3, 33, 1, 2, 100);
  EXPECT_LT(relative_difference(example.output(Precision::tf32), example.exact_output()), 1e-6);
}

}  // namespace
}  // namespace orrery
