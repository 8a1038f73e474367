#include "geometry/alignment.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <functional>
#include <numbers>
#include <string>

#include "kernels/check.hpp"
#include "kernels/gemm.hpp"

namespace orrery {

namespace {

constexpr double pi = std::numbers::pi;

/// Integer frequencies with 0 < |k| <= radius, one of each pair k, -k.
std::vector<Vector3> half_ball(double radius) {
  std::vector<Vector3> points;
  const int h = static_cast<int>(radius);
  for (int z = 0; z <= h; ++z)
    for (int y = -h; y <= h; ++y)
      for (int x = -h; x <= h; ++x) {
        const bool upper = z > 0 || y > 0 || (y == 0 && x > 0);
        if (upper && x * x + y * y + z * z <= radius * radius)
          points.push_back({double(x), double(y), double(z)});
      }
  return points;
}

/// A smaller copy that holds twice the radius, so that its transform inside the radius is the
/// volume's own between the grid points too.
Volume cropped_for(const Context& ctx, const Volume& v, double radius) {
  const int n = 2 * static_cast<int>(std::ceil(2 * radius)) + 1;
  return n < v.n ? fourier_crop(ctx, v, n) : v;
}

/// The density inside the box's inscribed ball, over its surroundings: what lies in the box's
/// corners does not stay in the box when it turns.
Volume inside_the_ball(Volume v) {
  const double radius = 0.45 * v.n, soft_edge = 0.05 * v.n;
  const int c = v.n / 2;
  double total = 0, count = 0;
  for (int z = 0; z < v.n; ++z)
    for (int y = 0; y < v.n; ++y)
      for (int x = 0; x < v.n; ++x)
        if (norm({double(x - c), double(y - c), double(z - c)}) > radius) {
          total += v.view()(z, y, x);
          ++count;
        }
  for (float& x : v.voxels) x -= static_cast<float>(total / count);
  return masked(v, radius, soft_edge);
}

struct Candidate {
  Rotation rotation;
  Vector3 shift = {0, 0, 0};
  bool mirror = false;
  double correlation = -2;
};

// --- Coarse search -------------------------------------------------------------------------------

/// Shifts on a cubic lattice inside the ball, fine enough that half a step turns the phase at the
/// search's radius by little (45 degrees at 1/16 of a wavelength to each side).
std::vector<Vector3> shift_lattice(double largest, double radius, int n) {
  std::vector<Vector3> shifts;
  const double step = n / (4 * radius);
  const int count = static_cast<int>(largest / step);
  for (int z = -count; z <= count; ++z)
    for (int y = -count; y <= count; ++y)
      for (int x = -count; x <= count; ++x) {
        const Vector3 shift = {x * step, y * step, z * step};
        if (norm(shift) <= largest) shifts.push_back(shift);
      }
  return shifts;
}

/// Every rotation with each hand at its best shift. With G_s(k) = F(k) exp(2 pi i k.s / n), the
/// correlations of all rotations and shifts are two matrix products,
///   Re conj(G_s) M = re G_s re M + im G_s im M,  and  re re - im im for the mirror image,
/// because the other hand's coefficients are conj M.
std::vector<Candidate> coarse_search(const Context& ctx, const Volume& fixed, const Volume& moving,
                                     const AlignmentSettings& settings, double radius) {
  const auto points = half_ball(radius);
  const auto shifts = shift_lattice(settings.largest_shift, radius, fixed.n);
  const Index point_count = static_cast<Index>(points.size());
  const Index shift_count = static_cast<Index>(shifts.size());

  Tensor<double, 2> grid(ctx, point_count, 3), transform(ctx, point_count, 2);
  for (Index p = 0; p < point_count; ++p)
    for (int axis = 0; axis < 3; ++axis) grid(p, axis) = points[p][axis];
  volume_transform_at<double>(ctx, cropped_for(ctx, fixed, radius), grid, transform);
  Tensor<float, 2> fixed_re(ctx, shift_count, point_count), fixed_im(ctx, shift_count, point_count);
  double fixed_norm = 0;
  for (Index p = 0; p < point_count; ++p) {
    const std::complex<double> f(transform(p, 0), transform(p, 1));
    fixed_norm += std::norm(f);
    for (Index s = 0; s < shift_count; ++s) {
      const auto g = f * std::polar(1.0, 2 * pi / fixed.n * dot(points[p], shifts[s]));
      fixed_re(s, p) = static_cast<float>(g.real());
      fixed_im(s, p) = static_cast<float>(g.imag());
    }
  }

  const Volume small = cropped_for(ctx, moving, radius);
  RandomSequence random(settings.seed, 0);
  std::vector<Candidate> candidates;
  for (int first = 0; first < settings.rotations; first += 512) {
    const Index count = std::min(512, settings.rotations - first);
    std::vector<Rotation> rotations(count);
    Tensor<float, 3> rotated_points(ctx, count, point_count, 3), values(ctx, count, point_count, 2);
    for (Index r = 0; r < count; ++r) {
      rotations[r] = random_rotation(random);
      const Rotation back = transposed(rotations[r]);
      for (Index p = 0; p < point_count; ++p) {
        const Vector3 at = back * points[p];
        for (int axis = 0; axis < 3; ++axis)
          rotated_points(r, p, axis) = static_cast<float>(at[axis]);
      }
    }
    volume_transform_at<float>(ctx, small, rotated_points.view().reshaped(count * point_count, 3),
                               values.view().reshaped(count * point_count, 2));

    Tensor<float, 2> re(ctx, count, point_count), im(ctx, count, point_count);
    std::vector<double> norms(count, 0.0);
    for (Index r = 0; r < count; ++r)
      for (Index p = 0; p < point_count; ++p) {
        re(r, p) = values(r, p, 0);
        im(r, p) = values(r, p, 1);
        norms[r] += std::norm(std::complex<double>(re(r, p), im(r, p)));
      }
    Tensor<float, 2> even(ctx, count, shift_count), odd(ctx, count, shift_count);
    gemm<float>(ctx, Transpose::no, Transpose::yes, 1.0f, re, fixed_re, 0.0f, even);
    gemm<float>(ctx, Transpose::no, Transpose::yes, 1.0f, im, fixed_im, 0.0f, odd);

    for (Index r = 0; r < count; ++r)
      for (int hand = 0; hand < (settings.both_hands ? 2 : 1); ++hand) {
        Candidate best{rotations[r], {0, 0, 0}, hand == 1};
        for (Index s = 0; s < shift_count; ++s) {
          const double overlap = hand == 0 ? even(r, s) + odd(r, s) : even(r, s) - odd(r, s);
          const double correlation = overlap / std::sqrt(fixed_norm * norms[r]);
          if (correlation > best.correlation) {
            best.correlation = correlation;
            best.shift = shifts[s];
          }
        }
        candidates.push_back(best);
      }
  }
  return candidates;
}

/// The best few of each hand that are not close to one another: neighbours climb the same hill.
std::vector<Candidate> distinct_best(std::vector<Candidate> candidates, int count) {
  constexpr double same_hill = 15 * pi / 180;
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const auto& a, const auto& b) { return a.correlation > b.correlation; });
  std::vector<Candidate> chosen;
  int taken[2] = {0, 0};
  for (const auto& candidate : candidates) {
    const bool near = std::any_of(chosen.begin(), chosen.end(), [&](const auto& other) {
      return other.mirror == candidate.mirror &&
             angle_between(other.rotation, candidate.rotation) < same_hill;
    });
    if (near || taken[candidate.mirror] == count) continue;
    ++taken[candidate.mirror];
    chosen.push_back(candidate);
  }
  return chosen;
}

