#include "kernels/sine_network.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

using test::random_tensor;

/// The network by plain loops: a_l = sin(w (W a_{l-1} + b)), y = W a + b.
std::vector<double> network_by_loops(const SineNetworkShape& shape, const double* parameters,
                                     const double* x) {
  std::vector<double> activation(x, x + shape.inputs);
  const double* next = parameters;
  for (Index l = 0; l <= shape.hidden_layers + 1; ++l) {
    const bool last = l == shape.hidden_layers + 1;
    const Index inputs = l == 0 ? shape.inputs : shape.width;
    const Index outputs = last ? shape.outputs : shape.width;
    const double frequency = l == 0 ? shape.first_frequency : shape.hidden_frequency;
    std::vector<double> result(outputs);
    for (Index o = 0; o < outputs; ++o) {
      double total = next[outputs * inputs + o];
      for (Index i = 0; i < inputs; ++i) total += next[o * inputs + i] * activation[i];
      result[o] = last ? total : std::sin(frequency * total);
    }
    next += outputs * (inputs + 1);
    activation = result;
  }
  return activation;
}

SineNetworkShape small_shape(Index inputs = 3, Index width = 11, Index hidden = 2,
                             Index outputs = 2) {
  return {inputs, width, hidden, outputs, 3.0, 2.0};
}

Tensor<double, 1> random_parameters(const SineNetworkShape& shape) {
  auto parameters = random_tensor<double>(5, shape.parameter_count());
  for (double& p : parameters.view()) p *= 0.3;
  return parameters;
}

TEST(SineNetwork, OneNeuronByHand) {
  const Context ctx = Context::cpu();
  const SineNetworkShape shape{1, 1, 0, 1, 2.0, 1.0};
  Tensor<double, 1> parameters(ctx, shape.parameter_count());
  const double numbers[] = {0.5, 0.25, 3.0, -1.0};  // W1, b1, W, b
  std::copy(std::begin(numbers), std::end(numbers), parameters.data());
  Tensor<double, 2> x(ctx, 1, 1), y(ctx, 1, 1);
  x(0, 0) = 0.7;
  sine_network_forward<double>(ctx, shape, parameters, x, y);
  EXPECT_NEAR(y(0, 0), 3 * std::sin(2 * (0.5 * 0.7 + 0.25)) - 1, 1e-12);
}

TEST(SineNetwork, MatchesPlainLoops) {
  const Context ctx = Context::cpu();
  for (const auto& shape : {small_shape(), small_shape(3, 16, 0, 1), small_shape(7, 5, 1, 3),
                            small_shape(12, 9, 3, 2)}) {
    const auto parameters = random_parameters(shape);
    for (Index points : {1, 191, 192, 193, 401}) {
      const auto x = random_tensor<double>(6, points, shape.inputs);
      Tensor<double, 2> y(ctx, points, shape.outputs), expected(ctx, points, shape.outputs);
      for (Index p = 0; p < points; ++p) {
        const auto row = network_by_loops(shape, parameters.data(), x.view()[p].data);
        std::copy(row.begin(), row.end(), expected.view()[p].data);
      }
      sine_network_forward<double>(ctx, shape, parameters, x, y);
      EXPECT_LT(test::relative_difference(y, expected), 1e-12) << points;
    }
  }
}

TEST(SineNetwork, GradientMatchesDifferences) {
  const Context ctx = Context::cpu();
  for (const auto& shape : {small_shape(), small_shape(5, 8, 0, 1), small_shape(3, 7, 3, 2)}) {
    auto parameters = random_parameters(shape);
    const auto x = random_tensor<double>(7, 23, shape.inputs);
    const auto dy = random_tensor<double>(8, 23, shape.outputs);
    Tensor<double, 2> y(ctx, 23, shape.outputs);
    auto loss = [&] {
      sine_network_forward<double>(ctx, shape, parameters, x, y);
      return test::inner_product(y.view().flat(), dy.view().flat());
    };
    auto gradient = Tensor<double, 1>::zeros(ctx, shape.parameter_count());
    sine_network_backward<double>(ctx, shape, parameters, x, dy, gradient);
    test::expect_gradient(loss, parameters, gradient.view());
  }
}

