#include "kernels/conv.hpp"

#include <gtest/gtest.h>

#include <span>

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

/// Sizes of a convolution; height 0 stands for one dimension. A window has as many rows as columns
/// unless said otherwise.
struct Sizes {
  Index batch, inputs, outputs, height, width, window, rows_of_window = 0;

  bool two_dimensional() const { return height > 0; }
  Index rows() const { return std::max<Index>(height, 1); }
  Index window_rows() const {
    if (rows_of_window > 0) return rows_of_window;
    return two_dimensional() ? window : 1;
  }
};

std::ostream& operator<<(std::ostream& out, const Sizes& s) {
  return out << "B " << s.batch << " C " << s.inputs << " O " << s.outputs << " H " << s.height
             << " W " << s.width << " S " << s.window_rows() << " T " << s.window;
}

/// Everything a convolution reads and writes, on one backend, always kept in two dimensions.
template <class T>
struct Layer {
  Sizes sizes;
  Tensor<T, 4> x, weight;
  Tensor<T, 1> bias;
  Tensor<T, 4> y, dy, dx, dweight;
  Tensor<T, 1> dbias;

  explicit Layer(const Sizes& s)
      : sizes(s),
        x(random_tensor<T>(1, s.batch, s.inputs, s.rows(), s.width)),
        weight(random_tensor<T>(2, s.outputs, s.inputs, s.window_rows(), s.window)),
        bias(random_tensor<T>(3, s.outputs)),
        y(random_tensor<T>(4, s.batch, s.outputs, s.rows(), s.width)),
        dy(random_tensor<T>(5, s.batch, s.outputs, s.rows(), s.width)),
        dx(random_tensor<T>(6, s.batch, s.inputs, s.rows(), s.width)),
        dweight(random_tensor<T>(7, s.outputs, s.inputs, s.window_rows(), s.window)),
        dbias(random_tensor<T>(8, s.outputs)) {}

  void forward(const Context& ctx) {
    if (sizes.two_dimensional())
      conv2d_forward<T>(ctx, x, weight, bias, y);
    else
      conv1d_forward<T>(ctx, line(x), line(weight), bias, line(y));
  }
  void backward(const Context& ctx) {
    if (sizes.two_dimensional())
      conv2d_backward<T>(ctx, x, weight, dy, dx, dweight, dbias);
    else
      conv1d_backward<T>(ctx, line(x), line(weight), line(dy), line(dx), line(dweight), dbias);
  }
  template <class Move>
  void move_all(Move move) {
    move(x), move(weight), move(bias), move(y), move(dy), move(dx), move(dweight), move(dbias);
  }

 private:
  static View<T, 3> line(Tensor<T, 4>& tensor) {
    return tensor.view().reshaped(tensor.extent(0), tensor.extent(1), tensor.extent(3));
  }
};

// y[b,o,i,j] = bias[o] + sum_{c,s,t} w[o,c,s,t] x[b,c,(i + s - S/2) mod H,(j + t - T/2) mod W],
// and its transposes, each product added where it belongs:
//   dx[b,c,i',j'] += w[o,c,s,t] dy[b,o,i,j],  dweight[o,c,s,t] += dy[b,o,i,j] x[b,c,i',j'].
void run_plain_loops(Layer<double>& layer) {
  const Sizes& n = layer.sizes;
  set_zero(cpu(), layer.dx.view());
  for (Index b = 0; b < n.batch; ++b)
    for (Index o = 0; o < n.outputs; ++o)
      for (Index i = 0; i < n.rows(); ++i)
        for (Index j = 0; j < n.width; ++j) {
          double value = layer.bias(o);
          for (Index c = 0; c < n.inputs; ++c)
            for (Index s = 0; s < n.window_rows(); ++s)
              for (Index t = 0; t < n.window; ++t) {
                const Index from_i = (i + s - n.window_rows() / 2 + n.rows()) % n.rows();
                const Index from_j = (j + t - n.window / 2 + n.width) % n.width;
                value += layer.weight(o, c, s, t) * layer.x(b, c, from_i, from_j);
                layer.dx(b, c, from_i, from_j) += layer.weight(o, c, s, t) * layer.dy(b, o, i, j);
                layer.dweight(o, c, s, t) += layer.dy(b, o, i, j) * layer.x(b, c, from_i, from_j);
              }
          layer.y(b, o, i, j) = value;
          layer.dbias(o) += layer.dy(b, o, i, j);
        }
}

template <class T>
void expect_same(const Layer<T>& found, const Layer<T>& expected, double tolerance) {
  EXPECT_LE(relative_difference(found.y, expected.y), tolerance) << "y of " << found.sizes;
  EXPECT_LE(relative_difference(found.dx, expected.dx), tolerance) << "dx of " << found.sizes;
  EXPECT_LE(relative_difference(found.dweight, expected.dweight), tolerance)
      << "dweight of " << found.sizes;
  EXPECT_LE(relative_difference(found.dbias, expected.dbias), tolerance)
      << "dbias of " << found.sizes;
}

