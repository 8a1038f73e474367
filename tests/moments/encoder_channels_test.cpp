#include "moments/encoder_channels.hpp"

#include <gtest/gtest.h>

#include <complex>
#include <numbers>

#include "kernels/gemm.hpp"
#include "kernels/real_fourier.hpp"
#include "kernels/tensor.hpp"
#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

using test::random_tensor;
using test::relative_difference;
using Number = std::complex<double>;

const Context cpu = Context::cpu(2);
constexpr double floor_of_power = 0.01;

template <class T>
struct Channels {
  Tensor<T, 3> from_first, from_second;
};

template <class T>
Channels<T> channels_of(const Context& ctx, View<const T, 2> first, View<const T, 3> second) {
  const Index batch = first.extent(0), n = first.extent(1);
  Channels<T> channels{Tensor<T, 3>(ctx, batch, first_channels, n),
                       Tensor<T, 3>(ctx, batch, second_channels(n), n)};
  encoder_channels<T>(ctx, T(floor_of_power), first, second, channels.from_first,
                      channels.from_second);
  return channels;
}

/// Moments of a few random observations in real space, so that they are those of something.
struct Observed {
  Tensor<double, 2> first;
  Tensor<double, 3> second;
};
Observed observed(Index batch, Index n) {
  Observed moments{Tensor<double, 2>::zeros(cpu, batch, n),
                   Tensor<double, 3>::zeros(cpu, batch, n, n)};
  const auto y = random_tensor<double>(1, batch, 4, n);
  for (Index b = 0; b < batch; ++b)
    for (Index o = 0; o < 4; ++o)
      for (Index i = 0; i < n; ++i) {
        moments.first(b, i) += y(b, o, i) / 4;
        for (Index j = 0; j < n; ++j) moments.second(b, i, j) += y(b, o, i) * y(b, o, j) / 4;
      }
  // Noise taken off may leave powers below zero.
  for (Index i = 0; i < n; ++i) moments.second(0, i, i) -= 1.2;
  return moments;
}

/// M1^ and M2^ by the definition of the unitary transform, then the contract's formulas.
Channels<double> by_definition(const Observed& moments) {
  const Index batch = moments.first.extent(0), n = moments.first.extent(1), half = (n - 1) / 2;
  Channels<double> channels{Tensor<double, 3>(cpu, batch, first_channels, n),
                            Tensor<double, 3>(cpu, batch, second_channels(n), n)};
  auto phase = [&](Index k, Index j) {
    return std::polar(1 / std::sqrt(double(n)), -2 * std::numbers::pi * double(k * j) / double(n));
  };
  for (Index b = 0; b < batch; ++b) {
    auto m1 = [&](Index k) {
      Number total = 0;
      for (Index i = 0; i < n; ++i) total += phase(k, i) * moments.first(b, i);
      return total;
    };
    auto m2 = [&](Index k1, Index k2) {
      Number total = 0;
      for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < n; ++j)
          total += phase(k1, i) * std::conj(phase(k2, j)) * moments.second(b, i, j);
      return total;
    };
    auto power = [&](Index k) { return std::max(m2(k, k).real(), 0.0); };
    auto weight = [&](Index k) { return std::sqrt(power(k)) / (power(k) + floor_of_power); };
    for (Index k = -half; k <= half; ++k) {
      const Index at = k + half;
      channels.from_first(b, 0, at) = m1(k).real() * weight(k);
      channels.from_first(b, 1, at) = m1(k).imag() * weight(k);
      channels.from_first(b, 2, at) = std::sqrt(power(k));
      channels.from_first(b, 3, at) = m1(k).real();
      channels.from_first(b, 4, at) = m1(k).imag();
      for (Index d = 1; d <= half; ++d) {
        const Number whitened = m2(k, k + d) * weight(k) * weight(k + d);
        channels.from_second(b, d - 1, at) = whitened.real();
        channels.from_second(b, d - 1 + half, at) = whitened.imag();
      }
    }
  }
  return channels;
}

Observed in_the_fourier_basis(const Observed& moments) {
  const Index batch = moments.first.extent(0), n = moments.first.extent(1);
  Observed turned{Tensor<double, 2>(cpu, batch, n), Tensor<double, 3>(cpu, batch, n, n)};
  const auto basis = real_fourier_basis<double>(cpu, n);
  gemm<double>(cpu, Transpose::no, Transpose::yes, 1, moments.first, basis, 0, turned.first);
  for (Index b = 0; b < batch; ++b) {
    Tensor<double, 2> half(cpu, n, n);
    gemm<double>(cpu, Transpose::no, Transpose::yes, 1, moments.second.view()[b], basis, 0, half);
    gemm<double>(cpu, Transpose::no, Transpose::no, 1, basis, half, 0, turned.second.view()[b]);
  }
  return turned;
}

TEST(EncoderChannels, FollowTheirDefinition) {
  for (const Index n : {3, 5, 11}) {
    const auto moments = observed(2, n);
    const auto expected = by_definition(moments);
    const auto turned = in_the_fourier_basis(moments);
    const auto found = channels_of<double>(cpu, turned.first, turned.second);
    EXPECT_LT(relative_difference(found.from_first, expected.from_first), 1e-11) << n;
    EXPECT_LT(relative_difference(found.from_second, expected.from_second), 1e-11) << n;
  }
}

TEST(EncoderChannels, RefuseUnfitShapes) {
  Tensor<float, 2> first(cpu, 2, 5), even(cpu, 2, 4);
  Tensor<float, 3> second(cpu, 2, 5, 5), from_first(cpu, 2, 5, 5), from_second(cpu, 2, 4, 5);
  Tensor<float, 3> even_second(cpu, 2, 4, 4), short_first(cpu, 2, 4, 5), short_second(cpu, 2, 3, 5);
  auto call = [](View<const float, 2> m1, View<const float, 3> m2, View<float, 3> c1,
                 View<float, 3> c2) { encoder_channels<float>(cpu, 1e-3f, m1, m2, c1, c2); };
  EXPECT_THROW(call(even, even_second, from_first, from_second), std::invalid_argument);
  EXPECT_THROW(call(first, even_second, from_first, from_second), std::invalid_argument);
  EXPECT_THROW(call(first, second, short_first, from_second), std::invalid_argument);
  EXPECT_THROW(call(first, second, from_first, short_second), std::invalid_argument);
}

class EncoderChannelsOnDevice : public testing::TestWithParam<test::BackendUnderTest> {};
INSTANTIATE_TEST_SUITE_P(Backends, EncoderChannelsOnDevice,
                         testing::ValuesIn(test::device_backends()), test::backend_name);

TEST_P(EncoderChannelsOnDevice, AgreeWithTheCpu) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  const auto moments = in_the_fourier_basis(observed(3, 9));
  const auto expected = channels_of<double>(cpu, moments.first, moments.second);
  const auto found =
      channels_of<double>(ctx, upload(ctx, moments.first), upload(ctx, moments.second));
  EXPECT_LT(relative_difference(download(ctx, found.from_first), expected.from_first), 1e-12);
  EXPECT_LT(relative_difference(download(ctx, found.from_second), expected.from_second), 1e-12);
}

}  // namespace
}  // namespace orrery