// --- Refinement ----------------------------------------------------------------------------------

using Parameters = std::array<double, 6>;  // rotation vector, then shift in units of its scale

struct ValueAndGradient {
  double value;
  Parameters gradient;
};

double inner(const Parameters& a, const Parameters& b) {
  double total = 0;
  for (int i = 0; i < 6; ++i) total += a[i] * b[i];
  return total;
}

/// Minimises f by BFGS on the inverse Hessian with a backtracking line search, from the origin.
Parameters minimise(const std::function<ValueAndGradient(const Parameters&)>& f) {
  constexpr int most_steps = 60;
  constexpr double negligible = 1e-14;  // gain still expected, of a correlation of about 1
  Parameters x{};
  auto here = f(x);
  std::array<Parameters, 6> inverse_hessian{};
  const auto reset = [&](double scale) {
    for (int i = 0; i < 6; ++i)
      for (int j = 0; j < 6; ++j) inverse_hessian[i][j] = i == j ? scale : 0;
  };
  // A first step of a twentieth of a radian; later ones follow the curvature that was met.
  reset(0.05 / std::max(std::sqrt(inner(here.gradient, here.gradient)), 1e-6));

  for (int step = 0; step < most_steps; ++step) {
    Parameters direction;
    for (int i = 0; i < 6; ++i) direction[i] = -inner(inverse_hessian[i], here.gradient);
    const double slope = inner(direction, here.gradient);
    if (-slope < negligible) break;

    double length = 1;
    Parameters there;
    ValueAndGradient next;
    for (;; length *= 0.5) {
      for (int i = 0; i < 6; ++i) there[i] = x[i] + length * direction[i];
      next = f(there);
      if (next.value <= here.value + 1e-4 * length * slope) break;
      if (length < 1e-3) return x;  // rounding errors are all that is left
    }

    Parameters moved, change;
    for (int i = 0; i < 6; ++i) {
      moved[i] = there[i] - x[i];
      change[i] = next.gradient[i] - here.gradient[i];
    }
    x = there;
    here = next;
    const double curvature = inner(moved, change);
    if (curvature <= 0) continue;
    if (step == 0) reset(curvature / inner(change, change));
    // H <- (I - s y^T / y.s) H (I - y s^T / y.s) + s s^T / y.s
    Parameters product;
    for (int i = 0; i < 6; ++i) product[i] = inner(inverse_hessian[i], change);
    const double factor = (1 + inner(change, product) / curvature) / curvature;
    for (int i = 0; i < 6; ++i)
      for (int j = 0; j < 6; ++j)
        inverse_hessian[i][j] += factor * moved[i] * moved[j] -
                                 (product[i] * moved[j] + moved[i] * product[j]) / curvature;
  }
  return x;
}

