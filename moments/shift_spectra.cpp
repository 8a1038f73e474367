#include "moments/shift_spectra.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "kernels/check.hpp"
#include "kernels/cholesky.hpp"

namespace orrery {
namespace {

using Sequence = std::vector<double>;

/// sum_a x(a) cos(2 pi a k / n): the transform of an even sequence, without a factor.
Sequence cosine_transform(const Sequence& x) {
  const Index n = std::ssize(x);
  Sequence cosine(n), y(n, 0.0);
  for (Index j = 0; j < n; ++j)
    cosine[j] = std::cos(2 * std::numbers::pi * static_cast<double>(j) / static_cast<double>(n));
  for (Index k = 0; k < n; ++k)
    for (Index a = 0; a < n; ++a) y[k] += x[a] * cosine[a * k % n];
  return y;
}

/// Power as measured at k = 0 .. n/2, and the standard deviation of the noise in it.
struct MeasuredSpectrum {
  Sequence power, deviation;
};

constexpr double outstanding = 4;  // deviations by which power stands out of the noise

/// log S(k) = a - b x - c x^2, x being k in units of the mean frequency of what stands out.
class SmoothSpectrum {
 public:
  static constexpr int terms = 3;

  double operator()(Index k) const {
    const auto basis = basis_at(k);
    double log_power = 0;
    for (int j = 0; j < terms; ++j) log_power += coefficients_[j] * basis[j];
    return std::exp(log_power);
  }

  /// Fits the measured power at k >= first by Fisher's scoring: the most likely spectrum if each
  /// measured number, raised by its deviation f, is gamma-distributed about S + f (two degrees of
  /// freedom a frequency, of which k = 0 has one).
  void fit(const MeasuredSpectrum& measured, Index first) {
    const Index count = std::ssize(measured.power);
    double mean = 0, clear = 0, moment = 0;
    for (Index k = first; k < count; ++k) {
      const double power = measured.power[k], deviation = measured.deviation[k];
      mean += std::max(power, deviation) / static_cast<double>(count);
      clear += std::max(power - outstanding * deviation, 0.0);
      moment += static_cast<double>(k) * std::max(power - outstanding * deviation, 0.0);
    }
    if (clear > 0) mean_frequency_ = std::max(moment / clear, 1.0);
    coefficients_ = {std::log(mean), 0, 0};

    constexpr int most_steps = 100;
    constexpr double longest_step = 2, converged = 1e-4;
    for (int step = 0; step < most_steps; ++step) {
      const auto move = scoring_step(measured, first);
      double longest = 0;
      for (double z : move) longest = std::max(longest, std::abs(z));
      for (int j = 0; j < terms; ++j) {
        coefficients_[j] += move[j] * std::min(1.0, longest_step / longest);
        if (j > 0) coefficients_[j] = std::max(coefficients_[j], 0.0);
      }
      if (longest < converged) break;
    }
  }

 private:
  using Coefficients = std::array<double, terms>;

  Coefficients basis_at(Index k) const {
    const double x = static_cast<double>(k) / mean_frequency_;
    return {1, -x, -x * x};
  }

  Coefficients scoring_step(const MeasuredSpectrum& measured, Index first) const {
    std::array<double, terms * terms> numbers{};
    const View<double, 2> matrix(numbers.data(), terms, terms);
    Coefficients step{};
    for (Index k = first; k < std::ssize(measured.power); ++k) {
      const auto basis = basis_at(k);
      const double freedom = k == 0 ? 1 : 2, f = measured.deviation[k];
      const double power = (*this)(k), expected = power + f;
      const double share = power / expected;  // d log expected / d log power
      const double ratio = std::max(0.0, measured.power[k] + f) / expected;
      for (int j = 0; j < terms; ++j) {
        step[j] += freedom * (ratio - 1) * share * basis[j];
        // 1 + ratio is no less than the curvature, expected (1) or actual (ratio): no overshoot.
        for (int l = 0; l < terms; ++l)
          matrix(j, l) += freedom * (1 + ratio) * share * share * basis[j] * basis[l];
      }
    }
    for (int j = 0; j < terms; ++j) {
      matrix(j, j) += 1e-6 + 1e-3 * matrix(j, j);
      if (j == 0 || coefficients_[j] > 0 || step[j] > 0) continue;
      for (int l = 0; l < terms; ++l) matrix(j, l) = matrix(l, j) = 0;
      matrix(j, j) = 1;
      step[j] = 0;
    }
    if (!cholesky_factor(matrix)) return {};
    cholesky_solve(matrix, View<double, 1>(step.data(), terms));
    return step;
  }

