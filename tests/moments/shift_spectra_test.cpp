#include "moments/shift_spectra.hpp"

#include <cmath>
#include <numbers>

#include "kernels/random.hpp"
#include "tests/support/compare.hpp"
#include "tests/support/shift_observations.hpp"

namespace orrery::test {
namespace {

/// |sum_j x_j e^(-2 pi i j k / n)|^2 / n
std::vector<double> power_of(const std::vector<double>& x) {
  const Index n = std::ssize(x);
  std::vector<double> power(n);
  for (Index k = 0; k < n; ++k) {
    double re = 0, im = 0;
    for (Index j = 0; j < n; ++j) {
      const double angle = 2 * std::numbers::pi * static_cast<double>(j * k % n) / double(n);
      re += x[j] * std::cos(angle);
      im += x[j] * std::sin(angle);
    }
    power[k] = (re * re + im * im) / static_cast<double>(n);
  }
  return power;
}

TEST(ShiftSpectra, AreThePowerWhereItStandsOut) {
  for (Index n : {9, 16}) {
    RandomSequence random(n, 5);
    ShiftPair pair{std::vector<double>(n), std::vector<double>(n)};
    double sum = 0;
    for (Index i = 0; i < n; ++i) {
      pair.signal[i] = random.normal();
      sum += pair.density[i] = random.uniform();
    }
    for (double& p : pair.density) p /= sum;
    const auto spectra = estimate_shift_spectra(exact_moments(pair).second, 1, 1e20);
    const auto signal = power_of(pair.signal);
    // Never less, by rounding, than was measured; and as often that as the smooth fit allows.
    int equal = 0;
    for (Index k = 1; k < n; ++k) {
      EXPECT_GT(spectra.signal[k], (1 - 1e-6) * signal[k]);
      equal += spectra.signal[k] < (1 + 1e-6) * signal[k];
      EXPECT_EQ(spectra.signal[k], spectra.signal[n - k]);
      EXPECT_EQ(spectra.density[k], spectra.density[n - k]);
    }
    EXPECT_GE(equal, 2);
  }
}

TEST(ShiftSpectra, DieOutWithSmoothSignalsHoweverLong) {
  for (Index n : {41, 151}) {
    const ShiftPair pair = mixture_pair(n, 2, 100);
    const auto moments = noisy_moments(pair, 1, 1e6, 500);
    const auto spectra = estimate_shift_spectra(moments.second, 1, 1e6);
    const auto signal = power_of(pair.signal), density = power_of(pair.density);
    for (Index k : {1, 2, 3}) {
      EXPECT_LT(std::abs(std::log(spectra.signal[k] / signal[k])), 2.5) << k;
      EXPECT_LT(std::abs(std::log(spectra.density[k] / density[k])), 2.5) << k;
    }
    // A Gaussian 0.03 wide keeps e^-56 of its power at frequency 40, and what is wider less.
    for (Index k = 18; 2 * k <= n; ++k) {
      EXPECT_LT(spectra.signal[k], 1e-4 * spectra.signal[1]) << k;
      EXPECT_LT(spectra.density[k], 1e-3 * spectra.density[1]) << k;
    }
  }
}

TEST(ShiftSpectra, StayFlatWithWhiteSignals) {
  const Index n = 41;
  RandomSequence random(2, 5);
  ShiftPair pair = mixture_pair(n, 2, 100);
  for (double& v : pair.signal) v = random.normal() / std::sqrt(double(n));
  const auto spectra = estimate_shift_spectra(noisy_moments(pair, 1, 1e6, 500).second, 1, 1e6);
  for (Index k = 0; k < n; ++k) EXPECT_GT(spectra.signal[k], 0.2 / double(n));
}

TEST(CirculantRow, HasThoseEigenvalues) {
  const Index n = 7;
  const std::vector<double> eigenvalues = {5, 1, 2, -3, -3, 2, 1};
  const auto row = circulant_row(eigenvalues);
  for (Index k = 0; k < n; ++k)
    for (Index i = 0; i < n; ++i) {
      auto wave = [&](Index j) {
        return std::cos(2 * std::numbers::pi * double(j * k) / double(n) + 0.4);
      };
      double product = 0;
      for (Index j = 0; j < n; ++j) product += row[(j - i + n) % n] * wave(j);
      EXPECT_NEAR(product, eigenvalues[k] * wave(i), 1e-12);
    }
}

TEST(ShiftSpectra, RejectWhatDoesNotFit) {
  const Tensor<double, 2> oblong(Context::cpu(1), 4, 5), tiny(Context::cpu(1), 2, 2);
  EXPECT_THROW(estimate_shift_spectra(oblong, 1, 1), std::invalid_argument);
  EXPECT_THROW(estimate_shift_spectra(tiny, 1, 1), std::invalid_argument);
}

}  // namespace
}  // namespace orrery::test
