#include "kernels/fft.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

using Complex = std::complex<double>;

template <class T, class... Extents>
auto random_complex(std::uint64_t seed, Extents... extents) {
  Tensor<std::complex<T>, sizeof...(Extents)> tensor(Context::cpu(1), extents...);
  RandomSequence random(seed, 0);
  for (auto& x : tensor.view())
    x = {static_cast<T>(random.normal()), static_cast<T>(random.normal())};
  return tensor;
}

/// ||a - b|| / ||b||
template <class T, class U, int Rank>
double relative_difference(const Tensor<std::complex<T>, Rank>& a,
                           const Tensor<std::complex<U>, Rank>& b) {
  double difference = 0, norm = 0;
  for (Index i = 0; i < b.size(); ++i) {
    difference += std::norm(Complex(a.data()[i]) - Complex(b.data()[i]));
    norm += std::norm(Complex(b.data()[i]));
  }
  return std::isnan(difference) ? INFINITY : std::sqrt(difference / norm);
}

// exp(-+ 2 pi i (k - h)(x - h) / n) / sqrt(n), h = floor(n/2): the matrix of one dimension.
Complex dft_entry(FftDirection direction, Index n, Index k, Index x) {
  const double sign = direction == FftDirection::forward ? -1 : 1;
  const double turns = double((k - n / 2) * (x - n / 2) % n) / double(n);
  return std::polar(1 / std::sqrt(double(n)), sign * 2 * M_PI * turns);
}

// y[b,k1,k2,k3] = sum_x F1[k1,x1] F2[k2,x2] F3[k3,x3] v[b,x1,x2,x3], term by term.
template <class T>
Tensor<Complex, 4> direct_dft(FftDirection direction, const Tensor<std::complex<T>, 4>& v) {
  const Index n1 = v.extent(1), n2 = v.extent(2), n3 = v.extent(3);
  Tensor<Complex, 4> y(Context::cpu(1), v.extent(0), n1, n2, n3);
  for (Index b = 0; b < v.extent(0); ++b)
    for (Index k1 = 0; k1 < n1; ++k1)
      for (Index k2 = 0; k2 < n2; ++k2)
        for (Index k3 = 0; k3 < n3; ++k3) {
          Complex total = 0;
          for (Index x1 = 0; x1 < n1; ++x1)
            for (Index x2 = 0; x2 < n2; ++x2) {
              const Complex factor =
                  dft_entry(direction, n1, k1, x1) * dft_entry(direction, n2, k2, x2);
              for (Index x3 = 0; x3 < n3; ++x3)
                total += factor * dft_entry(direction, n3, k3, x3) * Complex(v(b, x1, x2, x3));
            }
          y(b, k1, k2, k3) = total;
        }
  return y;
}

/// The transform over as many dimensions as v has beyond leading ones.
template <class T>
void transform(const Context& ctx, FftDirection direction, int rank, View<std::complex<T>, 4> v) {
  const Index b = v.extent(0), n1 = v.extent(1), n2 = v.extent(2), n3 = v.extent(3);
  if (rank == 1) fft_1d<T>(ctx, direction, v.reshaped(b, n3));
  if (rank == 2) fft_2d<T>(ctx, direction, v.reshaped(b, n2, n3));
  if (rank == 3) fft_3d<T>(ctx, direction, v.reshaped(b, n1, n2, n3));
}

TEST(Fft, CentreBecomesConstantAndConstantBecomesCentre) {
  const Context ctx = Context::cpu(1);
  Complex v[] = {0, 0, 2, 0};  // length 4: index 2 is the origin
  fft_1d<double>(ctx, FftDirection::forward, {v, 1, 4});
  for (const Complex& y : v) EXPECT_NEAR(std::abs(y - Complex(1)), 0, 1e-15);
  fft_1d<double>(ctx, FftDirection::forward, {v, 1, 4});
  EXPECT_NEAR(std::abs(v[2] - Complex(2)), 0, 1e-15);
  for (const int i : {0, 1, 3}) EXPECT_NEAR(std::abs(v[i]), 0, 1e-15);
}

class FftOnBackends : public ::testing::TestWithParam<test::BackendUnderTest> {};
INSTANTIATE_TEST_SUITE_P(, FftOnBackends, ::testing::ValuesIn(test::all_backends()),
                         test::backend_name);

struct Shape {
  int rank;
  Index batch, n1, n2, n3;
};

