#include "kernels/dense.hpp"

#include <gtest/gtest.h>

#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

using test::expect_gradient;
using test::inner_product;
using test::random_tensor;
using test::relative_difference;

/// Everything a dense layer reads and writes, on one backend.
template <class T>
struct Layer {
  Tensor<T, 2> x, weight;
  Tensor<T, 1> bias;
  Tensor<T, 2> y, dy, dx, dweight;
  Tensor<T, 1> dbias;

  Layer(Index batch, Index inputs, Index outputs)
      : x(random_tensor<T>(1, batch, inputs)),
        weight(random_tensor<T>(2, outputs, inputs)),
        bias(random_tensor<T>(3, outputs)),
        y(random_tensor<T>(4, batch, outputs)),
        dy(random_tensor<T>(5, batch, outputs)),
        dx(random_tensor<T>(6, batch, inputs)),
        dweight(random_tensor<T>(7, outputs, inputs)),
        dbias(random_tensor<T>(8, outputs)) {}

  void forward(const Context& ctx) { dense_forward<T>(ctx, x, weight, bias, y); }
  void backward(const Context& ctx) { dense_backward<T>(ctx, x, weight, dy, dx, dweight, dbias); }

  template <class Move>
  void move_all(Move move) {
    move(x), move(weight), move(bias), move(y), move(dy), move(dx), move(dweight), move(dbias);
  }
};

const Context& cpu() {
  static const Context ctx = Context::cpu();
  return ctx;
}

struct Sizes {
  Index batch, inputs, outputs;
};
constexpr Sizes sizes[] = {{1, 1, 1}, {1, 300, 77}, {5, 7, 3}, {33, 129, 65}};

TEST(Dense, ByHand) {
  Layer<double> layer(1, 2, 2);
  const double weight[] = {1, 2, 3, 4}, x[] = {10, 100}, bias[] = {0.5, 0.25};
  std::copy_n(weight, 4, layer.weight.data());
  std::copy_n(x, 2, layer.x.data());
  std::copy_n(bias, 2, layer.bias.data());
  layer.forward(cpu());
  EXPECT_EQ(layer.y(0, 0), 210.5);
  EXPECT_EQ(layer.y(0, 1), 430.25);
}

// y[b,o] = bias[o] + sum_i weight[o,i] x[b,i]
// dx[b,i] = sum_o dy[b,o] weight[o,i]
// dweight[o,i] += sum_b dy[b,o] x[b,i]
// dbias[o] += sum_b dy[b,o]
TEST(Dense, AgreesWithPlainLoops) {
  for (const auto& [batch, inputs, outputs] : sizes) {
    Layer<double> layer(batch, inputs, outputs), expected(batch, inputs, outputs);
    layer.forward(cpu());
    layer.backward(cpu());
    for (Index b = 0; b < batch; ++b)
      for (Index o = 0; o < outputs; ++o) {
        expected.y(b, o) = expected.bias(o);
        for (Index i = 0; i < inputs; ++i)
          expected.y(b, o) += expected.weight(o, i) * expected.x(b, i);
        expected.dbias(o) += expected.dy(b, o);
        for (Index i = 0; i < inputs; ++i)
          expected.dweight(o, i) += expected.dy(b, o) * expected.x(b, i);
      }
    for (Index b = 0; b < batch; ++b)
      for (Index i = 0; i < inputs; ++i) {
        expected.dx(b, i) = 0;
        for (Index o = 0; o < outputs; ++o)
          expected.dx(b, i) += expected.dy(b, o) * expected.weight(o, i);
      }
    EXPECT_LT(relative_difference(layer.y, expected.y), 1e-14);
    EXPECT_LT(relative_difference(layer.dx, expected.dx), 1e-14);
    EXPECT_LT(relative_difference(layer.dweight, expected.dweight), 1e-14);
    EXPECT_LT(relative_difference(layer.dbias, expected.dbias), 1e-14);
  }
}