/// Correlation and its gradient as the moving volume turns and shifts.
class Matcher {
 public:
  Matcher(const Context& ctx, const Volume& fixed, const Volume& moving, double radius,
          bool with_shift)
      : points_(half_ball(radius)),
        n_(fixed.n),
        shift_scale_(with_shift ? fixed.n / (2 * pi * radius) : 0) {
    const Index count = static_cast<Index>(points_.size());
    Tensor<double, 2> grid(ctx, count, 3);
    fixed_ = Tensor<double, 2>(ctx, count, 2);
    for (Index p = 0; p < count; ++p)
      for (int axis = 0; axis < 3; ++axis) grid(p, axis) = points_[p][axis];
    volume_transform_at<double>(ctx, cropped_for(ctx, fixed, radius), grid, fixed_);

    // The transform's derivative along an axis is the transform of -2 pi i x / n times the volume.
    hands_[0] = with_moments(cropped_for(ctx, moving, radius));
    hands_[1] = with_moments(cropped_for(ctx, mirrored(moving), radius));
  }

  /// On one thread, so that candidates can be refined side by side.
  Candidate refine(const Candidate& start) const {
    const auto at = [&](const Parameters& x) {
      Candidate moved = start;
      moved.rotation = from_rotation_vector({x[0], x[1], x[2]}) * start.rotation;
      for (int axis = 0; axis < 3; ++axis) moved.shift[axis] += shift_scale_ * x[3 + axis];
      return moved;
    };
    const auto best = minimise([&](const Parameters& x) {
      auto result = correlation(at(x));
      auto& g = result.gradient;
      const Vector3 turned = through_exponential({x[0], x[1], x[2]}, {g[0], g[1], g[2]});
      std::copy(turned.begin(), turned.end(), g.begin());
      result.value = -result.value;
      for (double& slope : g) slope = -slope;
      return result;
    });
    Candidate refined = at(best);
    refined.correlation = correlation(refined).value;
    return refined;
  }

 private:
  /// The volume and its products with x, y and z in units of 1 / (2 pi / n).
  static std::array<Volume, 4> with_moments(const Volume& v) {
    std::array<Volume, 4> all = {v, v, v, v};
    const int n = v.n, h = n / 2;
    for (std::size_t i = 0; i < v.voxels.size(); ++i) {
      const int index = static_cast<int>(i);
      const int position[] = {index % n - h, index / n % n - h, index / n / n - h};
      for (int axis = 0; axis < 3; ++axis)
        all[1 + axis].voxels[i] = static_cast<float>(v.voxels[i] * (2 * pi / n * position[axis]));
    }
    return all;
  }