// Fewer and more inputs than outputs, whole and cut tiles, few and many samples, the longest
// windows.
const Sizes small_sizes[] = {{1, 1, 1, 0, 1, 1},   {1, 1, 1, 0, 3, 3},    {2, 3, 2, 0, 7, 5},
                             {2, 2, 3, 0, 41, 3},  {9, 6, 4, 0, 65, 3},   {17, 2, 9, 0, 13, 1},
                             {1, 1, 1, 1, 1, 1},   {1, 2, 3, 5, 7, 3},    {2, 9, 4, 7, 4, 3},
                             {1, 2, 2, 9, 11, 9},  {8, 3, 10, 12, 66, 5}, {1, 40, 8, 13, 13, 3},
                             {2, 3, 5, 6, 9, 5, 3}};

// Windows one column wide, as a convolution over the rows of many columns has them, and windows of
// one weight: fewer, just as many and more columns than a tile of the CPU twin has.
const Sizes narrow_sizes[] = {{1, 1, 1, 1, 1, 1, 1},   {1, 3, 2, 7, 1, 1, 5},
                              {1, 2, 5, 9, 16, 1, 9},  {1, 5, 16, 11, 37, 1, 5},
                              {2, 17, 3, 5, 64, 1, 3}, {1, 6, 33, 41, 100, 1, 5},
                              {1, 40, 9, 1, 70, 1, 1}, {3, 7, 8, 1, 33, 1, 1}};

TEST(Conv, OneDimensionByHand) {
  // w = (1, 10, 100) on (1, 2, 3, 4): y[i] = x[i-1] + 10 x[i] + 100 x[i+1] + 1000
  Layer<double> layer({1, 1, 1, 0, 4, 3});
  const double x[] = {1, 2, 3, 4}, weight[] = {1, 10, 100};
  std::copy_n(x, 4, layer.x.data());
  std::copy_n(weight, 3, layer.weight.data());
  layer.bias(0) = 1000;
  layer.forward(cpu());
  const double expected[] = {1214, 1321, 1432, 1143};
  for (int i = 0; i < 4; ++i) EXPECT_EQ(layer.y(0, 0, 0, i), expected[i]);
}

void expect_agreement_with_plain_loops(const Sizes& sizes) {
  Layer<double> layer(sizes), expected(sizes);
  layer.forward(cpu());
  layer.backward(cpu());
  run_plain_loops(expected);
  expect_same(layer, expected, 1e-13);
}

TEST(Conv, AgreesWithPlainLoops) {
  for (const Sizes& sizes : small_sizes) expect_agreement_with_plain_loops(sizes);
  for (const Sizes& sizes : narrow_sizes) expect_agreement_with_plain_loops(sizes);
}

