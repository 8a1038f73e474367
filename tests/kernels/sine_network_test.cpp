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

class SineNetworkParity : public testing::TestWithParam<test::BackendUnderTest> {};

TEST_P(SineNetworkParity, MatchesTheCpu) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context cpu = Context::cpu(), device = test::make_context(GetParam());
  for (const auto& shape : {small_shape(), small_shape(3, 17, 0, 1), small_shape(5, 33, 3, 2)}) {
    auto parameters = random_tensor<float>(1, shape.parameter_count());
    for (float& p : parameters.view()) p *= 0.3f;
    for (Index points : {1, 97, 500}) {
      const auto x = random_tensor<float>(2, points, shape.inputs);
      const auto dy = random_tensor<float>(3, points, shape.outputs);
      Tensor<float, 2> y(cpu, points, shape.outputs);
      auto gradient = Tensor<float, 1>::zeros(cpu, shape.parameter_count());
      sine_network_forward<float>(cpu, shape, parameters, x, y);
      sine_network_backward<float>(cpu, shape, parameters, x, dy, gradient);

      const auto device_parameters = upload(device, parameters);
      const auto device_x = upload(device, x);
      const auto device_dy = upload(device, dy);
      Tensor<float, 2> device_y(device, points, shape.outputs);
      auto device_gradient = Tensor<float, 1>::zeros(device, shape.parameter_count());
      sine_network_forward<float>(device, shape, device_parameters, device_x, device_y);
      sine_network_backward<float>(device, shape, device_parameters, device_x, device_dy,
                                   device_gradient);
      EXPECT_LT(test::relative_difference(download(device, device_y), y), 1e-5);
      EXPECT_LT(test::relative_difference(download(device, device_gradient), gradient), 1e-5);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, SineNetworkParity, testing::ValuesIn(test::device_backends()),
                         [](const auto& test_info) { return test::backend_name(test_info); });

}  // namespace
}  // namespace orrery
