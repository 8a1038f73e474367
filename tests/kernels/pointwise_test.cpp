#include "kernels/pointwise.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

using test::expect_gradient;
using test::inner_product;
using test::random_tensor;
using test::relative_difference;

const Context& cpu() {
  static const Context ctx = Context::cpu();
  return ctx;
}

template <class T>
View<const T, 1> numbers(const std::vector<T>& x) {
  return {x.data(), static_cast<Index>(x.size())};
}
template <class T>
View<T, 1> numbers(std::vector<T>& x) {
  return {x.data(), static_cast<Index>(x.size())};
}

TEST(Pointwise, LeakyReluByHand) {
  const std::vector<double> x = {-2, -0.0, 0, 3}, dy = {1, 1, 1, 1};
  std::vector<double> y(4), dx(4);
  leaky_relu_forward(cpu(), 0.02, numbers(x), numbers(y));
  leaky_relu_backward(cpu(), 0.02, numbers(x), numbers(dy), numbers(dx));
  EXPECT_EQ(y, (std::vector<double>{-0.04, 0, 0, 3}));
  EXPECT_EQ(dx, (std::vector<double>{0.02, 0.02, 0.02, 1}));
}

TEST(Pointwise, AddScaledAndScaleInPlace) {
  std::vector<float> x = {1, 2}, y = {10, 20};
  add_scaled(cpu(), 0.5f, numbers(std::as_const(x)), numbers(y));
  EXPECT_EQ(y, (std::vector<float>{10.5f, 21}));
  scale(cpu(), 2.0f, numbers(y));
  EXPECT_EQ(y, (std::vector<float>{21, 42}));
}

