#include "kernels/slices.hpp"

#include <array>
#include <complex>
#include <numbers>
#include <vector>

#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery::test {
namespace {

using Vector = std::array<double, 3>;
using Matrix = std::array<std::array<double, 3>, 3>;

Matrix product(const Matrix& a, const Matrix& b) {
  Matrix c{};
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j)
      for (int k = 0; k < 3; ++k) c[i][j] += a[i][k] * b[k][j];
  return c;
}

Matrix about_z(double angle) {
  const double c = std::cos(angle), s = std::sin(angle);
  return {{{c, -s, 0}, {s, c, 0}, {0, 0, 1}}};
}

Matrix about_x(double angle) {
  const double c = std::cos(angle), s = std::sin(angle);
  return {{{1, 0, 0}, {0, c, -s}, {0, s, c}}};
}

Matrix some_rotation(int seed) {
  return product(about_z(0.3 + seed), product(about_x(1.1 + 0.7 * seed), about_z(2.0 - seed)));
}

/// S_g as the header defines it.
Matrix symmetry(int g) {
  const Matrix turn = about_z((g % 4) * std::numbers::pi / 2);
  const Matrix behind = {{{1, 0, 0}, {0, -1, 0}, {0, 0, -1}}};
  return g < 4 ? turn : product(turn, behind);
}

/// The transform of point masses, sum_a w_a exp(-i k.x_a): Hermitian, and known at any frequency.
struct PointMasses {
  std::vector<Vector> position;
  std::vector<double> weight;

  explicit PointMasses(int count) {
    RandomSequence random(5, 0);
    for (int a = 0; a < count; ++a) {
      position.push_back({random.normal(), random.normal(), random.normal()});
      weight.push_back(random.normal());
    }
  }

  std::complex<double> operator()(const Vector& k) const {
    std::complex<double> total = 0;
    for (std::size_t a = 0; a < weight.size(); ++a) {
      const Vector& x = position[a];
      total += weight[a] * std::polar(1.0, -(k[0] * x[0] + k[1] * x[1] + k[2] * x[2]));
    }
    return total;
  }

  /// The slice of R at (kx, ky): the transform at R^T (kx, ky, 0).
  std::complex<double> slice(const Matrix& r, double kx, double ky) const {
    Vector k;
    for (int d = 0; d < 3; ++d) k[d] = r[0][d] * kx + r[1][d] * ky;
    return (*this)(k);
  }
};

Tensor<double, 3> as_tensor(const std::vector<Matrix>& rotations) {
  Tensor<double, 3> t(Context::cpu(1), Index(rotations.size()), 3, 3);
  for (std::size_t b = 0; b < rotations.size(); ++b)
    for (int i = 0; i < 3; ++i)
      for (int j = 0; j < 3; ++j) t(b, i, j) = rotations[b][i][j];
  return t;
}

const Context cpu = Context::cpu();

TEST(SliceCoordinates, AreTheRotatedHalfPlane) {
  const std::vector<Matrix> rotations = {some_rotation(0), some_rotation(1), about_z(0.4)};
  for (int n : {1, 3, 7, 25}) {
    const int h = (n - 1) / 2;
    const Index points = (n * n + 1) / 2;
    Tensor<double, 3> x(cpu, 3, points, 3);
    slice_coordinates<double>(cpu, n, 0.25, as_tensor(rotations), x);
    // The half plane in order: the rest of the middle row from the origin on, then rows ky > 0.
    for (int b = 0; b < 3; ++b) {
      Index p = 0;
      for (int ky = 0; ky <= h; ++ky)
        for (int kx = ky == 0 ? 0 : -h; kx <= h; ++kx, ++p)
          for (int d = 0; d < 3; ++d)
            ASSERT_NEAR(x(b, p, d), 0.25 * (rotations[b][0][d] * kx + rotations[b][1][d] * ky),
                        1e-14);
      ASSERT_EQ(p, points);
    }
  }
}