  double mean_frequency_ = 1;
  Coefficients coefficients_{};
};

/// The spectrum of a prior, at all n frequencies.
Sequence expected_power(const MeasuredSpectrum& measured, Index n, Index first) {
  constexpr double least = 1e-10;  // of the largest, so that systems can be solved
  SmoothSpectrum smooth;
  smooth.fit(measured, first);
  Sequence power(n);
  for (Index k = 0; 2 * k <= n; ++k) {
    const Index nearest = std::max(k, first);
    power[k] = power[(n - k) % n] = std::max(
        smooth(nearest), measured.power[nearest] - outstanding * measured.deviation[nearest]);
  }
  const double largest = *std::max_element(power.begin(), power.end());
  for (double& z : power) z = std::max(z, least * largest);
  return power;
}

/// Diagonals of C, lag by lag: row a holds C(i, i + a).
std::vector<Sequence> lags_of(View<const double, 2> second) {
  const Index n = second.extent(0);
  std::vector<Sequence> lags(n, Sequence(n));
  for (Index a = 0; a < n; ++a)
    for (Index i = 0; i < n; ++i) lags[a][i] = second(i, (i + a) % n);
  return lags;
}

/// Noise of variance s^2 in N observations.
struct Noise {
  double variance, observations;

  /// Variance that it gives M2(k, k') between coefficients of those powers: its own square, and its
  /// product with the signal.
  double between(double power, double other) const {
    return variance * (variance + power + other) / observations;
  }
};

MeasuredSpectrum measured_signal(const std::vector<Sequence>& lags, const Noise& noise) {
  const Index n = std::ssize(lags);
  Sequence means(n, 0.0);
  for (Index a = 0; a < n; ++a)
    for (double c : lags[a]) means[a] += c / static_cast<double>(n);
  MeasuredSpectrum measured{cosine_transform(means), {}};
  measured.power.resize(n / 2 + 1);
  for (double power : measured.power) {
    const double positive = std::max(power, 0.0);
    measured.deviation.push_back(std::sqrt(noise.between(positive, positive)));
  }
  return measured;
}

MeasuredSpectrum measured_density(const std::vector<Sequence>& lags, const Sequence& signal,
                                  const Noise& noise) {
  const Index n = std::ssize(lags);
  const double length = static_cast<double>(n);
  // By Parseval, sum_k |M2(k, k - d)|^2 is 1/n of the lags' summed power at frequency d.
  Sequence correlation(n, 0.0);
  for (const Sequence& lag : lags)
    for (Index i = 0; i < n; ++i) {
      for (Index t = 0; t < n - i; ++t) correlation[t] += lag[i] * lag[i + t];
      for (Index t = n - i; t < n; ++t) correlation[t] += lag[i] * lag[i + t - n];
    }
  const Sequence total = cosine_transform(correlation);

  MeasuredSpectrum measured;
  for (Index d = 0; 2 * d <= n; ++d) {
    double pairs = 0, noise_alone = 0, noise_in_pairs = 0;
    for (Index k = 0; k < n; ++k) {
      const double one = signal[k], other = signal[(k - d + n) % n];
      const double variance = noise.between(one, other);
      pairs += one * other;
      noise_alone += variance;
      noise_in_pairs += one * other * variance;
    }
    const double noise_share = noise_alone * (length + 1) / length;  // M2(k, -k) has it twice
    const double power = total[d] / length - noise_share;
    // Noise squared, and noise times what is measured; each M2(k, k') comes twice, conjugated.
    const double variance =
        2 * noise_share * noise_share / length + 4 * std::max(power, 0.0) * noise_in_pairs / pairs;
    const double scale = 1 / (length * pairs);  // |p^(d)|^2 = |rho(d)|^2 / n
    measured.power.push_back(scale * power);
    measured.deviation.push_back(scale * std::sqrt(variance));
  }
  return measured;
}

}  // namespace

ShiftSpectra estimate_shift_spectra(View<const double, 2> second, double noise_variance,
                                    double observations) {
  const Index n = second.extent(0);
  require_shape("estimate_shift_spectra", "C", second, {n, n});
  require(n >= 3, "estimate_shift_spectra", "fewer than 3 samples");
  const Noise noise{noise_variance, observations};
  const auto lags = lags_of(second);
  ShiftSpectra spectra;
  spectra.signal = expected_power(measured_signal(lags, noise), n, 0);
  spectra.density = expected_power(measured_density(lags, spectra.signal, noise), n, 1);
  // N shifts drawn from p occur with frequencies that scatter about it, and those are what one
  // sees.
  const double scatter = 1 / (static_cast<double>(n) * observations);
  for (double& z : spectra.density) z += scatter;
  return spectra;
}

std::vector<double> circulant_row(const std::vector<double>& eigenvalues) {
  Sequence row = cosine_transform(eigenvalues);
  for (double& z : row) z /= static_cast<double>(std::ssize(eigenvalues));
  return row;
}

}  // namespace orrery
