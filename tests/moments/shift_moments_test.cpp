#include "moments/shift_moments.hpp"

#include <gtest/gtest.h>

#include "kernels/gemm.hpp"
#include "kernels/real_fourier.hpp"
#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

using test::random_tensor;
using test::relative_difference;

const Context cpu = Context::cpu(2);

template <class T>
struct Moments {
  Tensor<T, 2> first;
  Tensor<T, 3> second;
};

template <class T>
Moments<T> moments_of(const Context& ctx, View<const T, 2> signal, View<const T, 2> density) {
  const Index batch = signal.extent(0), n = signal.extent(1);
  Moments<T> moments{Tensor<T, 2>(ctx, batch, n), Tensor<T, 3>(ctx, batch, n, n)};
  shift_moments_forward<T>(ctx, signal, density, moments.first, moments.second);
  return moments;
}

/// The definition: every shift of the signal, weighted by its probability.
Moments<double> averaged_over_shifts(const Tensor<double, 2>& signal,
                                     const Tensor<double, 2>& density) {
  const Index batch = signal.extent(0), n = signal.extent(1);
  Moments<double> moments{Tensor<double, 2>::zeros(cpu, batch, n),
                          Tensor<double, 3>::zeros(cpu, batch, n, n)};
  for (Index b = 0; b < batch; ++b)
    for (Index s = 0; s < n; ++s) {
      std::vector<double> shifted(n);
      for (Index i = 0; i < n; ++i) shifted[(i + s) % n] = signal(b, i);
      for (Index i = 0; i < n; ++i) {
        moments.first(b, i) += density(b, s) * shifted[i];
        for (Index j = 0; j < n; ++j)
          moments.second(b, i, j) += density(b, s) * shifted[i] * shifted[j];
      }
    }
  return moments;
}

TEST(ShiftMoments, TwoSamplesByHand) {
  Tensor<double, 2> signal(cpu, 1, 2), density(cpu, 1, 2);
  signal(0, 0) = 3, signal(0, 1) = 1;  // shifts: (3, 1) and (1, 3)
  density(0, 0) = 0.75, density(0, 1) = 0.25;
  const auto moments = moments_of<double>(cpu, signal, density);
  EXPECT_DOUBLE_EQ(moments.first(0, 0), 2.5);
  EXPECT_DOUBLE_EQ(moments.first(0, 1), 1.5);
  EXPECT_DOUBLE_EQ(moments.second(0, 0, 0), 0.75 * 9 + 0.25);
  EXPECT_DOUBLE_EQ(moments.second(0, 0, 1), 3);
  EXPECT_DOUBLE_EQ(moments.second(0, 1, 0), 3);
  EXPECT_DOUBLE_EQ(moments.second(0, 1, 1), 0.75 + 0.25 * 9);
}

class ShiftMomentsOfLength : public testing::TestWithParam<Index> {};
INSTANTIATE_TEST_SUITE_P(Lengths, ShiftMomentsOfLength, testing::Values(1, 2, 5, 8, 17));

TEST_P(ShiftMomentsOfLength, AreAveragesOverShifts) {
  const auto signal = random_tensor<double>(1, 3, GetParam());
  const auto density = random_tensor<double>(2, 3, GetParam());
  const auto expected = averaged_over_shifts(signal, density);
  const auto found = moments_of<double>(cpu, signal, density);
  EXPECT_LT(relative_difference(found.first, expected.first), 1e-13);
  EXPECT_LT(relative_difference(found.second, expected.second), 1e-13);
}

TEST_P(ShiftMomentsOfLength, GradientsMatchDifferences) {
  const Index batch = 2, n = GetParam();
  auto signal = random_tensor<double>(3, batch, n), density = random_tensor<double>(4, batch, n);
  // A loss with a gradient that is not symmetric: inner products with random numbers.
  const auto dfirst = random_tensor<double>(5, batch, n);
  const auto dsecond = random_tensor<double>(6, batch, n, n);
  auto loss = [&] {
    const auto moments = moments_of<double>(cpu, signal, density);
    return test::inner_product(moments.first.view().flat(), dfirst.view().flat()) +
           test::inner_product(moments.second.view().flat(), dsecond.view().flat());
  };
  Tensor<double, 2> dsignal(cpu, batch, n), ddensity(cpu, batch, n);
  shift_moments_backward<double>(cpu, signal, density, dfirst, dsecond, dsignal, ddensity);
  test::expect_gradient(loss, signal.view().flat(), dsignal.view().flat());
  test::expect_gradient(loss, density.view().flat(), ddensity.view().flat());
}