TEST(HartleyPack, OfATinyHalfPlane) {
  // n = 3: P = 5 points, the origin at index 4.
  Tensor<double, 3> half(cpu, 1, 5, 2);
  const double numbers[5][2] = {{7, 0}, {1, 2}, {3, -1}, {0, 5}, {-2, 4}};
  for (int p = 0; p < 5; ++p)
    for (int part = 0; part < 2; ++part) half(0, p, part) = numbers[p][part];
  Tensor<double, 2> h(cpu, 1, 9);
  hartley_pack<double>(cpu, half, h);
  const double expected[9] = {2, 5, 2, 3, 7, -1, 4, -5, -6};
  for (int i = 0; i < 9; ++i) EXPECT_EQ(h(0, i), expected[i]) << i;
}

TEST(HartleyPack, KeepsTheSumOfSquaresOfTheFullComplexPlane) {
  const Index slices = 3, points = 85;  // n = 13
  auto half = random_tensor<double>(1, slices, points, 2);
  Tensor<double, 2> h(cpu, slices, 2 * points - 1);
  hartley_pack<double>(cpu, half, h);
  for (Index b = 0; b < slices; ++b) {
    double complex_plane = half(b, 0, 0) * half(b, 0, 0), packed = 0;
    for (Index p = 1; p < points; ++p)
      complex_plane += 2 * (half(b, p, 0) * half(b, p, 0) + half(b, p, 1) * half(b, p, 1));
    for (Index i = 0; i < 2 * points - 1; ++i) packed += h(b, i) * h(b, i);
    EXPECT_NEAR(packed, complex_plane, 1e-12 * complex_plane);
  }
}

TEST(HartleyPack, IsUndoneByUnpack) {
  auto half = random_tensor<double>(2, 4, 25, 2);   // n = 7
  for (Index b = 0; b < 4; ++b) half(b, 0, 1) = 0;  // the origin of a Hermitian slice is real
  Tensor<double, 2> h(cpu, 4, 49);
  Tensor<double, 3> again(cpu, 4, 25, 2);
  hartley_pack<double>(cpu, half, h);
  hartley_unpack<double>(cpu, h, again);
  EXPECT_LT(relative_difference(again, half), 1e-15);
}

TEST(HartleyPack, AdjointMatches) {
  auto x = random_tensor<double>(3, 5, 61, 2);  // n = 11
  auto y = random_tensor<double>(4, 5, 121);
  Tensor<double, 2> ax(cpu, 5, 121);
  Tensor<double, 3> aty(cpu, 5, 61, 2);
  hartley_pack<double>(cpu, x, ax);
  hartley_pack_adjoint<double>(cpu, y, aty);
  EXPECT_NEAR(inner_product(ax.view().flat(), y.view().flat()),
              inner_product(x.view().flat(), aty.view().flat()), 1e-11);
}

/// Views S_g R_b, evaluated on their own, equal the expanded copies of the slice at R_b.
TEST(ExpandCopies, AreTheSlicesOfTurnedViews) {
  const PointMasses volume(6);
  const std::vector<Matrix> rotations = {some_rotation(0), some_rotation(2)};
  for (int n : {3, 9}) {
    const int h = (n - 1) / 2;
    const Index points = (n * n + 1) / 2, grid = n * n, slices = rotations.size();
    Tensor<double, 3> x(cpu, slices, points, 3), half(cpu, slices, points, 2);
    slice_coordinates<double>(cpu, n, 1.0, as_tensor(rotations), x);
    for (Index b = 0; b < slices; ++b)
      for (Index p = 0; p < points; ++p) {
        const auto value = volume({x(b, p, 0), x(b, p, 1), x(b, p, 2)});
        half(b, p, 0) = value.real();
        half(b, p, 1) = value.imag();
      }
    Tensor<double, 2> base(cpu, slices, grid);
    hartley_pack<double>(cpu, half, base);

    for (int copies : {1, 4, 8}) {
      Tensor<double, 2> full(cpu, slices * copies, grid);
      expand_copies<double>(cpu, n, copies, base, full);
      for (Index b = 0; b < slices; ++b)
        for (int g = 0; g < copies; ++g) {
          const Matrix view = product(symmetry(g), rotations[b]);
          for (int iy = 0; iy < n; ++iy)
            for (int ix = 0; ix < n; ++ix) {
              const auto s = volume.slice(view, ix - h, iy - h);
              ASSERT_NEAR(full(b * copies + g, iy * n + ix), s.real() - s.imag(), 1e-12)
                  << "n " << n << ", slice " << b << ", copy " << g << " of " << copies << ", kx "
                  << ix - h << ", ky " << iy - h;
            }
        }
    }
  }
}