TEST(Pointwise, TanhAndSineAgreeWithTheLibrary) {
  const auto x = random_tensor<double>(1, 10'007);
  Tensor<double, 1> y(cpu(), x.size());
  tanh_forward<double>(cpu(), x, y);
  for (Index i = 0; i < x.size(); ++i) ASSERT_NEAR(y(i), std::tanh(x(i)), 1e-15);
  sine_forward<double>(cpu(), 30, x, y);
  for (Index i = 0; i < x.size(); ++i) ASSERT_NEAR(y(i), std::sin(30 * x(i)), 1e-13);
}

// Checks forward(x, y) against backward(x, y, dy, dx) by central differences.
void expect_backward(
    const std::function<void(View<const double, 1>, View<double, 1>)>& forward,
    const std::function<void(View<const double, 1> x, View<const double, 1> y,
                             View<const double, 1> dy, View<double, 1> dx)>& backward,
    Tensor<double, 1> x) {
  const auto dy = random_tensor<double>(2, x.size());
  Tensor<double, 1> y(cpu(), x.size()), dx(cpu(), x.size());
  forward(x, y);
  backward(x, y, dy, dx);
  Tensor<double, 1> value(cpu(), x.size());
  expect_gradient(
      [&] {
        forward(x, value);
        return inner_product(value.view(), dy.view());
      },
      x, dx, 1e-6);
}

using Numbers = View<const double, 1>;
using Result = View<double, 1>;

TEST(Pointwise, GradientsAgreeWithDifferences) {
  expect_backward([](Numbers x, Result y) { leaky_relu_forward(cpu(), 0.02, x, y); },
                  [](Numbers x, Numbers, Numbers dy, Result dx) {
                    leaky_relu_backward(cpu(), 0.02, x, dy, dx);
                  },
                  random_tensor<double>(1, 101));
  expect_backward(
      [](Numbers x, Result y) { tanh_forward(cpu(), x, y); },
      [](Numbers, Numbers y, Numbers dy, Result dx) { tanh_backward(cpu(), y, dy, dx); },
      random_tensor<double>(1, 101));
  expect_backward(
      [](Numbers x, Result y) { sine_forward(cpu(), 10.0, x, y); },
      [](Numbers x, Numbers, Numbers dy, Result dx) { sine_backward(cpu(), 10.0, x, dy, dx); },
      random_tensor<double>(1, 101));
  expect_backward(
      [](Numbers x, Result y) {
        softmax_forward<double>(cpu(), x.reshaped(7, 15), y.reshaped(7, 15));
      },
      [](Numbers, Numbers y, Numbers dy, Result dx) {
        softmax_backward<double>(cpu(), y.reshaped(7, 15), dy.reshaped(7, 15), dx.reshaped(7, 15));
      },
      random_tensor<double>(1, 105));
}

TEST(Softmax, RowsByHand) {
  // exp of log 1, log 2, log 5, moved by a constant that would overflow by itself
  const std::vector<double> x = {1000 + std::log(1.0), 1000 + std::log(2.0), 1000 + std::log(5.0)};
  std::vector<double> y(3);
  softmax_forward<double>(cpu(), numbers(x).reshaped(1, 3), numbers(y).reshaped(1, 3));
  EXPECT_NEAR(y[0], 0.125, 1e-12);
  EXPECT_NEAR(y[1], 0.25, 1e-12);
  EXPECT_NEAR(y[2], 0.625, 1e-12);
}

template <class T>
void expect_special_numbers(const Context& ctx) {
  const T nan = std::numeric_limits<T>::quiet_NaN(), infinity = std::numeric_limits<T>::infinity();
  Tensor<T, 2> x(Context::cpu(1), 3, 300);
  for (Index r = 0; r < 3; ++r)
    for (Index j = 0; j < 300; ++j) x(r, j) = 1;
  x(0, 7) = -infinity;
  x(1, 299) = nan;
  x(2, 0) = nan;
  const auto on_x = upload(ctx, x);
  auto on_y = tensor_like<T>(ctx, x.view());
  softmax_forward<T>(ctx, on_x, on_y);
  const auto y = download(ctx, on_y);
  for (Index j = 0; j < 300; ++j) {
    EXPECT_NEAR(y(0, j), j == 7 ? 0.0 : 1.0 / 299, 1e-8);
    EXPECT_TRUE(std::isnan(y(1, j)) && std::isnan(y(2, j)));
  }
}

TEST(Softmax, InfinityIsZeroAndNaNSpreads) {
  expect_special_numbers<float>(cpu());
  expect_special_numbers<double>(cpu());
}

TEST(Pointwise, RejectsOtherLengths) {
  std::vector<float> x(5), y(4);
  const auto in = numbers(std::as_const(x));
  EXPECT_THROW(leaky_relu_forward(cpu(), 0.02f, in, numbers(y)), std::invalid_argument);
  EXPECT_THROW(leaky_relu_backward(cpu(), 0.02f, in, in, numbers(y)), std::invalid_argument);
  EXPECT_THROW(tanh_forward(cpu(), in, numbers(y)), std::invalid_argument);
  EXPECT_THROW(tanh_backward(cpu(), in, in, numbers(y)), std::invalid_argument);
  EXPECT_THROW(sine_forward(cpu(), 1.0f, in, numbers(y)), std::invalid_argument);
  EXPECT_THROW(sine_backward(cpu(), 1.0f, in, in, numbers(y)), std::invalid_argument);
  EXPECT_THROW(add_scaled(cpu(), 1.0f, in, numbers(y)), std::invalid_argument);
  EXPECT_THROW(softmax_forward<float>(cpu(), in.reshaped(1, 5), numbers(y).reshaped(1, 4)),
               std::invalid_argument);
  EXPECT_THROW(softmax_backward<float>(cpu(), in.reshaped(1, 5), in.reshaped(1, 5),
                                       numbers(y).reshaped(1, 4)),
               std::invalid_argument);
}

class PointwiseParity : public testing::TestWithParam<test::BackendUnderTest> {};

template <class T>
void expect_parity(const Context& ctx, Index rows, Index length, double tolerance) {
  const auto x = random_tensor<T>(1, rows * length), dy = random_tensor<T>(2, rows * length);
  // Runs f on both backends; out starts as a copy of x, so that functions in place have a value.
  const auto compare = [&](const char* name, const auto& f) {
    auto on_cpu = upload(Context::cpu(1), x);
    f(cpu(), x.view(), dy.view(), on_cpu.view());
    const auto device_x = upload(ctx, x), device_dy = upload(ctx, dy);
    auto out = upload(ctx, x);
    f(ctx, device_x.view(), device_dy.view(), out.view());
    EXPECT_LT(relative_difference(download(ctx, out), on_cpu), tolerance) << name;
  };
  using In = View<const T, 1>;
  using Out = View<T, 1>;
  using C = const Context&;
  compare("leaky relu", [](C c, In a, In, Out y) { leaky_relu_forward(c, T(0.02), a, y); });
  compare("leaky relu backward",
          [](C c, In a, In d, Out y) { leaky_relu_backward(c, T(0.02), a, d, y); });
  compare("tanh", [](C c, In a, In, Out y) { tanh_forward(c, a, y); });
  compare("tanh backward", [](C c, In a, In d, Out y) { tanh_backward(c, a, d, y); });
  compare("sine", [](C c, In a, In, Out y) { sine_forward(c, T(30), a, y); });
  compare("sine backward", [](C c, In a, In d, Out y) { sine_backward(c, T(30), a, d, y); });
  compare("add scaled", [](C c, In, In d, Out y) { add_scaled(c, T(0.3), d, y); });
  compare("scale", [](C c, In, In, Out y) { scale(c, T(0.3), y); });
  compare("softmax", [&](C c, In a, In, Out y) {
    softmax_forward<T>(c, a.reshaped(rows, length), y.reshaped(rows, length));
  });
  compare("softmax in place", [&](C c, In, In, Out y) {
    softmax_forward<T>(c, y.reshaped(rows, length), y.reshaped(rows, length));
  });
  compare("softmax backward", [&](C c, In a, In d, Out y) {
    softmax_backward<T>(c, a.reshaped(rows, length), d.reshaped(rows, length),
                        y.reshaped(rows, length));
  });
}

TEST_P(PointwiseParity, SameNumbersAsTheCpu) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  for (const auto& [rows, length] : {std::pair{1, 1}, {3, 31}, {1, 1201}, {5, 256}}) {
    expect_parity<float>(ctx, rows, length, 2e-6);
    expect_parity<double>(ctx, rows, length, 1e-13);
  }
}

TEST_P(PointwiseParity, SpecialNumbersInSoftmax) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  expect_special_numbers<float>(test::make_context(GetParam()));
  expect_special_numbers<double>(test::make_context(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(, PointwiseParity, testing::ValuesIn(test::device_backends()),
                         [](const auto& backend) { return test::backend_name(backend); });

}  // namespace
}  // namespace orrery
