#include "apps/reconstruct/neural_truth.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "geometry/alignment.hpp"
#include "kernels/pointwise.hpp"
#include "kernels/reduce.hpp"
#include "nn/optimizer.hpp"
#include "nn/real_space_penalty.hpp"

namespace orrery {

namespace {

constexpr Index fit_steps = 3000;
constexpr Index most_fit_points = 8192;
constexpr double fit_rate = 2e-3;

/// Random frequencies in the ball, uniform in radius rather than in volume so that the few strong
/// low frequencies are seen at every step; `weights` (3 r^2) make sums over them averages over the
/// ball again. A network fitted on the grid alone would be wrong between its points.
struct BallSample {
  Tensor<float, 2> coordinates;  // x = k / ((n-1)/2), |x| <= 1
  Tensor<float, 2> frequencies;  // k in cycles a box
  std::vector<float> weights;
};

BallSample sample_ball(const Context& ctx, int n, Index points, RandomSequence& random) {
  const Context host = Context::cpu(1);
  const float h = static_cast<float>(n - 1) / 2;
  Tensor<float, 2> x(host, points, Index{3}), k(host, points, Index{3});
  BallSample sample;
  sample.weights.resize(points);
  for (Index p = 0; p < points; ++p) {
    const Vector3 direction =
        normalised(Vector3{random.normal(), random.normal(), random.normal()});
    const double radius = random.uniform();
    sample.weights[p] = static_cast<float>(3 * radius * radius);
    for (int d = 0; d < 3; ++d) {
      x(p, d) = static_cast<float>(radius * direction[d]);
      k(p, d) = h * x(p, d);
    }
  }
  sample.coordinates = upload(ctx, x);
  sample.frequencies = upload(ctx, k);
  return sample;
}

/// Mean over the ball of |a - b|^2, and its gradient with respect to a; host tensors.
double weighted_distance(const Tensor<float, 2>& a, const Tensor<float, 2>& b,
                         const std::vector<float>& weights, double scale, Tensor<float, 2>& da) {
  double total = 0;
  for (Index p = 0; p < a.extent(0); ++p)
    for (int part = 0; part < 2; ++part) {
      const double difference = a(p, part) - b(p, part);
      total += scale * weights[p] * difference * difference;
      da(p, part) = static_cast<float>(2 * scale * weights[p] * difference);
    }
  return total;
}

}  // namespace

NeuralTruth fit_neural_truth(const Context& ctx, const Volume& volume, const Options& options) {
  const int n = volume.n;
  // A few points for each coefficient at every step are plenty.
  const Index fit_points = std::min<Index>(most_fit_points, Index{4} * n * n * n);
  FourierNetSettings settings = fourier_net_settings(options);
  settings.latent = 0;
  Parameters<float> parameters(ctx);
  FourierNet<float> net(ctx, settings, parameters);
  parameters.allocate();
  net.initialise(parameters, options.seed + 77);

  // Of a volume of norm 1 the coefficients have this root mean square over the ball.
  const double ball = 4.0 / 3.0 * std::numbers::pi * std::pow((n - 1) / 2.0, 3);
  net.set_amplitude({3.0 / std::sqrt(ball)});

  Adam<float> adam(ctx, parameters, {}, 0);
  LearningRateSchedule schedule;
  schedule.initial = fit_rate;
  schedule.total_steps = fit_steps;
  RandomSequence random(options.seed, 77);
  const VolumeTransform<float> transform(ctx, volume);
  const Tensor<float, 1> no_latent(ctx, Index{0});
  Tensor<float, 1> no_gradient(ctx, Index{0});
  Tensor<float, 2> values(ctx, fit_points, Index{2}), truth(ctx, fit_points, Index{2});
  for (Index step = 0; step < fit_steps; ++step) {
    const auto sample = sample_ball(ctx, n, fit_points, random);
    transform(sample.frequencies, truth);
    parameters.zero_gradients();
    const auto saved = net.forward(ctx, parameters, sample.coordinates, no_latent, values);
    Tensor<float, 2> gradient(Context::cpu(1), fit_points, Index{2});
    weighted_distance(download(ctx, values), download(ctx, truth), sample.weights,
                      ball / fit_points, gradient);
    net.backward(ctx, parameters, saved, upload(ctx, gradient), no_gradient);
    adam.step(schedule(step));
  }

  const auto grid = make_real_space_grid<float>(ctx, n);
  Tensor<float, 2> half(ctx, grid.count(), Index{2});
  net.forward(ctx, parameters, grid.coordinates, no_latent, half);
  Tensor<float, 3> voxels(ctx, Index{n}, Index{n}, Index{n});
  to_density<float>(ctx, grid, half, voxels);
  const auto host = download(ctx, voxels);
  NeuralTruth result{volume, 0};
  result.volume.voxels.assign(host.view().begin(), host.view().end());
  result.relative_error = relative_error(volume, result.volume);
  result.volume = normalised(result.volume);
  return result;
}

}  // namespace orrery
