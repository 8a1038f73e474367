#include "tests/support/shift_observations.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/random.hpp"

namespace orrery::test {
namespace {

const Context cpu = Context::cpu(1);

std::vector<double> gaussian_mixture(Index n, int components, RandomSequence& random) {
  std::vector<double> mixture(n, 0.0);
  for (int component = 0; component < components; ++component) {
    const double centre = random.uniform(), width = random.uniform(0.03, 0.10);
    const double weight = random.uniform(0.4, 1.0);
    for (Index i = 0; i < n; ++i)
      for (int turn = -2; turn <= 2; ++turn) {
        const double x = (static_cast<double>(i) / static_cast<double>(n) - centre + turn) / width;
        mixture[i] += weight / width * std::exp(-0.5 * x * x);
      }
  }
  return mixture;
}

void divide(std::vector<double>& x, double by) {
  for (double& z : x) z /= by;
}

double norm_of(const std::vector<double>& x) {
  double total = 0;
  for (double z : x) total += z * z;
  return std::sqrt(total);
}

double sum_of(const std::vector<double>& x) {
  double total = 0;
  for (double z : x) total += z;
  return total;
}

ShiftMoments empty_moments(Index n) {
  return {Tensor<double, 1>::zeros(cpu, n), Tensor<double, 2>::zeros(cpu, n, n)};
}

}  // namespace

ShiftPair mixture_pair(Index n, int components, std::uint64_t seed) {
  RandomSequence random(seed, 17);
  ShiftPair pair{gaussian_mixture(n, components, random), gaussian_mixture(n, components, random)};
  divide(pair.signal, norm_of(pair.signal));
  divide(pair.density, sum_of(pair.density));
  return pair;
}

ShiftMoments exact_moments(const ShiftPair& pair) {
  const Index n = std::ssize(pair.signal);
  ShiftMoments moments = empty_moments(n);
  for (Index s = 0; s < n; ++s)
    for (Index i = 0; i < n; ++i) {
      const double p = pair.density[s], v = pair.signal[(i - s + n) % n];
      moments.first(i) += p * v;
      for (Index j = 0; j < n; ++j) moments.second(i, j) += p * v * pair.signal[(j - s + n) % n];
    }
  return moments;
}

ShiftMoments noisy_moments(const ShiftPair& pair, double noise_deviation, double observations,
                           std::uint64_t seed) {
  const Index n = std::ssize(pair.signal);
  RandomSequence random(seed, 23);
  // How often each shift occurs.
  std::vector<double> counts(n);
  double surplus = 0;
  for (Index s = 0; s < n; ++s) {
    counts[s] = std::sqrt(observations * pair.density[s]) * random.normal();
    surplus += counts[s];
  }
  for (Index s = 0; s < n; ++s)
    counts[s] = std::max(0.0, counts[s] + pair.density[s] * (observations - surplus));

  ShiftMoments moments = empty_moments(n);
  moments.noise_variance = noise_deviation * noise_deviation;
  moments.observations = observations;
  for (Index s = 0; s < n; ++s) {
    std::vector<double> x(n), noise(n);  // the shifted signal, and the sum of the noise added to it
    for (Index i = 0; i < n; ++i) {
      x[i] = pair.signal[(i - s + n) % n];
      noise[i] = noise_deviation * std::sqrt(counts[s]) * random.normal();
    }
    for (Index i = 0; i < n; ++i) {
      moments.first(i) += counts[s] * x[i] + noise[i];
      for (Index j = 0; j < n; ++j) {
        const double squares = counts[s] > 0 ? noise[i] * noise[j] / counts[s] : 0;
        moments.second(i, j) +=
            counts[s] * x[i] * x[j] + x[i] * noise[j] + noise[i] * x[j] + squares;
      }
    }
  }
  // The squares of the noise about its n means: a Wishart matrix L L^T of N - n degrees of freedom.
  Tensor<double, 2> lower = Tensor<double, 2>::zeros(cpu, n, n);
  for (Index i = 0; i < n; ++i) {
    const double freedom = observations - static_cast<double>(n + i);
    lower(i, i) = std::sqrt(freedom + std::sqrt(2 * freedom) * random.normal());
    for (Index j = 0; j < i; ++j) lower(i, j) = random.normal();
  }
  for (Index i = 0; i < n; ++i) {
    moments.first(i) /= observations;
    for (Index j = 0; j < n; ++j) {
      for (Index k = 0; k <= std::min(i, j); ++k)
        moments.second(i, j) += moments.noise_variance * lower(i, k) * lower(j, k);
      moments.second(i, j) /= observations;
    }
    moments.second(i, i) -= moments.noise_variance;
  }
  return moments;
}

ShiftMoments simulated_moments(const ShiftPair& pair, double noise_deviation, int observations,
                               std::uint64_t seed) {
  const Index n = std::ssize(pair.signal);
  RandomSequence random(seed, 29);
  ShiftMoments moments = empty_moments(n);
  moments.noise_variance = noise_deviation * noise_deviation;
  moments.observations = observations;
  std::vector<double> y(n);
  for (int observation = 0; observation < observations; ++observation) {
    const double drawn = random.uniform();
    Index s = 0;
    for (double below = pair.density[0]; s < n - 1 && drawn > below; below += pair.density[s]) ++s;
    for (Index i = 0; i < n; ++i)
      y[i] = pair.signal[(i - s + n) % n] + noise_deviation * random.normal();
    for (Index i = 0; i < n; ++i) {
      moments.first(i) += y[i] / observations;
      for (Index j = 0; j < n; ++j) moments.second(i, j) += y[i] * y[j] / observations;
    }
  }
  for (Index i = 0; i < n; ++i) moments.second(i, i) -= moments.noise_variance;
  return moments;
}

ShiftErrors shift_errors(View<const double, 1> found, const std::vector<double>& truth) {
  constexpr Index steps = 8;
  const Index n = found.size();
  // The correlation at shift a is sum_k Re found^(k) conj truth^(k) e^(i k a), over 2 pi / n.
  std::vector<double> re(n, 0.0), im(n, 0.0);
  auto angle = [n](Index k, double a) {
    const double centred = 2 * k > n ? static_cast<double>(k - n) : static_cast<double>(k);
    return 2 * std::numbers::pi * centred * a / static_cast<double>(n);
  };
  for (Index k = 0; k < n; ++k)
    for (Index lag = 0; lag < n; ++lag) {
      double product = 0;  // of found moved back by lag, and truth
      for (Index i = 0; i < n; ++i) product += found((i + lag) % n) * truth[i];
      re[k] += product * std::cos(angle(k, static_cast<double>(lag))) / static_cast<double>(n);
      im[k] -= product * std::sin(angle(k, static_cast<double>(lag))) / static_cast<double>(n);
    }
  double squares = 0, truth_squares = 0, on_grid = -INFINITY, continuous = -INFINITY;
  for (Index i = 0; i < n; ++i) {
    squares += found(i) * found(i);
    truth_squares += truth[i] * truth[i];
  }
  auto correlation_at = [&](double a) {
    double correlation = 0;
    for (Index k = 0; k < n; ++k)
      correlation += re[k] * std::cos(angle(k, a)) - im[k] * std::sin(angle(k, a));
    return correlation;
  };
  double best = 0;
  for (Index step = 0; step < n * steps; ++step) {
    const double a = static_cast<double>(step) / steps, correlation = correlation_at(a);
    if (correlation > continuous) continuous = correlation, best = a;
    if (step % steps == 0) on_grid = std::max(on_grid, correlation);
  }
  for (double span = 1.0 / steps; span > 1e-9; span *= 0.7)
    for (double a : {best - span, best + span})
      if (correlation_at(a) > continuous) continuous = correlation_at(a), best = a;
  auto error = [&](double correlation) {
    return std::sqrt(std::max(0.0, squares + truth_squares - 2 * correlation) / truth_squares);
  };
  return {error(on_grid), error(continuous)};
}

}  // namespace orrery::test