  /// Gradient with respect to a small turn before the rotation, exp(turn) R, and the scaled shift.
  ValueAndGradient correlation(const Candidate& c) const {
    const Index count = static_cast<Index>(points_.size());
    const Rotation back = transposed(c.rotation);
    const Context one = Context::cpu(1);
    Tensor<double, 2> at(one, count, 3);
    std::array<Tensor<double, 2>, 4> transforms;
    for (Index p = 0; p < count; ++p) {
      const Vector3 k = back * points_[p];
      std::copy(k.begin(), k.end(), &at(p, 0));
    }
    for (int i = 0; i < 4; ++i) {
      transforms[i] = Tensor<double, 2>(one, count, 2);
      volume_transform_at<double>(one, hands_[c.mirror][i], at, transforms[i]);
    }

    const std::complex<double> minus_i(0, -1);
    double fixed_power = 0, power = 0, overlap = 0;
    Parameters overlap_slope{}, power_slope{};
    for (Index p = 0; p < count; ++p) {
      const Vector3& k = points_[p];
      const auto phase = std::polar(1.0, -2 * pi / n_ * dot(k, c.shift));
      const auto value = [&](int i) {
        return std::complex<double>(transforms[i](p, 0), transforms[i](p, 1));
      };
      const std::complex<double> f(fixed_(p, 0), fixed_(p, 1)), m = value(0) * phase;
      fixed_power += std::norm(f);
      power += std::norm(m);
      overlap += (std::conj(f) * m).real();

      // M(R^T exp(-turn) k) changes by -(R grad M).(turn x k) = -turn.(k x R grad M).
      Vector3 toward_f, toward_m;
      for (int axis = 0; axis < 3; ++axis) {
        const auto slope = minus_i * value(1 + axis) * phase;
        toward_f[axis] = (std::conj(f) * slope).real();
        toward_m[axis] = (std::conj(m) * slope).real();
      }
      const Vector3 turn_f = cross(k, c.rotation * toward_f);
      const Vector3 turn_m = cross(k, c.rotation * toward_m);
      const double shift_f = (std::conj(f) * minus_i * m).real() * 2 * pi / n_ * shift_scale_;
      for (int axis = 0; axis < 3; ++axis) {
        overlap_slope[axis] -= turn_f[axis];
        power_slope[axis] -= 2 * turn_m[axis];
        overlap_slope[3 + axis] += shift_f * k[axis];
      }
    }
    const double norms = std::sqrt(fixed_power * power);
    ValueAndGradient result{overlap / norms, {}};
    for (int i = 0; i < 6; ++i)
      result.gradient[i] = overlap_slope[i] / norms - 0.5 * result.value * power_slope[i] / power;
    return result;
  }

  /// exp(v + dv) = exp(J dv) exp(v): carries a gradient with respect to J dv to one with respect to
  /// v by J^T = I - (1 - cos a)/a^2 [v] + (a - sin a)/a^3 [v]^2, a = |v|, [v] the cross product.
  static Vector3 through_exponential(const Vector3& v, const Vector3& gradient) {
    const double a = norm(v);
    if (a < 1e-6) return gradient;
    const Vector3 once = cross(v, gradient), twice = cross(v, once);
    Vector3 result;
    for (int axis = 0; axis < 3; ++axis)
      result[axis] = gradient[axis] - (1 - std::cos(a)) / (a * a) * once[axis] +
                     (a - std::sin(a)) / (a * a * a) * twice[axis];
    return result;
  }

  std::vector<Vector3> points_;
  double n_, shift_scale_;
  Tensor<double, 2> fixed_;
  std::array<std::array<Volume, 4>, 2> hands_;
};

void require_alignable(const Volume& fixed, const Volume& moving) {
  if (fixed.n != moving.n)
    throw InputError("volumes of " + std::to_string(fixed.n) + " and " + std::to_string(moving.n) +
                     " voxels an edge cannot be aligned; resample one to the other's box");
  if (fixed.n % 2 == 0 || fixed.n < 5)
    throw InputError("alignment needs an odd box of at least 5 voxels, not " +
                     std::to_string(fixed.n) + "; Fourier-crop the volumes first");
  for (const Volume* v : {&fixed, &moving}) {
    const auto [low, high] = std::minmax_element(v->voxels.begin(), v->voxels.end());
    if (!(std::isfinite(frobenius_norm(*v)) && *low < *high))
      throw InputError("a volume that is constant or not finite cannot be aligned");
  }
}

}  // namespace

Alignment align(const Context& ctx, const Volume& fixed_map, const Volume& moving_map,
                const AlignmentSettings& settings) {
  require_alignable(fixed_map, moving_map);
  const Volume fixed = inside_the_ball(fixed_map), moving = inside_the_ball(moving_map);
  const Context host = ctx.backend() == Backend::cpu ? ctx : Context::cpu();
  const double highest = (fixed.n - 1) / 2;
  const double coarse_radius = std::min(settings.coarse_radius, highest);
  const double fine_radius = std::min(settings.fine_radius, highest);

  const auto refined = [&](const std::vector<Candidate>& candidates, double radius) {
    const Matcher matcher(host, fixed, moving, radius, settings.largest_shift > 0);
    std::vector<Candidate> better(candidates.size());
#pragma omp parallel for schedule(dynamic) num_threads(host.threads())
    for (std::size_t i = 0; i < candidates.size(); ++i) better[i] = matcher.refine(candidates[i]);
    return better;
  };
  // Low frequencies alone bring each candidate to the top of its hill, at little cost, but may not
  // tell the hands apart: the best two of each hand meet in the full band.
  const auto found = coarse_search(host, fixed, moving, settings, coarse_radius);
  const auto tops = refined(distinct_best(found, settings.candidates), coarse_radius);
  const auto finalists = refined(distinct_best(tops, 2), fine_radius);
  const auto& best =
      *std::max_element(finalists.begin(), finalists.end(),
                        [](const auto& x, const auto& y) { return x.correlation < y.correlation; });
  return {best.rotation, best.shift, best.mirror, best.correlation};
}

}  // namespace orrery
