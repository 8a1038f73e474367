#include "apps/mra/noise.hpp"

#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "kernels/check.hpp"

namespace orrery {

namespace {

/// sum_d a[d] exp(-2 pi i k d / n), as its squared modulus and its real part.
struct Coefficient {
  double real = 0, imaginary = 0;
  double power() const { return real * real + imaginary * imaginary; }
};
Coefficient coefficient(const std::vector<double>& numbers, Index k) {
  const auto n = static_cast<Index>(numbers.size());
  Coefficient c;
  for (Index d = 0; d < n; ++d) {
    const double angle = 2 * std::numbers::pi * double(k * d % n) / double(n);
    c.real += numbers[d] * std::cos(angle);
    c.imaginary -= numbers[d] * std::sin(angle);
  }
  return c;
}

/// Mean of the second moment's d-th circular diagonal.
std::vector<double> circular_diagonals(View<const double, 2> second) {
  const Index n = second.extent(0);
  std::vector<double> means(n, 0.0);
  for (Index i = 0; i < n; ++i)
    for (Index d = 0; d < n; ++d) means[d] += second(i, (i + d) % n) / double(n);
  return means;
}

}  // namespace

NoiseEstimate estimate_noise(View<const double, 1> first, View<const double, 2> second,
                             Index observations) {
  const Index n = first.extent(0);
  require_shape("estimate_noise", "second", second, {n, n});
  require(observations > 0, "estimate_noise", "there are no observations");
  // For even n the frequency n/2 stands for one real number a transform, not two: it is left out.
  const Index highest = (n - 1) / 2, frequencies = std::max<Index>(3, highest / 4);
  NoiseEstimate estimate;
  if (highest <= frequencies) {
    estimate.doubt = fmt::format("observations of {} samples have too few frequencies", n);
    return estimate;
  }
  const auto diagonals = circular_diagonals(second);
  const std::vector<double> mean(first.begin(), first.end());
  std::vector<double> power;
  double coherent = 0;  // power of the mean observation
  for (Index k = highest - frequencies + 1; k <= highest; ++k) {
    power.push_back(coefficient(diagonals, k).real);
    coherent += coefficient(mean, k).power() / double(n);
  }
  const double count = double(observations), band = double(frequencies);
  for (const double p : power) estimate.variance += p / band;
  // The power of one observation's noise at one frequency is exponentially distributed.
  estimate.standard_error = estimate.variance / std::sqrt(count * band);

  double spread = 0;  // chi-squared, with one degree of freedom less than there are frequencies
  for (const double p : power) spread += std::pow(p - estimate.variance, 2);
  spread *= count / (estimate.variance * estimate.variance);
  if (!(estimate.variance > 0))
    estimate.doubt = "the observations have no power at their highest frequencies";
  else if (spread > band - 1 + 4 * std::sqrt(2 * (band - 1)))
    estimate.doubt = "the signal still has power at the highest frequencies, where that differs";
  else if (coherent > estimate.variance / count * (band + 4 * std::sqrt(band)))
    estimate.doubt = "the signal still has power at the highest frequencies, seen in the mean";
  return estimate;
}

}  // namespace orrery