/// Coefficients of every signal of a batch: C = X Q^T.
Tensor<double, 2> coefficients(const Tensor<double, 2>& signals) {
  auto c = tensor_like<double>(cpu, signals.view());
  gemm<double>(cpu, Transpose::no, Transpose::yes, 1, signals,
               real_fourier_basis<double>(cpu, signals.extent(1)), 0, c);
  return c;
}

TEST(FourierShiftMoments, AreTheMomentsInTheRealFourierBasis) {
  for (const Index n : {1, 3, 7, 16 + 1}) {
    const auto signal = random_tensor<double>(7, 2, n), density = random_tensor<double>(8, 2, n);
    const auto moments = averaged_over_shifts(signal, density);
    const auto basis = real_fourier_basis<double>(cpu, n);
    Tensor<double, 2> first(cpu, 2, n);
    Tensor<double, 3> second(cpu, 2, n, n);
    fourier_shift_moments<double>(cpu, coefficients(signal), coefficients(density), first, second);
    EXPECT_LT(relative_difference(first, coefficients(moments.first)), 1e-12) << n;
    for (Index b = 0; b < 2; ++b) {
      Tensor<double, 2> half(cpu, n, n), turned(cpu, n, n);
      gemm<double>(cpu, Transpose::no, Transpose::yes, 1, moments.second.view()[b], basis, 0, half);
      gemm<double>(cpu, Transpose::no, Transpose::no, 1, basis, half, 0, turned);
      EXPECT_LT(relative_difference(second.view()[b], turned.view()), 1e-12) << n;
    }
  }
}

TEST(ShiftMoments, RefuseUnfitShapes) {
  Tensor<float, 2> signal(cpu, 2, 5), density(cpu, 2, 4), first(cpu, 2, 5);
  Tensor<float, 3> second(cpu, 2, 5, 5), wrong(cpu, 2, 5, 4);
  EXPECT_THROW(shift_moments_forward<float>(cpu, signal, density, first, second),
               std::invalid_argument);
  EXPECT_THROW(shift_moments_forward<float>(cpu, signal, signal, first, wrong),
               std::invalid_argument);
  EXPECT_THROW(shift_moments_backward<float>(cpu, signal, signal, first, second, signal, density),
               std::invalid_argument);
  Tensor<float, 2> even(cpu, 2, 4);
  Tensor<float, 3> even_second(cpu, 2, 4, 4);
  EXPECT_THROW(fourier_shift_moments<float>(cpu, even, even, even, even_second),
               std::invalid_argument);
}

class ShiftMomentsOnDevice : public testing::TestWithParam<test::BackendUnderTest> {};
INSTANTIATE_TEST_SUITE_P(Backends, ShiftMomentsOnDevice, testing::ValuesIn(test::device_backends()),
                         test::backend_name);

TEST_P(ShiftMomentsOnDevice, AgreeWithTheCpu) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  const Index batch = 3, n = 13;
  const auto signal = random_tensor<float>(9, batch, n),
             density = random_tensor<float>(10, batch, n);
  const auto dfirst = random_tensor<float>(11, batch, n);
  const auto dsecond = random_tensor<float>(12, batch, n, n);
  auto all = [&](const Context& where) {
    const auto v = upload(where, signal), p = upload(where, density);
    auto moments = moments_of<float>(where, v, p);
    Tensor<float, 2> dv(where, batch, n), dp(where, batch, n), first(where, batch, n);
    shift_moments_backward<float>(where, v, p, upload(where, dfirst), upload(where, dsecond), dv,
                                  dp);
    Tensor<float, 3> second(where, batch, n, n);
    fourier_shift_moments<float>(where, v, p, first, second);
    std::vector<Tensor<float, 1>> results;
    for (auto numbers :
         {moments.first.view().flat(), moments.second.view().flat(), dv.view().flat(),
          dp.view().flat(), first.view().flat(), second.view().flat()})
      results.push_back(download(where, numbers));
    return results;
  };
  const auto expected = all(cpu), found = all(ctx);
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_LT(relative_difference(found[i], expected[i]), 1e-6) << "result " << i;
}

}  // namespace
}  // namespace orrery