TEST(SineNetwork, GradientsAreAddedAndDoNotDependOnThreads) {
  const SineNetworkShape shape = small_shape(3, 32, 2, 2);
  const auto parameters = random_tensor<float>(1, shape.parameter_count());
  const auto x = random_tensor<float>(2, 5000, 3);
  const auto dy = random_tensor<float>(3, 5000, 2);
  auto gradient_with = [&](int threads) {
    const Context ctx = Context::cpu(threads);
    auto gradient = random_tensor<float>(4, shape.parameter_count());
    sine_network_backward<float>(ctx, shape, parameters, x, dy, gradient);
    return gradient;
  };
  const auto one = gradient_with(1), three = gradient_with(3);
  for (Index i = 0; i < one.size(); ++i) ASSERT_EQ(one(i), three(i));
}

TEST(SineNetwork, RefusesWrongShapes) {
  const Context ctx = Context::cpu();
  const SineNetworkShape shape = small_shape();
  const auto parameters = random_parameters(shape);
  auto forward = [&](Index count, Index inputs, Index rows, Index outputs) {
    Tensor<double, 2> x(ctx, 4, inputs), y(ctx, rows, outputs);
    sine_network_forward<double>(ctx, shape, View<const double, 1>(parameters.data(), count), x, y);
  };
  EXPECT_THROW(forward(shape.parameter_count() - 1, 3, 4, 2), std::invalid_argument);
  EXPECT_THROW(forward(shape.parameter_count(), 2, 4, 2), std::invalid_argument);
  EXPECT_THROW(forward(shape.parameter_count(), 3, 5, 2), std::invalid_argument);
  EXPECT_THROW(forward(shape.parameter_count(), 3, 4, 1), std::invalid_argument);
  Tensor<double, 2> x(ctx, 4, 3), dy(ctx, 4, 2);
  Tensor<double, 1> gradient(ctx, 5);
  EXPECT_THROW(sine_network_backward<double>(ctx, shape, parameters, x, dy, gradient),
               std::invalid_argument);
}

/// A network with weights of the size SIREN gives them, so that phases stay of order one at any
/// width.
SineNetworkShape siren_shape(Index inputs, Index width, Index hidden, Index outputs) {
  return {inputs, width, hidden, outputs, 3.0, 2.0};
}
template <class T>
Tensor<T, 1> siren_parameters(const SineNetworkShape& shape) {
  auto parameters = random_tensor<T>(1, shape.parameter_count());
  for (T& p : parameters.view()) p /= static_cast<T>(std::sqrt(double(shape.width)));
  return parameters;
}

template <class T>
struct ForwardAndGradient {
  Tensor<T, 2> y;
  Tensor<T, 1> gradient;
};

/// Outputs and gradients on the CPU, from data on the CPU, as the context computes them.
template <class T>
ForwardAndGradient<T> run(const Context& ctx, const SineNetworkShape& shape, Index points) {
  const auto parameters = upload(ctx, siren_parameters<T>(shape));
  const auto x = upload(ctx, random_tensor<T>(2, points, shape.inputs));
  const auto dy = upload(ctx, random_tensor<T>(3, points, shape.outputs));
  Tensor<T, 2> y(ctx, points, shape.outputs);
  auto gradient = Tensor<T, 1>::zeros(ctx, shape.parameter_count());
  sine_network_forward<T>(ctx, shape, parameters, x, y);
  sine_network_backward<T>(ctx, shape, parameters, x, dy, gradient);
  return {download(ctx, y), download(ctx, gradient)};
}

class SineNetworkParity : public testing::TestWithParam<test::BackendUnderTest> {
 protected:
  /// Compares with the CPU, in float: at most so large relative differences.
  void expect_parity(Precision precision, const SineNetworkShape& shape, Index points,
                     double forward_bound, double gradient_bound) {
    const Context device = test::make_context(GetParam()).with_precision(precision);
    const auto expected = run<float>(Context::cpu(), shape, points);
    const auto found = run<float>(device, shape, points);
    const double forward = test::relative_difference(found.y, expected.y);
    const double gradient = test::relative_difference(found.gradient, expected.gradient);
    EXPECT_LT(forward, forward_bound) << "width " << shape.width << ", points " << points;
    EXPECT_LT(gradient, gradient_bound) << "width " << shape.width << ", points " << points;
  }
};