TEST(Dense, GradientsAgreeWithDifferences) {
  Layer<double> layer(3, 5, 4);
  set_zero(cpu(), layer.dweight.view());
  set_zero(cpu(), layer.dbias.view());
  layer.backward(cpu());
  const auto loss = [&] {
    layer.forward(cpu());
    return inner_product(layer.y.view().flat(), layer.dy.view().flat());
  };
  expect_gradient(loss, layer.x.view().flat(), layer.dx.view().flat());
  expect_gradient(loss, layer.weight.view().flat(), layer.dweight.view().flat());
  expect_gradient(loss, layer.bias, layer.dbias);
}

TEST(Dense, LeavesOutTheInputGradientWhenNotAsked) {
  Layer<float> layer(4, 6, 5), without(4, 6, 5);
  layer.backward(cpu());
  dense_backward<float>(cpu(), without.x, without.weight, without.dy, {}, without.dweight,
                        without.dbias);
  EXPECT_EQ(relative_difference(without.dweight, layer.dweight), 0);
  EXPECT_EQ(relative_difference(without.dbias, layer.dbias), 0);
}

TEST(Dense, DoesNotDependOnTheNumberOfThreads) {
  Layer<float> one(40, 500, 300), three(40, 500, 300);
  one.forward(Context::cpu(1)), three.forward(Context::cpu(3));
  one.backward(Context::cpu(1)), three.backward(Context::cpu(3));
  EXPECT_EQ(relative_difference(one.y, three.y), 0);
  EXPECT_EQ(relative_difference(one.dx, three.dx), 0);
  EXPECT_EQ(relative_difference(one.dweight, three.dweight), 0);
  EXPECT_EQ(relative_difference(one.dbias, three.dbias), 0);
}

TEST(Dense, RejectsOtherShapes) {
  Layer<float> layer(4, 6, 5), other(3, 7, 4);
  const auto forward = [](auto&&... views) { dense_forward<float>(cpu(), views...); };
  EXPECT_THROW(forward(layer.x, other.weight, layer.bias, layer.y), std::invalid_argument);
  EXPECT_THROW(forward(layer.x, layer.weight, other.bias, layer.y), std::invalid_argument);
  EXPECT_THROW(forward(layer.x, layer.weight, layer.bias, other.y), std::invalid_argument);
  layer.dy = random_tensor<float>(1, 4, 4);
  EXPECT_THROW(layer.backward(cpu()), std::invalid_argument);
  layer.dy = random_tensor<float>(1, 4, 5);
  layer.dx = random_tensor<float>(1, 4, 5);
  EXPECT_THROW(layer.backward(cpu()), std::invalid_argument);
}

class DenseParity : public testing::TestWithParam<test::BackendUnderTest> {};

template <class T>
void expect_parity(const Context& ctx, double tolerance) {
  for (const auto& [batch, inputs, outputs] : sizes) {
    Layer<T> on_cpu(batch, inputs, outputs), on_device(batch, inputs, outputs);
    on_device.move_all([&](auto& tensor) { tensor = upload(ctx, tensor); });
    on_cpu.forward(cpu());
    on_cpu.backward(cpu());
    on_device.forward(ctx);
    on_device.backward(ctx);
    on_device.move_all([&](auto& tensor) { tensor = download(ctx, tensor); });
    EXPECT_LT(relative_difference(on_device.y, on_cpu.y), tolerance);
    EXPECT_LT(relative_difference(on_device.dx, on_cpu.dx), tolerance);
    EXPECT_LT(relative_difference(on_device.dweight, on_cpu.dweight), tolerance);
    EXPECT_LT(relative_difference(on_device.dbias, on_cpu.dbias), tolerance);
  }
}

TEST_P(DenseParity, SameNumbersAsTheCpu) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  expect_parity<float>(ctx, 1e-6);
  expect_parity<double>(ctx, 1e-14);
}

INSTANTIATE_TEST_SUITE_P(, DenseParity, testing::ValuesIn(test::device_backends()),
                         [](const auto& backend) { return test::backend_name(backend); });

}  // namespace
}  // namespace orrery