TEST(ExpandCopies, AdjointMatches) {
  const int n = 7;
  for (int copies : {1, 4, 8}) {
    auto x = random_tensor<double>(6, 3, n * n);
    auto y = random_tensor<double>(7, 3 * copies, n * n);
    Tensor<double, 2> ax(cpu, 3 * copies, n * n), aty(cpu, 3, n * n);
    expand_copies<double>(cpu, n, copies, x, ax);
    expand_copies_adjoint<double>(cpu, n, copies, y, aty);
    EXPECT_NEAR(inner_product(ax.view().flat(), y.view().flat()),
                inner_product(x.view().flat(), aty.view().flat()), 1e-11);
  }
}

TEST(WeighCoefficients, MultipliesColumns) {
  const auto weights = random_tensor<double>(8, 49);
  const auto before = random_tensor<double>(9, 5, 49);
  auto after = random_tensor<double>(9, 5, 49);
  weigh_coefficients<double>(cpu, weights, after);
  for (Index b = 0; b < 5; ++b)
    for (Index i = 0; i < 49; ++i) EXPECT_EQ(after(b, i), before(b, i) * weights(i));
}

// s'(k) = s(k) exp(-2 pi i k.shift / n), with h(k) = Re s(k) - Im s(k).
TEST(ShiftSlices, MultipliesByTheWaveOfTheShift) {
  const int n = 5;
  const auto shifts = random_tensor<double>(6, 3, 2);
  const auto half = random_tensor<double>(7, 3, 13, 2);
  Tensor<double, 2> h(cpu, 3, 25);
  hartley_pack<double>(cpu, half, h);
  shift_slices<double>(cpu, n, shifts, h);
  for (int b = 0; b < 3; ++b)
    for (int p = 0; p < 13; ++p) {
      const int kx = (12 + p) % n - 2, ky = (12 + p) / n - 2;
      const auto s =
          std::complex<double>(half(b, p, 0), p == 0 ? 0 : half(b, p, 1)) *
          std::polar(1.0, -2 * std::numbers::pi / n * (kx * shifts(b, 0) + ky * shifts(b, 1)));
      EXPECT_NEAR(h(b, 12 + p), s.real() - s.imag(), 1e-14);
      EXPECT_NEAR(h(b, 12 - p), s.real() + s.imag(), 1e-14);
    }
}