TEST(Conv, GradientsAgreeWithDifferences) {
  for (const Sizes& sizes :
       {Sizes{2, 3, 2, 0, 7, 5}, Sizes{2, 2, 3, 5, 6, 3}, Sizes{1, 2, 3, 5, 20, 1, 3}}) {
    Layer<double> layer(sizes);
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
}

// A circular convolution commutes with circular shifts.
TEST(Conv, CommutesWithShifts) {
  Layer<double> layer({1, 3, 2, 0, 11, 5}), shifted({1, 3, 2, 0, 11, 5});
  for (Index c = 0; c < 3; ++c)
    for (Index i = 0; i < 11; ++i) shifted.x(0, c, 0, (i + 4) % 11) = layer.x(0, c, 0, i);
  layer.forward(cpu());
  shifted.forward(cpu());
  for (Index o = 0; o < 2; ++o)
    for (Index i = 0; i < 11; ++i)
      EXPECT_NEAR(shifted.y(0, o, 0, (i + 4) % 11), layer.y(0, o, 0, i), 1e-13);
}

TEST(Conv, LeavesOutTheInputGradientWhenNotAsked) {
  for (const Sizes& sizes : {Sizes{9, 3, 5, 0, 21, 3}, Sizes{2, 9, 5, 7, 8, 3}}) {
    Layer<float> layer(sizes), without(sizes);
    without.dx = {};
    layer.backward(cpu());
    if (sizes.two_dimensional())
      conv2d_backward<float>(cpu(), without.x, without.weight, without.dy, {}, without.dweight,
                             without.dbias);
    else
      without.backward(cpu());
    EXPECT_EQ(relative_difference(without.dweight, layer.dweight), 0);
    EXPECT_EQ(relative_difference(without.dbias, layer.dbias), 0);
  }
}

TEST(Conv, DoesNotDependOnTheNumberOfThreads) {
  for (const Sizes& sizes :
       {Sizes{40, 6, 8, 0, 41, 3}, Sizes{1, 300, 8, 31, 31, 3}, Sizes{2, 8, 24, 31, 31, 5},
        Sizes{1, 8, 24, 31, 300, 1, 5}, Sizes{1, 500, 24, 1, 300, 1}}) {
    Layer<float> one(sizes), three(sizes);
    one.forward(Context::cpu(1)), three.forward(Context::cpu(3));
    one.backward(Context::cpu(1)), three.backward(Context::cpu(3));
    expect_same(three, one, 0);
  }
}

TEST(Conv, RejectsOtherShapes) {
  const auto rejected = [](auto change) {
    Layer<float> layer({2, 3, 4, 5, 7, 3});
    change(layer);
    EXPECT_THROW((layer.forward(cpu()), layer.backward(cpu())), std::invalid_argument);
    Layer<float> signal({2, 3, 4, 0, 7, 3});
    change(signal);
    EXPECT_THROW((signal.forward(cpu()), signal.backward(cpu())), std::invalid_argument);
  };
  using L = Layer<float>;
  const Index h = 5;
  rejected([](L& l) { l.bias = random_tensor<float>(1, 3); });
  rejected([](L& l) { l.dbias = random_tensor<float>(1, 5); });
  rejected([](L& l) { l.y = random_tensor<float>(1, 2, 4, l.sizes.rows(), 8); });
  rejected([](L& l) { l.dy = random_tensor<float>(1, 1, 4, l.sizes.rows(), 7); });
  rejected([](L& l) { l.dx = random_tensor<float>(1, 2, 4, l.sizes.rows(), 7); });
  rejected([](L& l) { l.weight = random_tensor<float>(1, 4, 2, l.sizes.window_rows(), 3); });
  rejected([](L& l) { l.dweight = random_tensor<float>(1, 4, 3, l.sizes.window_rows(), 5); });
  // Even windows, and windows longer than the signal or the image.
  EXPECT_THROW(L({1, 1, 1, 0, 8, 4}).forward(cpu()), std::invalid_argument);
  EXPECT_THROW(L({1, 1, 1, 8, 8, 4}).backward(cpu()), std::invalid_argument);
  EXPECT_THROW(L({1, 1, 1, 0, 3, 5}).forward(cpu()), std::invalid_argument);
  EXPECT_THROW(L({1, 1, 1, 3, h, h}).backward(cpu()), std::invalid_argument);
  EXPECT_THROW(L({1, 1, 1, 9, 9, 5, 4}).forward(cpu()), std::invalid_argument);
  EXPECT_THROW(L({1, 1, 1, 3, 9, 5, 5}).forward(cpu()), std::invalid_argument);
  L other_rows({1, 1, 1, 9, 9, 5});
  other_rows.dweight = random_tensor<float>(1, 1, 1, 3, 5);
  EXPECT_THROW(other_rows.backward(cpu()), std::invalid_argument);
}

class ConvParity : public testing::TestWithParam<test::BackendUnderTest> {};

template <class T>
void expect_parity(const Context& ctx, const Sizes& sizes, double tolerance) {
  Layer<T> on_cpu(sizes), on_device(sizes);
  on_device.move_all([&](auto& tensor) { tensor = upload(ctx, tensor); });
  on_cpu.forward(cpu());
  on_cpu.backward(cpu());
  on_device.forward(ctx);
  on_device.backward(ctx);
  on_device.move_all([&](auto& tensor) { tensor = download(ctx, tensor); });
  expect_same(on_device, on_cpu, tolerance);
}

TEST_P(ConvParity, SameNumbersAsTheCpu) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  for (const auto& sizes :
       {std::span<const Sizes>(small_sizes), std::span<const Sizes>(narrow_sizes)})
    for (const Sizes& s : sizes) {
      expect_parity<float>(ctx, s, 1e-5);
      expect_parity<double>(ctx, s, 1e-13);
    }
}

// Windows that do not fit into shared memory at once, many outputs and inputs, several shares.
TEST_P(ConvParity, CutsLargeWindowsAndManyChannels) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  for (const Sizes& sizes :
       {Sizes{1, 2, 11, 0, 607, 601}, Sizes{1, 1, 2, 33, 35, 33}, Sizes{1, 70, 41, 9, 10, 3},
        Sizes{1, 300, 3, 0, 5, 1}, Sizes{1, 3, 150, 0, 9, 3}, Sizes{2, 5, 3, 19, 70, 17}}) {
    expect_parity<float>(ctx, sizes, 1e-5);
    expect_parity<double>(ctx, sizes, 1e-13);
  }
}

INSTANTIATE_TEST_SUITE_P(, ConvParity, testing::ValuesIn(test::device_backends()),
                         [](const auto& backend) { return test::backend_name(backend); });

}  // namespace
}  // namespace orrery
