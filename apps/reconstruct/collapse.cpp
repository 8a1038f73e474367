#include "apps/reconstruct/collapse.hpp"

#include <fmt/format.h>

#include <cmath>

namespace orrery {

namespace {

/// Means over shells one voxel thick inside the inscribed ball, and how many voxels each has.
struct RadialMean {
  std::vector<double> mean, count;
};
RadialMean radial_mean(const Volume& v) {
  const int h = (v.n - 1) / 2;
  RadialMean radial{std::vector<double>(h + 1, 0), std::vector<double>(h + 1, 0)};
  const auto voxels = v.view();
  for (int z = 0; z < v.n; ++z)
    for (int y = 0; y < v.n; ++y)
      for (int x = 0; x < v.n; ++x) {
        const auto shell = std::lround(norm({double(x - h), double(y - h), double(z - h)}));
        if (shell > h) continue;
        radial.mean[shell] += voxels(z, y, x);
        radial.count[shell] += 1;
      }
  for (int shell = 0; shell <= h; ++shell) radial.mean[shell] /= radial.count[shell];
  return radial;
}

double radial_share(const Volume& v, const RadialMean& radial) {
  double of_means = 0, all = 0;
  for (std::size_t s = 0; s < radial.mean.size(); ++s)
    of_means += radial.count[s] * radial.mean[s] * radial.mean[s];
  for (const float x : v.voxels) all += double(x) * double(x);
  return all > 0 ? of_means / all : 0;
}

double hollowness(const RadialMean& radial) {
  std::size_t peak = 0;
  for (std::size_t s = 0; s < radial.mean.size(); ++s)
    if (radial.mean[s] > radial.mean[peak]) peak = s;
  if (peak < 3 || !(radial.mean[peak] > 0)) return 1;
  double inside = 0, voxels = 0;
  for (std::size_t s = 0; s <= peak / 2; ++s) {
    inside += radial.count[s] * radial.mean[s];
    voxels += radial.count[s];
  }
  return inside / voxels / radial.mean[peak];
}

double negative_share(const Volume& v) {
  double negative = 0, all = 0;
  for (const float x : v.voxels) {
    all += double(x) * double(x);
    if (x < 0) negative += double(x) * double(x);
  }
  return all > 0 ? negative / all : 0;
}

double effective_directions(const Quadrature& quadrature, const std::vector<double>& view_weights) {
  std::vector<double> direction(quadrature.direction_count(), 0);
  double total = 0, squares = 0;
  for (std::size_t j = 0; j < view_weights.size(); ++j) {
    direction[quadrature.direction_of[j]] += view_weights[j];
    total += view_weights[j];
  }
  for (const double p : direction) squares += p * p;
  return squares > 0 ? total * total / squares : 0;
}

}  // namespace

CollapseFigures collapse_figures(const Volume& volume, const Quadrature& quadrature,
                                 const std::vector<double>& view_weights) {
  const RadialMean radial = radial_mean(volume);
  return {.radial_share = radial_share(volume, radial),
          .hollowness = hollowness(radial),
          .negative_share = negative_share(volume),
          .effective_directions = effective_directions(quadrature, view_weights)};
}

std::vector<std::string> collapse_warnings(const CollapseFigures& figures) {
  // What maps of real particles, and the phantom, stay clear of: docs/method.md has their figures.
  constexpr double most_radial = 0.9, least_inside = 0.1, most_negative = 0.5, least_directions = 3;
  std::vector<std::string> warnings;
  if (figures.radial_share > most_radial && figures.hollowness > least_inside)
    warnings.push_back(fmt::format(
        "the volume looks like a ball: {:.0f} % of its power is spherically symmetric; the moments "
        "may hold no more than that",
        100 * figures.radial_share));
  if (figures.radial_share > 0.75 && figures.hollowness <= least_inside)
    warnings.push_back(fmt::format(
        "the volume looks like an empty shell: {:.0f} % of its power is spherically symmetric, and "
        "inside its density is {:.0f} % of the shell's; unless the particle is hollow, do not "
        "trust it",
        100 * figures.radial_share, 100 * figures.hollowness));
  if (figures.negative_share > most_negative)
    warnings.push_back(
        fmt::format("the contrast looks inverted: {:.0f} % of the squared density is negative; "
                    "particles should be brighter than their surroundings in the images",
                    100 * figures.negative_share));
  if (figures.effective_directions < least_directions)
    warnings.push_back(fmt::format(
        "nearly all weight is on one view: the directions count as {:.1f} equally likely ones; the "
        "volume is known from that side only",
        figures.effective_directions));
  return warnings;
}

}  // namespace orrery
