#include "geometry/spherical_design.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

#include "kernels/check.hpp"
#include "kernels/cholesky.hpp"
#include "kernels/gemm.hpp"
#include "kernels/tensor.hpp"

namespace orrery {
namespace {

constexpr double exact = 1e-12;  // residual of a design, and of its points' lengths

/// The conditions a design fulfils: averages of all real spherical harmonics of degrees 1 to
/// `highest`, or of the even degrees alone (the odd ones vanish on antipodal points).
struct Conditions {
  int highest = 0;
  bool even_only = false;

  bool includes(int degree) const { return degree > 0 && !(even_only && degree % 2); }
  Index count() const {
    const Index all = (highest + 1) * (highest + 1) - 1;
    const int even = highest - highest % 2;
    return even_only ? (even + 1) * (even + 2) / 2 - 1 : all;
  }
};

/// Two unit vectors that span the sphere's tangent plane at x.
std::array<Vector3, 2> tangents_at(const Vector3& x) {
  const Vector3 aside = std::abs(x[2]) < 0.9 ? Vector3{0, 0, 1} : Vector3{1, 0, 0};
  const Vector3 first = normalised(cross(aside, x));
  return {first, cross(x, first)};
}

Vector3 moved(const Vector3& x, const std::array<Vector3, 2>& tangents, double a, double b) {
  Vector3 y;
  for (int i = 0; i < 3; ++i) y[i] = x[i] + a * tangents[0][i] + b * tangents[1][i];
  return normalised(y);
}

/// Real spherical harmonics, scaled so that each has mean square 1 over the sphere, as polynomials
/// without singularities at the poles:
///   Y_{l,0} = q_{l,0}(z),  Y_{l,+-m} = sqrt(2) q_{l,m}(z) {Re, Im} (x + iy)^m,
/// where q_{l,m} is the normalised m-th derivative of the Legendre polynomial, by the recurrence
/// over the degree that is stable, and q'_{l,m} = sqrt((l-m)(l+m+1)) q_{l,m+1}.
class Harmonics {
 public:
  explicit Harmonics(const Conditions& conditions)
      : conditions_(conditions),
        order_count_(conditions.highest + 2),
        q_((conditions.highest + 1) * order_count_) {}

  /// Calls visit(row, value, gradient) for every condition; the gradient is the polynomial's, of
  /// which only the part along the sphere has a meaning.
  template <class Visit>
  void at(const Vector3& x, const Visit& visit) {
    const int highest = conditions_.highest;
    for (int m = 0; m <= highest; ++m) {
      q(m, m) = m == 0 ? 1 : q(m - 1, m - 1) * std::sqrt((2 * m + 1.0) / (2 * m));
      for (int l = m + 1; l <= highest; ++l) {
        const double l2 = double(l) * l, m2 = double(m) * m, p2 = (l - 1.0) * (l - 1.0);
        const double before = l > m + 1 ? q(l - 2, m) * std::sqrt((p2 - m2) / (4 * p2 - 1)) : 0;
        q(l, m) = std::sqrt((4 * l2 - 1) / (l2 - m2)) * (x[2] * q(l - 1, m) - before);
      }
    }

    double re = 1, im = 0, re_before = 0, im_before = 0;  // (x + iy)^m and its power m - 1
    for (int m = 0; m <= highest; ++m) {
      const double scale = m == 0 ? 1 : std::numbers::sqrt2;
      for (int l = std::max(m, 1); l <= highest; ++l) {
        if (!conditions_.includes(l)) continue;
        const double value = scale * q(l, m);
        const double slope = scale * std::sqrt(double(l - m) * (l + m + 1)) * q(l, m + 1);
        const double side = m * value;
        visit(row(l, m), value * re, Vector3{side * re_before, -side * im_before, slope * re});
        if (m > 0)
          visit(row(l, -m), value * im, Vector3{side * im_before, side * re_before, slope * im});
      }
      re_before = re;
      im_before = im;
      re = x[0] * re_before - x[1] * im_before;
      im = x[0] * im_before + x[1] * re_before;
    }
  }

