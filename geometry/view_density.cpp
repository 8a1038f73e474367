#include "geometry/view_density.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <string>

#include "kernels/check.hpp"

namespace orrery {
namespace {

constexpr double pi = std::numbers::pi;

bool finite_and_not_negative(double x) { return std::isfinite(x) && x >= 0; }

void check_input(bool holds, const char* otherwise) {
  if (!holds) throw InputError(otherwise);
}

double total_weight(const ViewDensity& density) {
  double total = 0;
  for (const VonMisesFisher& component : density.components) total += component.weight;
  return total;
}

void check(const ViewDensity& density) {
  check_input(!density.components.empty(), "The view density has no components; give one or more.");
  for (const VonMisesFisher& component : density.components) {
    const double length = norm(component.mean);
    check_input(std::isfinite(length) && length > 0,
                "A component of the view density has a mean of length zero; give a direction.");
    check_input(finite_and_not_negative(component.concentration),
                "A component of the view density has a negative or infinite concentration; give 0 "
                "(uniform) or more.");
    check_input(finite_and_not_negative(component.weight),
                "A component of the view density has a negative or infinite weight; give 0 or "
                "more.");
  }
  check_input(total_weight(density) > 0,
              "The components of the view density all have weight 0; give one a positive weight.");
  check_input(finite_and_not_negative(density.in_plane_concentration),
              "The view density's in-plane concentration is negative or infinite; give 0 (uniform) "
              "or more.");
  check_input(std::isfinite(density.in_plane_mean),
              "The view density's in-plane mean is not finite; give an angle.");
}

/// log of kappa exp(kappa mean.d) / (4 pi sinh kappa), written so that neither a small nor a large
/// kappa loses digits or overflows.
double log_von_mises_fisher(const VonMisesFisher& component, const Vector3& direction) {
  const double kappa = component.concentration;
  const double peak = kappa > 0 ? kappa / -std::expm1(-2 * kappa) : 0.5;
  return std::log(peak / (2 * pi)) + kappa * (dot(normalised(component.mean), direction) - 1);
}

/// exp of every number, scaled to sum 1. Taking the largest off first leaves something to scale
/// where a density is so narrow that it underflows everywhere.
void to_weights(std::vector<double>& logarithms) {
  const double largest = *std::max_element(logarithms.begin(), logarithms.end());
  double total = 0;
  for (double& x : logarithms) total += x = std::exp(x - largest);
  for (double& x : logarithms) x /= total;
}

/// A direction of the component's density. 1 - mean.d has the distribution function
/// (1 - exp(-kappa t)) / (1 - exp(-2 kappa)), which can be inverted (Ulrich 1984).
Vector3 random_direction(const VonMisesFisher& component, RandomSequence& random) {
  const double kappa = component.concentration, u = random.uniform();
  const double t = kappa > 0 ? -std::log1p(u * std::expm1(-2 * kappa)) / kappa : 2 * u;
  const double side = std::sqrt(std::max(0.0, t * (2 - t)));
  const double azimuth = random.uniform(-pi, pi);
  return transposed(looking_along(component.mean)) *
         Vector3({side * std::cos(azimuth), side * std::sin(azimuth), 1 - t});
}

/// An angle of density proportional to exp(kappa cos angle), by rejection from a wrapped Cauchy
/// distribution (Best and Fisher 1979).
double random_von_mises(double kappa, RandomSequence& random) {
  // Where the envelope would lose its digits, its limits are exact to as many.
  if (kappa < 1e-8) return random.uniform(-pi, pi);
  if (kappa > 1e8) return random.normal() / std::sqrt(kappa);
  const double tau = 1 + std::sqrt(1 + 4 * kappa * kappa);
  const double rho = (tau - std::sqrt(2 * tau)) / (2 * kappa);
  const double r = (1 + rho * rho) / (2 * rho);
  while (true) {
    const double z = std::cos(pi * random.uniform());
    const double cosine = (1 + r * z) / (r + z);
    const double c = kappa * (r - cosine);
    if (std::log(c / random.uniform()) + 1 - c < 0) continue;
    const double angle = std::acos(std::clamp(cosine, -1.0, 1.0));
    return random.uniform() < 0.5 ? -angle : angle;
  }
}

}  // namespace

ViewDensity random_view_density(int components, std::uint64_t seed) {
  check_input(components >= 1, "The view density has no components; ask for one or more.");
  RandomSequence random(seed, 0);
  ViewDensity density;
  for (int i = 0; i < components; ++i) {
    VonMisesFisher component;
    const double x = random.normal(), y = random.normal(), z = random.normal();
    component.mean = normalised({x, y, z});
    component.concentration = random.uniform(3, 12);
    component.weight = random.uniform(0.5, 1.5);
    density.components.push_back(component);
  }
  return density;
}

std::vector<double> view_weights(const ViewDensity& density, const Quadrature& quadrature) {
  check(density);
  std::vector<double> of_direction;  // logarithms
  for (const Vector3& direction : quadrature.design.points) {
    std::vector<double> terms;
    for (const VonMisesFisher& component : density.components)
      terms.push_back(std::log(component.weight) + log_von_mises_fisher(component, direction));
    const double largest = *std::max_element(terms.begin(), terms.end());
    double total = 0;
    for (double term : terms) total += std::exp(term - largest);
    of_direction.push_back(largest + std::log(total));
  }

  std::vector<double> weights;
  for (int j = 0; j < quadrature.view_count(); ++j) {
    double logarithm = of_direction[quadrature.direction_of[j]];
    if (density.in_plane_concentration > 0) {
      const double psi = to_euler(quadrature.views[j]).psi * pi / 180;
      logarithm += density.in_plane_concentration * (std::cos(psi - density.in_plane_mean) - 1);
    }
    weights.push_back(logarithm);
  }
  to_weights(weights);
  return weights;
}

Rotation random_view(const ViewDensity& density, RandomSequence& random) {
  check(density);
  double remaining = total_weight(density) * random.uniform();
  const VonMisesFisher* chosen = nullptr;
  for (const VonMisesFisher& component : density.components) {
    if (component.weight == 0) continue;
    chosen = &component;
    remaining -= component.weight;
    if (remaining < 0) break;
  }
  const Vector3 direction = random_direction(*chosen, random);
  const double psi =
      density.in_plane_mean + random_von_mises(density.in_plane_concentration, random);
  return rotation_about_z(-psi) * looking_along(direction);
}

std::vector<double> view_weights(const std::vector<Rotation>& views,
                                 const std::vector<double>& weights, double width_degrees,
                                 const Quadrature& quadrature) {
  check_input(!views.empty(), "The table of views is empty; give one view or more.");
  if (weights.size() != views.size())
    throw InputError("The table of views has " + std::to_string(views.size()) + " views but " +
                     std::to_string(weights.size()) + " weights; give each view one.");
  check_input(std::all_of(weights.begin(), weights.end(), finite_and_not_negative),
              "The table of views has a negative or infinite weight; give 0 or more.");
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  check_input(total > 0, "The table of views has only weights of 0; give one a positive weight.");
  check_input(width_degrees > 0, "The angular width of the views is not positive; give degrees.");

  // Bounded, because an infinite kappa has no nearest view among those that differ by rounding.
  const double width = std::max(width_degrees * pi / 180, 1e-12), kappa = 1 / (width * width);
  std::vector<double> result(quadrature.views.size(), 0.0), share(quadrature.views.size());
  for (std::size_t i = 0; i < views.size(); ++i) {
    for (std::size_t j = 0; j < share.size(); ++j) {
      double trace = 0;  // of views[i]^T quadrature.views[j]: 1 + 2 cos angle
      for (int e = 0; e < 9; ++e) trace += views[i].matrix[e] * quadrature.views[j].matrix[e];
      share[j] = kappa * (trace - 3) / 2;
    }
    to_weights(share);
    for (std::size_t j = 0; j < share.size(); ++j) result[j] += weights[i] / total * share[j];
  }
  return result;
}

}  // namespace orrery