// Lengths one, odd, even and prime; batches that leave a group of lines half full.
TEST_P(FftOnBackends, AgreesWithDirectSums) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  for (const Shape s : {Shape{1, 1, 1, 1, 1},
                        {1, 1, 1, 1, 2},
                        {1, 37, 1, 1, 5},
                        {1, 3, 1, 1, 64},
                        {1, 2, 1, 1, 101},
                        {2, 1, 1, 5, 5},
                        {2, 7, 1, 6, 11},
                        {2, 3, 1, 13, 4},
                        {2, 2, 1, 1, 17},
                        {3, 1, 5, 5, 5},
                        {3, 2, 3, 4, 7},
                        {3, 3, 8, 2, 1}})
    for (const auto direction : {FftDirection::forward, FftDirection::inverse}) {
      SCOPED_TRACE(::testing::Message() << "rank " << s.rank << ": " << s.batch << " of " << s.n1
                                        << " x " << s.n2 << " x " << s.n3);
      const auto v = random_complex<double>(1, s.batch, s.n1, s.n2, s.n3);
      auto on_v = upload(ctx, v);
      transform<double>(ctx, direction, s.rank, on_v);
      EXPECT_LT(relative_difference(download(ctx, on_v), direct_dft(direction, v)), 1e-13);

      const auto single = random_complex<float>(2, s.batch, s.n1, s.n2, s.n3);
      auto on_single = upload(ctx, single);
      transform<float>(ctx, direction, s.rank, on_single);
      EXPECT_LT(relative_difference(download(ctx, on_single), direct_dft(direction, single)), 1e-6);
    }
}

TEST_P(FftOnBackends, RoundTripIsTheIdentityAndNormsAreKept) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  const auto v = random_complex<double>(1, 2, 25, 30, 31);
  auto on_v = upload(ctx, v);
  fft_3d<double>(ctx, FftDirection::forward, on_v);
  const auto y = download(ctx, on_v);
  double before = 0, after = 0;
  for (Index i = 0; i < v.size(); ++i) {
    before += std::norm(v.data()[i]);
    after += std::norm(y.data()[i]);
  }
  EXPECT_NEAR(after / before, 1, 1e-13);
  fft_3d<double>(ctx, FftDirection::inverse, on_v);
  EXPECT_LT(relative_difference(download(ctx, on_v), v), 1e-14);
}

// Centred odd grids: the transform of a real signal has y(-k) = conj y(k), with -k at index n-1-i.
TEST_P(FftOnBackends, RealSignalsGiveHermitianTransforms) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  auto v = random_complex<double>(1, 1, 9, 15);
  for (auto& x : v.view()) x = x.real();
  auto on_v = upload(ctx, v);
  fft_2d<double>(ctx, FftDirection::forward, on_v);
  const auto y = download(ctx, on_v);
  for (Index i = 0; i < y.size(); ++i)
    EXPECT_NEAR(std::abs(y.data()[i] - std::conj(y.data()[y.size() - 1 - i])), 0, 1e-13);
}

TEST(Fft, DoesNotDependOnTheNumberOfThreads) {
  const auto v = random_complex<float>(1, 3, 31, 32, 33);
  auto with = [&](int threads) {
    const Context ctx = Context::cpu(threads);
    auto y = upload(ctx, v);
    fft_3d<float>(ctx, FftDirection::forward, y);
    return y;
  };
  const auto expected = with(1);
  for (const int threads : {2, 3, 5}) EXPECT_EQ(relative_difference(with(threads), expected), 0.0);
}

TEST(Fft, RefusesLengthsThatTheLibraryCannotCount) {
  const Context ctx = Context::cpu(1);
  const Index too_long = Index{1} << 31;
  const auto forward = FftDirection::forward;
  EXPECT_THROW(fft_1d<float>(ctx, forward, {nullptr, 1, too_long}), std::invalid_argument);
  EXPECT_THROW(fft_2d<double>(ctx, forward, {nullptr, 1, too_long, 2}), std::invalid_argument);
  EXPECT_THROW(fft_3d<float>(ctx, forward, {nullptr, 1, 2, 2, too_long}), std::invalid_argument);
}

TEST(Fft, NothingIsTransformedToNothing) {
  EXPECT_NO_THROW(fft_1d<float>(Context::cpu(1), FftDirection::forward, {nullptr, 0, 5}));
  EXPECT_NO_THROW(fft_2d<float>(Context::cpu(1), FftDirection::forward, {nullptr, 3, 0, 5}));
}

}  // namespace
}  // namespace orrery