 private:
  double& q(int l, int m) { return q_[l * order_count_ + m]; }
  Index row(int l, int m) const {
    const Index below = Conditions{l - 1, conditions_.even_only}.count();
    return below + l + m;
  }

  Conditions conditions_;
  int order_count_;
  std::vector<double> q_;  // (degree, order); orders above the degree stay zero
};

std::vector<double> averages(const std::vector<Vector3>& points, const Conditions& conditions) {
  std::vector<double> f(conditions.count(), 0.0);
  Harmonics harmonics(conditions);
  for (const Vector3& x : points)
    harmonics.at(x, [&](Index row, double value, const Vector3&) { f[row] += value; });
  for (double& average : f) average /= static_cast<double>(points.size());
  return f;
}

/// Derivatives of the averages by moves of the points along their two tangents: the transposed
/// Jacobian, (2 points, conditions).
Tensor<double, 2> slopes(const std::vector<Vector3>& points, const Conditions& conditions) {
  const Index count = static_cast<Index>(points.size());
  Tensor<double, 2> slope(Context::cpu(1), 2 * count, conditions.count());
  Harmonics harmonics(conditions);
  for (Index i = 0; i < count; ++i) {
    const auto tangents = tangents_at(points[i]);
    harmonics.at(points[i], [&](Index row, double, const Vector3& gradient) {
      slope(2 * i, row) = dot(gradient, tangents[0]) / static_cast<double>(count);
      slope(2 * i + 1, row) = dot(gradient, tangents[1]) / static_cast<double>(count);
    });
  }
  return slope;
}

double square_norm(const std::vector<double>& f) {
  double total = 0;
  for (double x : f) total += x * x;
  return total;
}

double largest_magnitude(const std::vector<double>& f) {
  double largest = 0;
  for (double x : f) largest = std::isnan(x) ? x : std::max(largest, std::abs(x));
  return largest;
}

/// Moves the points until the averages vanish. Each step is the shortest that would undo
/// them to first order, -J^T (J J^T + damping)^-1 f, so that the points hardly drift.
/// True when they vanish to a tenth of what a design may miss.
bool make_averages_vanish(std::vector<Vector3>& points, const Conditions& conditions) {
  constexpr int most_steps = 200, patience = 15;
  const Index unknowns = 2 * static_cast<Index>(points.size()), count = conditions.count();
  const Context ctx = Context::cpu(1);
  Tensor<double, 2> normal(ctx, count, count), damped(ctx, count, count);
  std::vector<double> f = averages(points, conditions);
  double damping = 1e-3, norm_some_steps_ago = square_norm(f);

  for (int step = 0; step < most_steps; ++step) {
    if (largest_magnitude(f) < 1e-15) break;
    if (step % patience == patience - 1) {
      if (square_norm(f) > 0.25 * norm_some_steps_ago) break;
      norm_some_steps_ago = square_norm(f);
    }
    const Tensor<double, 2> slope = slopes(points, conditions);
    symmetric_rank_k(ctx, 1.0, slope.view(), 0.0, normal.view());
    double mean_diagonal = 0;
    for (Index i = 0; i < count; ++i) mean_diagonal += normal(i, i) / static_cast<double>(count);

    bool improved = false;
    for (int trial = 0; trial < 12 && !improved; ++trial, damping *= 4) {
      copy(ctx, std::as_const(normal).view(), damped.view());
      for (Index i = 0; i < count; ++i) damped(i, i) += damping * mean_diagonal;
      std::vector<double> multipliers = f;
      if (!cholesky_factor(damped)) continue;
      cholesky_solve(damped, View<double, 1>(multipliers.data(), count));

      std::vector<double> move(unknowns, 0.0);
      for (Index u = 0; u < unknowns; ++u)
        for (Index c = 0; c < count; ++c) move[u] -= slope(u, c) * multipliers[c];
      std::vector<Vector3> next = points;
      for (std::size_t i = 0; i < points.size(); ++i)
        next[i] = moved(points[i], tangents_at(points[i]), move[2 * i], move[2 * i + 1]);
      std::vector<double> f_next = averages(next, conditions);
      if (square_norm(f_next) < square_norm(f)) {
        points = std::move(next);
        f = std::move(f_next);
        improved = true;
        damping = std::max(damping / 16, 1e-13);
      }
    }
    if (!improved) break;
  }
  return largest_magnitude(f) < 0.1 * exact;
}

/// Fibonacci's lattice, each point moved by about a twentieth of the spacing: exactly regular
/// points can start on a saddle. Antipodal designs take the northern half.
std::vector<Vector3> start(int points, bool antipodal, std::uint64_t seed) {
  RandomSequence random(seed, 0);
  const double golden_angle = std::numbers::pi * (3 - std::sqrt(5.0));
  const double jitter = 0.05 * std::sqrt(4 * std::numbers::pi / points);
  std::vector<Vector3> lattice;
  for (int i = 0; i < (antipodal ? points / 2 : points); ++i) {
    const double z = 1 - (2 * i + 1.0) / points, r = std::sqrt(1 - z * z);
    const double longitude = golden_angle * i;
    const Vector3 x = {r * std::cos(longitude), r * std::sin(longitude), z};
    const double a = jitter * random.normal(), b = jitter * random.normal();
    lattice.push_back(moved(x, tangents_at(x), a, b));
  }
  return lattice;
}

/// The highest strength that has no more conditions than the points have freedom, three of
/// their coordinates being one rotation of them all.
int strength_by_counting(int points, bool antipodal) {
  const Index freedom = 2 * Index{antipodal ? points / 2 : points} - 3;
  int strength = antipodal ? 1 : 0;
  const int step = antipodal ? 2 : 1;
  while (Conditions{strength + step, antipodal}.count() <= freedom) strength += step;
  return strength;
}

}  // namespace

double design_residual(const std::vector<Vector3>& points, int strength) {
  require(!points.empty() && strength >= 0, "design_residual", "no points or negative strength");
  return largest_magnitude(averages(points, {strength, false}));
}

SphericalDesign spherical_design(int points, bool antipodal) {
  if (points < 2)
    throw InputError("A spherical design of " + std::to_string(points) +
                     " points cannot be made; ask for 2 points or more.");
  if (antipodal && points % 2)
    throw InputError("An antipodal spherical design of " + std::to_string(points) +
                     " points cannot be made; ask for an even number of points.");

  constexpr int attempts = 3, above_the_count = 2;
  // A few small, very symmetric designs are stronger than counting promises.
  const int bonus = points <= 24 ? above_the_count : 0;
  const int step = antipodal ? 2 : 1;
  for (int strength = strength_by_counting(points, antipodal) + bonus;; strength -= step) {
    for (int attempt = 0; attempt < attempts; ++attempt) {
      SphericalDesign design{start(points, antipodal, attempt), strength, antipodal};
      if (!make_averages_vanish(design.points, {strength, antipodal})) continue;
      if (antipodal)
        for (int i = 0; i < points / 2; ++i) {
          const Vector3 x = design.points[i];
          design.points.push_back({-x[0], -x[1], -x[2]});
        }
      verify(design);
      return design;
    }
  }
}

void verify(const SphericalDesign& design) {
  const std::size_t count = design.points.size();
  if (count == 0) throw std::runtime_error("spherical design: it has no points");
  for (const Vector3& x : design.points)
    if (!(std::abs(norm(x) - 1) <= exact))
      throw std::runtime_error("spherical design: a point is not on the unit sphere");
  if (design.antipodal) {
    bool matched = count % 2 == 0;
    for (std::size_t i = 0; matched && i < count / 2; ++i)
      for (int axis = 0; axis < 3; ++axis)
        matched &= std::abs(design.points[i][axis] + design.points[count / 2 + i][axis]) <= exact;
    if (!matched)
      throw std::runtime_error("spherical design: the second half are not the negatives");
  }
  const double residual = design_residual(design.points, design.strength);
  if (!(residual <= exact)) {
    std::ostringstream message;
    message << "spherical design: at strength " << design.strength << " the residual is "
            << residual << ", over " << exact;
    throw std::runtime_error(message.str());
  }
}

}  // namespace orrery
