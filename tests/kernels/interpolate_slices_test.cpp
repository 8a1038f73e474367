#include "kernels/interpolate_slices.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>

#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery::test {
namespace {

constexpr int taps = SampledSpectrum::taps, degree = SampledSpectrum::degree;
const Context cpu = Context::cpu(2);

/// Numbers that have no more to do with one another than the formulas say, on a grid that is larger
/// than it needs to be.
struct Example {
  int n;
  float spacing;
  Tensor<float, 4> samples;
  Tensor<float, 2> window;
  Tensor<float, 3> rotations;

  Example(int n_, float spacing_) : n(n_), spacing(spacing_), rotations(cpu, 3, 3, 3) {
    const auto [edge, width] = SampledSpectrum::needed(n, spacing);
    samples = random_tensor<float>(1, edge + 2, edge + 2, width + 1, 2);
    window = random_tensor<float>(2, degree + 1, taps);
    // The identity, whose points are samples; a turn of all axes; one about y that leads to x < 0.
    const float c = std::cos(0.7f), s = std::sin(0.7f), d = std::cos(2.3f), t = std::sin(2.3f);
    const float matrices[3][9] = {{1, 0, 0, 0, 1, 0, 0, 0, 1},
                                  {c, -s * d, s * t, s, c * d, -c * t, 0, t, d},
                                  {d, 0, t, 0, 1, 0, -t, 0, d}};
    std::copy_n(matrices[0], 27, rotations.data());
  }

  Tensor<float, 2> slices(const Context& ctx) const {
    Tensor<float, 2> h(ctx, 3, Index{n} * n);
    const auto on_samples = upload(ctx, samples);
    const auto on_window = upload(ctx, window);
    interpolate_slices(ctx, n, {on_samples, on_window, spacing}, upload(ctx, rotations), h);
    return download(ctx, h);
  }

  /// sum_j w_j(u) f(first + j), the first of the six samples being two before the interval, and u
  /// counted from its middle.
  template <class F>
  double along(double coordinate, const F& f) const {
    const double below = std::floor(coordinate), u = coordinate - below - 0.5;
    double sum = 0;
    for (int j = 0; j < taps; ++j)
      for (int power = 0; power <= degree; ++power)
        sum += window(power, j) * std::pow(u, power) * f(static_cast<Index>(below) - 2 + j);
    return sum;
  }

  /// The real (0) or imaginary part (1) at a point with x >= 0.
  double spectrum(const std::array<double, 3>& at, int part) const {
    const Index middle = (samples.extent(0) - 1) / 2;
    return along(at[2], [&](Index z) {
      return along(at[1], [&](Index y) {
        return along(at[0],
                     [&](Index x) { return double(samples(z + middle, y + middle, x + 2, part)); });
      });
    });
  }

  /// h(k) = Re s(k) - Im s(k), s(k) = the spectrum at spacing R^T (kx, ky, 0), s(-k) = conj s(k),
  /// for |k| <= n/2.
  Tensor<double, 2> direct() const {
    auto h = Tensor<double, 2>::zeros(cpu, 3, Index{n} * n);
    const int half = n / 2;
    for (int b = 0; b < 3; ++b)
      for (Index p = 0; p <= (Index{n} * n - 1) / 2; ++p) {
        const Index middle = (Index{n} * n - 1) / 2, pixel = middle + p;
        const double kx = double(pixel % n - half), ky = double(pixel / n - half);
        if (std::hypot(kx, ky) > 0.5 * n) continue;
        std::array<double, 3> at;
        for (int i = 0; i < 3; ++i)
          at[i] = spacing * (rotations(b, 0, i) * kx + rotations(b, 1, i) * ky);
        const double sign = at[0] < 0 ? -1 : 1;
        for (double& x : at) x *= sign;
        const double re = spectrum(at, 0), im = p == 0 ? 0 : sign * spectrum(at, 1);
        h(b, middle + p) = re - im;
        h(b, middle - p) = re + im;
      }
    return h;
  }
};

TEST(InterpolateSlices, AreTheWindowedSums) {
  for (const auto& [n, spacing] : {std::pair{1, 2.0f}, {3, 1.0f}, {7, 2.0f}, {13, 1.3f}}) {
    const Example example(n, spacing);
    EXPECT_LT(relative_difference(example.slices(cpu), example.direct()), 1e-5) << "n " << n;
  }
}

TEST(InterpolateSlices, DoNotDependOnTheNumberOfThreads) {
  const Example example(9, 2);
  const auto one = example.slices(Context::cpu(1));
  EXPECT_EQ(relative_difference(example.slices(Context::cpu(2)), one), 0);
  EXPECT_EQ(relative_difference(example.slices(Context::cpu(5)), one), 0);
}

TEST(InterpolateSlices, RefuseWrongShapes) {
  const int n = 5;
  const float spacing = 2;
  const auto [edge, width] = SampledSpectrum::needed(n, spacing);
  Tensor<float, 4> samples(cpu, edge, edge, width, 2), flat(cpu, edge - 2, edge, width, 2),
      small(cpu, edge - 2, edge - 2, width, 2), narrow(cpu, edge, edge, width - 1, 2),
      real(cpu, edge, edge, width, 1);
  Tensor<float, 2> window(cpu, degree + 1, taps), short_window(cpu, degree, taps), h(cpu, 2, n * n),
      other(cpu, 3, n * n);
  Tensor<float, 3> rotations(cpu, 2, 3, 3), wrong(cpu, 2, 3, 2);
  const auto with = [&](int size, View<const float, 4> s, View<const float, 2> w,
                        View<const float, 3> r, View<float, 2> to) {
    interpolate_slices(cpu, size, {s, w, spacing}, r, to);
  };
  EXPECT_THROW(with(4, samples, window, rotations, h), std::invalid_argument);
  EXPECT_THROW(with(n, flat, window, rotations, h), std::invalid_argument);
  EXPECT_THROW(with(n, small, window, rotations, h), std::invalid_argument);
  EXPECT_THROW(with(n, narrow, window, rotations, h), std::invalid_argument);
  EXPECT_THROW(with(n, real, window, rotations, h), std::invalid_argument);
  EXPECT_THROW(with(n, samples, short_window, rotations, h), std::invalid_argument);
  EXPECT_THROW(with(n, samples, window, wrong, h), std::invalid_argument);
  EXPECT_THROW(with(n, samples, window, rotations, other), std::invalid_argument);
}

class InterpolateSlicesParity : public testing::TestWithParam<BackendUnderTest> {};

TEST_P(InterpolateSlicesParity, MatchTheCpu) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context device = make_context(GetParam());
  for (const auto& [n, spacing] : {std::pair{1, 2.0f}, {5, 1.0f}, {13, 2.0f}}) {
    const Example example(n, spacing);
    EXPECT_LT(relative_difference(example.slices(device), example.slices(cpu)), 1e-5) << "n " << n;
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, InterpolateSlicesParity, testing::ValuesIn(device_backends()),
                         backend_name);

}  // namespace
}  // namespace orrery::test