TEST(Slices, RejectWrongShapes) {
  Tensor<float, 3> rotations(cpu, 2, 3, 3), x(cpu, 2, 5, 3), half(cpu, 2, 5, 2);
  Tensor<float, 2> h(cpu, 2, 9), full(cpu, 8, 9);
  EXPECT_THROW(slice_coordinates<float>(cpu, 4, 1, rotations, x), std::invalid_argument);
  EXPECT_THROW(slice_coordinates<float>(cpu, 5, 1, rotations, x), std::invalid_argument);
  EXPECT_THROW(slice_coordinates<float>(cpu, 3, 1, x, x), std::invalid_argument);
  EXPECT_THROW(hartley_pack<float>(cpu, x, h), std::invalid_argument);
  EXPECT_THROW(hartley_pack<float>(cpu, half, full), std::invalid_argument);
  EXPECT_THROW(hartley_pack_adjoint<float>(cpu, full, half), std::invalid_argument);
  EXPECT_THROW(hartley_unpack<float>(cpu, full, half), std::invalid_argument);
  EXPECT_THROW(expand_copies<float>(cpu, 3, 2, h, full), std::invalid_argument);
  EXPECT_THROW(expand_copies<float>(cpu, 2, 4, h, full), std::invalid_argument);
  EXPECT_THROW(expand_copies<float>(cpu, 3, 8, h, full), std::invalid_argument);
  EXPECT_THROW(expand_copies_adjoint<float>(cpu, 3, 8, full, h), std::invalid_argument);
  EXPECT_THROW(weigh_coefficients<float>(cpu, Tensor<float, 1>(cpu, 8), full),
               std::invalid_argument);
  EXPECT_THROW(shift_slices<float>(cpu, 3, h, h), std::invalid_argument);
  EXPECT_THROW(shift_slices<float>(cpu, 4, Tensor<float, 2>(cpu, 2, 2), h), std::invalid_argument);
  full = Tensor<float, 2>::zeros(cpu, 8, 9);
  EXPECT_NO_THROW(expand_copies_adjoint<float>(cpu, 3, 4, full, h));
}

class SlicesParity : public testing::TestWithParam<BackendUnderTest> {
 protected:
  template <class T>
  static std::vector<Tensor<T, 1>> all(const Context& ctx, int n, int copies) {
    const Index slices = 5, grid = n * n, points = (grid + 1) / 2;
    Tensor<T, 3> x(ctx, slices, points, 3), dhalf(ctx, slices, points, 2),
        unpacked(ctx, slices, points, 2);
    Tensor<T, 2> h(ctx, slices, grid), full(ctx, slices * copies, grid), dh(ctx, slices, grid);
    slice_coordinates<T>(ctx, n, T(0.5), upload(ctx, random_tensor<T>(1, slices, 3, 3)), x);
    hartley_pack<T>(ctx, upload(ctx, random_tensor<T>(2, slices, points, 2)), h);
    expand_copies<T>(ctx, n, copies, h, full);
    weigh_coefficients<T>(ctx, upload(ctx, random_tensor<T>(4, grid)), full);
    shift_slices<T>(ctx, n, upload(ctx, random_tensor<T>(5, slices * copies, 2)), full);
    expand_copies_adjoint<T>(ctx, n, copies,
                             upload(ctx, random_tensor<T>(3, slices * copies, grid)), dh);
    hartley_pack_adjoint<T>(ctx, dh, dhalf);
    hartley_unpack<T>(ctx, dh, unpacked);
    std::vector<Tensor<T, 1>> results;
    for (auto result : {x.view().flat(), h.view().flat(), full.view().flat(), dhalf.view().flat(),
                        unpacked.view().flat()})
      results.push_back(download(ctx, result));
    return results;
  }

  template <class T>
  void expect_parity(double tolerance) {
    ORRERY_REQUIRE_BACKEND(GetParam());
    const Context device = make_context(GetParam());
    for (const auto& [n, copies] : {std::pair{1, 4}, {3, 1}, {13, 8}, {25, 4}}) {
      const auto expected = all<T>(cpu, n, copies), found = all<T>(device, n, copies);
      for (std::size_t i = 0; i < expected.size(); ++i)
        EXPECT_LT(relative_difference(found[i], expected[i]), tolerance)
            << "n " << n << ", result " << i;
    }
  }
};

TEST_P(SlicesParity, MatchesTheCpuInSinglePrecision) { expect_parity<float>(1e-6); }
TEST_P(SlicesParity, MatchesTheCpuInDoublePrecision) { expect_parity<double>(1e-14); }

INSTANTIATE_TEST_SUITE_P(Backends, SlicesParity, testing::ValuesIn(device_backends()),
                         [](const auto& test) { return backend_name(test); });

}  // namespace
}  // namespace orrery::test
