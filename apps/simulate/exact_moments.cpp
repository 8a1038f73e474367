#include "apps/simulate/exact_moments.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/pointwise.hpp"
#include "kernels/second_moment.hpp"
#include "kernels/shift_blur.hpp"

namespace orrery {

namespace {

/// Nodes and weights of Gauss and Legendre on [-1, 1], by Newton's method.
struct GaussLegendre {
  std::vector<double> node, weight;
  explicit GaussLegendre(int count) {
    for (int i = 0; i < count; ++i) {
      double x = std::cos(std::numbers::pi * (i + 0.75) / (count + 0.5)), slope = 0;
      for (int step = 0; step < 20; ++step) {
        double before = 1, value = x;
        for (int l = 2; l <= count; ++l) {
          const double next = ((2 * l - 1) * x * value - (l - 1) * before) / l;
          before = value;
          value = next;
        }
        slope = count * (x * value - before) / (x * x - 1);
        x -= value / slope;
      }
      node.push_back(x);
      weight.push_back(2 / ((1 - x * x) * slope * slope));
    }
  }
};

constexpr int exact_degree = 48;

ViewTable product_rule(const ViewDensity& density, int degree) {
  const GaussLegendre tilts(degree / 2);
  Quadrature rule;
  rule.angles = degree;
  std::vector<double> of_direction;
  for (std::size_t t = 0; t < tilts.node.size(); ++t)
    for (int r = 0; r < degree; ++r) {
      const double rot = 2 * std::numbers::pi * (r + 0.5) / degree;
      const double side = std::sqrt(1 - tilts.node[t] * tilts.node[t]);
      const Vector3 direction = {side * std::cos(rot), side * std::sin(rot), tilts.node[t]};
      for (int a = 0; a < degree; ++a) {
        rule.views.push_back(rotation_about_z(2 * std::numbers::pi * a / degree) *
                             looking_along(direction));
        rule.direction_of.push_back(static_cast<int>(rule.design.points.size()));
        of_direction.push_back(tilts.weight[t]);
      }
      rule.design.points.push_back(direction);
    }
  ViewTable table{rule.views, view_weights(density, rule)};
  for (std::size_t j = 0; j < table.weights.size(); ++j) table.weights[j] *= of_direction[j];
  return table;
}

}  // namespace

ExactMoments exact_moments(const Context& ctx, const SimulateOptions& options, const Volume& truth,
                           const Circumstances& circumstances, double mean_contrast,
                           double mean_squared_contrast) {
  const Projector projector(ctx, truth);
  const int n = projector.size();
  const ViewTable table = options.views.empty()
                              ? product_rule(circumstances.density(), exact_degree)
                              : circumstances.table();
  double total = 0;
  for (const double weight : table.weights) total += weight;

  const Index pixels = Index{n} * n, views = std::ssize(table.views), block = 4096;
  ExactMoments exact{Tensor<float, 1>::zeros(ctx, pixels),
                     Tensor<float, 2>::zeros(ctx, pixels, pixels)};
  Tensor<float, 1> first(ctx, pixels);
  Tensor<float, 2> second(ctx, pixels, pixels), slices(ctx, std::min(block, views), pixels);
  for (Index begin = 0; begin < views; begin += block) {
    const Index count = std::min(block, views - begin);
    const std::vector<Rotation> rotations(table.views.begin() + begin,
                                          table.views.begin() + begin + count);
    std::vector<double> weights(table.weights.begin() + begin,
                                table.weights.begin() + begin + count);
    for (double& weight : weights) weight /= total;
    const auto here = slices.view().rows(0, count);
    projector.project(matrices_of<float>(ctx, rotations), here);
    weighted_moments_forward<float>(ctx, here, upload_as<float>(ctx, weights), first, second);
    add_scaled<float>(ctx, static_cast<float>(mean_contrast), first, exact.first);
    add_scaled<float>(ctx, static_cast<float>(mean_squared_contrast), second.view().flat(),
                      exact.second.view().flat());
  }
  if (options.shift_sigma > 0)
    blur_moments<float>(ctx, shift_blur_factors<float>(ctx, n, options.shift_sigma / truth.n),
                        exact.first, exact.second);
  return exact;
}

}  // namespace orrery
