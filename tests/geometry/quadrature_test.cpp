#include "geometry/quadrature.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/check.hpp"
#include "kernels/slices.hpp"

namespace orrery {
namespace {

constexpr double pi = std::numbers::pi;

double largest_difference(const Rotation& a, const Rotation& b) {
  double largest = 0;
  for (int i = 0; i < 9; ++i) largest = std::max(largest, std::abs(a.matrix[i] - b.matrix[i]));
  return largest;
}

SphericalDesign octahedron() {
  return {{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {-1, 0, 0}, {0, -1, 0}, {0, 0, -1}}, 3, true};
}

// Each view of `a` has exactly one view of `b` within 1e-12, and they agree on their directions.
void expect_same_views(const Quadrature& a, const Quadrature& b) {
  ASSERT_EQ(a.view_count(), b.view_count());
  std::vector<int> matched(b.views.size(), 0);
  for (int j = 0; j < a.view_count(); ++j)
    for (int i = 0; i < b.view_count(); ++i)
      if (largest_difference(a.views[j], b.views[i]) < 1e-12) {
        matched[i] += 1;
        EXPECT_EQ(a.direction_of[j], b.direction_of[i]);
      }
  for (int matches : matched) ASSERT_EQ(matches, 1);
}

void expect_consistent(const Quadrature& q) {
  ASSERT_EQ(q.view_count(), q.direction_count() * q.angles);
  ASSERT_EQ(q.view_count(), q.copies * static_cast<int>(q.distinct.size()));
  ASSERT_EQ(q.direction_of.size(), q.views.size());
  std::vector<int> views_along(q.direction_count(), 0);
  for (int j = 0; j < q.view_count(); ++j) {
    const Rotation& view = q.views[j];
    EXPECT_EQ(view.matrix, (grid_symmetry(j % q.copies) * q.distinct[j / q.copies]).matrix);
    EXPECT_NEAR(determinant(view), 1, 1e-14);
    for (int axis = 0; axis < 3; ++axis)
      EXPECT_NEAR(view.direction()[axis], q.design.points[q.direction_of[j]][axis], 1e-14);
    views_along[q.direction_of[j]] += 1;
  }
  for (int views : views_along) EXPECT_EQ(views, q.angles);
}

TEST(GridSymmetry, IsWhatTheKernelsCopy) {
  const Rotation from_behind{{1, 0, 0, 0, -1, 0, 0, 0, -1}};
  for (int g = 0; g < 4; ++g) {
    EXPECT_LT(largest_difference(grid_symmetry(g), rotation_about_z(g * pi / 2)), 1e-15);
    EXPECT_LT(largest_difference(grid_symmetry(g + 4), rotation_about_z(g * pi / 2) * from_behind),
              1e-15);
  }
  EXPECT_THROW(grid_symmetry(8), std::invalid_argument);
  EXPECT_THROW(grid_symmetry(-1), std::invalid_argument);
}

TEST(Quadrature, ThePapersSizeNeedsAnEighthOfItsSlices) {
  const SphericalDesign design = spherical_design(100, true);
  const Quadrature full = make_quadrature(design, 12);
  const Quadrature fourfold = make_quadrature(design, 12, Reductions::fourfold);
  const Quadrature none = make_quadrature(design, 12, Reductions::none);
  EXPECT_EQ(full.copies, 8);
  EXPECT_EQ(full.distinct.size(), 150u);
  EXPECT_EQ(fourfold.copies, 4);
  EXPECT_EQ(fourfold.distinct.size(), 300u);
  EXPECT_EQ(none.copies, 1);
  EXPECT_EQ(none.distinct.size(), 1200u);
  for (const Quadrature* q : {&full, &fourfold, &none}) expect_consistent(*q);
  expect_same_views(full, none);
  expect_same_views(fourfold, none);
}

TEST(Quadrature, ReductionsKeepTheViewsAtThePolesToo) {
  const Quadrature full = make_quadrature(octahedron(), 8);
  const Quadrature none = make_quadrature(octahedron(), 8, Reductions::none);
  EXPECT_EQ(full.copies, 8);
  expect_consistent(full);
  expect_same_views(full, none);
}

TEST(Quadrature, ReductionsAreLoweredToWhatIsAllowed) {
  const SphericalDesign antipodal = octahedron();
  SphericalDesign general = octahedron();
  general.antipodal = false;
  EXPECT_EQ(make_quadrature(antipodal, 4).copies, 8);
  EXPECT_EQ(make_quadrature(general, 4).copies, 4);
  for (int angles : {1, 2, 3, 5, 6, 7, 10}) {
    const Quadrature q = make_quadrature(antipodal, angles);
    EXPECT_EQ(q.copies, 1);
    expect_consistent(q);
  }
  EXPECT_EQ(make_quadrature(general, 4, Reductions::fourfold).copies, 4);
  EXPECT_EQ(make_quadrature(antipodal, 4, Reductions::none).copies, 1);
}

// In-plane angles are equispaced: along each direction, RELION's psi takes the values
// -360 a / angles degrees.
TEST(Quadrature, InPlaneAnglesAreEquispaced) {
  for (int angles : {1, 5, 12}) {
    const Quadrature q = make_quadrature(spherical_design(14, true), angles);
    for (int d = 0; d < q.direction_count(); ++d) {
      std::vector<int> found(angles, 0);
      for (int j = 0; j < q.view_count(); ++j) {
        if (q.direction_of[j] != d) continue;
        const double steps = -to_euler(q.views[j]).psi * angles / 360;
        EXPECT_NEAR(steps, std::round(steps), 1e-10);
        found[(std::lround(steps) + angles) % angles] += 1;
      }
      for (int views : found) EXPECT_EQ(views, 1);
    }
  }
}

// Over SO(3), u.Rv is uniform in [-1, 1] for unit u and v, so (u.Rv)^p averages to 1/(p+1) for even
// p and to 0 for odd p. It is of degree p: exact up to strength 13 and below 12 in-plane angles.
TEST(Quadrature, IntegratesPolynomialsOfRotationsExactly) {
  RandomSequence random(21, 0);
  for (bool antipodal : {true, false}) {
    const Quadrature q = make_quadrature(spherical_design(100, antipodal), 12);
    for (int p = 0; p < 12; ++p) {
      const Vector3 u = normalised({random.normal(), random.normal(), random.normal()});
      const Vector3 v = normalised({random.normal(), random.normal(), random.normal()});
      double average = 0;
      for (const Rotation& view : q.views) average += std::pow(dot(u, view * v), p);
      average /= q.view_count();
      EXPECT_NEAR(average, p % 2 ? 0 : 1.0 / (p + 1), 1e-14) << "degree " << p;
    }
  }
}

// The trace is the character of the three-dimensional representation: its powers average to the
// number of invariants in its tensor powers, 1, 0, 1, 1, 3, 6, 15.
TEST(Quadrature, IntegratesCharacters) {
  const Quadrature q = make_quadrature(spherical_design(50, true), 8);
  const double invariants[] = {1, 0, 1, 1, 3, 6, 15};
  for (int p = 0; p < 7; ++p) {
    double average = 0;
    for (const Rotation& view : q.views)
      average += std::pow(view(0, 0) + view(1, 1) + view(2, 2), p);
    EXPECT_NEAR(average / q.view_count(), invariants[p], 1e-12);
  }
}

// A function of the slice's points, evaluated on the distinct views and copied by the kernel, must
// be what it is on every view.
TEST(Quadrature, ViewsAreInTheOrderOfTheKernelsCopies) {
  constexpr int n = 5;
  auto f = [](const Vector3& k) {
    return std::sin(0.7 * k[0] + 1.1 * k[1] - 0.4 * k[2] + 0.2) + 0.3 * k[0] * k[2] - 0.1 * k[1];
  };
  auto slices = [&](const std::vector<Rotation>& rotations) {
    Tensor<double, 2> values(Context::cpu(1), static_cast<Index>(rotations.size()), n * n);
    for (std::size_t b = 0; b < rotations.size(); ++b)
      for (int i = 0; i < n * n; ++i)
        values(b, i) = f(transposed(rotations[b]) * Vector3({i % n - 2.0, i / n - 2.0, 0}));
    return values;
  };
  for (Reductions reductions : {Reductions::none, Reductions::fourfold, Reductions::full}) {
    const Quadrature q = make_quadrature(octahedron(), 8, reductions);
    const auto base = slices(q.distinct);
    const auto expected = slices(q.views);
    Tensor<double, 2> copied(Context::cpu(1), q.view_count(), n * n);
    expand_copies<double>(Context::cpu(1), n, q.copies, base.view(), copied.view());
    for (int j = 0; j < q.view_count(); ++j)
      for (int i = 0; i < n * n; ++i) EXPECT_NEAR(copied(j, i), expected(j, i), 1e-14);
  }
}

TEST(Quadrature, RejectsWhatItCannotUse) {
  EXPECT_THROW(make_quadrature(octahedron(), 0), InputError);
  EXPECT_THROW(make_quadrature(octahedron(), -4), InputError);
  SphericalDesign unpaired = octahedron();
  std::swap(unpaired.points[0], unpaired.points[1]);
  EXPECT_THROW(make_quadrature(unpaired, 12), std::runtime_error);
}

}  // namespace
}  // namespace orrery