// Networks of every compiled width and some between, with as many layers as fit shared memory on
// the way back and with more; points fewer and more than a tile of either direction has.
TEST_P(SineNetworkParity, MatchesTheCpuInFp32) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  for (const Precision precision : {Precision::fp32, Precision::three_tf32}) {
    for (Index points : {1, 63, 64, 65, 127, 129})
      expect_parity(precision, siren_shape(3, 11, 2, 2), points, 2e-6, 2e-6);
    expect_parity(precision, siren_shape(3, 64, 0, 1), 131, 2e-6, 2e-6);
    expect_parity(precision, siren_shape(1, 64, 4, 3), 97, 2e-6, 2e-6);
    expect_parity(precision, siren_shape(12, 67, 1, 2), 71, 2e-6, 2e-6);
    expect_parity(precision, siren_shape(3, 96, 2, 2), 67, 2e-6, 2e-6);
    expect_parity(precision, siren_shape(3, 101, 1, 1), 37, 2e-6, 2e-6);
    expect_parity(precision, siren_shape(5, 131, 1, 2), 66, 2e-6, 2e-6);
    expect_parity(precision, siren_shape(3, 256, 1, 2), 13, 2e-6, 2e-6);
  }
  expect_parity(Precision::fp32, siren_shape(3, 257, 1, 2), 13, 2e-6, 2e-6);  // in chunks
}

// Rounding to TF32 changes each factor by 2^-11 of itself at most, 2^-12.8 in the root mean square;
// a layer's phase, a sum of independent terms times w = 2, thus by 4e-4 of itself. Layers add up,
// and gradients, of which more factors are rounded, are off by a few times as much.
TEST_P(SineNetworkParity, MatchesTheCpuInTf32) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  for (Index points : {1, 64, 129})
    expect_parity(Precision::tf32, siren_shape(3, 11, 2, 2), points, 2e-3, 4e-3);
  expect_parity(Precision::tf32, siren_shape(3, 64, 4, 2), 97, 4e-3, 8e-3);
  expect_parity(Precision::tf32, siren_shape(3, 89, 1, 2), 71, 1e-3, 2e-3);
  expect_parity(Precision::tf32, siren_shape(3, 128, 1, 1), 37, 1e-3, 2e-3);
  expect_parity(Precision::tf32, siren_shape(3, 256, 1, 2), 131, 1e-3, 2e-3);
  // Without hidden layers nothing is rounded, and only the sine is coarser.
  expect_parity(Precision::tf32, siren_shape(3, 40, 0, 2), 67, 4e-6, 4e-6);
}

// More tiles than there are shares of the gradient: some blocks take several.
TEST_P(SineNetworkParity, ManyTilesAShare) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  expect_parity(Precision::fp32, siren_shape(3, 16, 1, 1), 64 * 300 + 7, 2e-6, 2e-6);
}

TEST_P(SineNetworkParity, GradientsAreAdded) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context device = test::make_context(GetParam());
  const SineNetworkShape shape = siren_shape(3, 21, 1, 2);
  const auto parameters = upload(device, siren_parameters<float>(shape));
  const auto x = upload(device, random_tensor<float>(2, 70, 3));
  const auto dy = upload(device, random_tensor<float>(3, 70, 2));
  auto once = Tensor<float, 1>::zeros(device, shape.parameter_count());
  sine_network_backward<float>(device, shape, parameters, x, dy, once);
  auto twice = upload(device, download(device, once));
  sine_network_backward<float>(device, shape, parameters, x, dy, twice);
  const auto one = download(device, once), two = download(device, twice);
  for (Index i = 0; i < one.size(); ++i) ASSERT_EQ(two(i), 2 * one(i));
}

TEST_P(SineNetworkParity, TheSameBitsEveryTime) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context device = test::make_context(GetParam()).with_precision(Precision::tf32);
  const SineNetworkShape shape = siren_shape(3, 33, 2, 2);
  const auto first = run<float>(device, shape, 501), second = run<float>(device, shape, 501);
  for (Index i = 0; i < first.y.size(); ++i) ASSERT_EQ(first.y.data()[i], second.y.data()[i]);
  for (Index i = 0; i < first.gradient.size(); ++i)
    ASSERT_EQ(first.gradient(i), second.gradient(i));
}

TEST_P(SineNetworkParity, MatchesTheCpuInDouble) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  for (const auto& shape : {siren_shape(3, 17, 0, 1), siren_shape(5, 33, 3, 2)})
    for (Index points : {1, 97}) {
      const auto expected = run<double>(Context::cpu(), shape, points);
      const auto found = run<double>(test::make_context(GetParam()), shape, points);
      EXPECT_LT(test::relative_difference(found.y, expected.y), 1e-12);
      EXPECT_LT(test::relative_difference(found.gradient, expected.gradient), 1e-12);
    }
}

INSTANTIATE_TEST_SUITE_P(Backends, SineNetworkParity, testing::ValuesIn(test::device_backends()),
                         [](const auto& test_info) { return test::backend_name(test_info); });

}  // namespace
}  // namespace orrery
