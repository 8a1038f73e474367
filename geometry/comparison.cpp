#include "geometry/comparison.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>
#include <string>

#include "kernels/check.hpp"
#include "kernels/fft.hpp"

namespace orrery {

namespace {

void require_same_size(const char* what, const Volume& a, const Volume& b) {
  if (a.n != b.n)
    throw InputError(std::string(what) + " needs volumes of one size, not of " +
                     std::to_string(a.n) + " and " + std::to_string(b.n) + " voxels an edge");
}

}  // namespace

std::vector<double> fourier_shell_correlation(const Context& ctx, const Volume& a,
                                              const Volume& b) {
  require_same_size("a Fourier shell correlation", a, b);
  const Context host = ctx.backend() == Backend::cpu ? ctx : Context::cpu();
  const int n = a.n, c = n / 2, shells = (n - 1) / 2 + 1;
  const auto spectrum_of = [&](const Volume& v) {
    Tensor<std::complex<double>, 4> spectrum(host, 1, n, n, n);
    std::copy(v.voxels.begin(), v.voxels.end(), spectrum.data());
    fft_3d<double>(host, FftDirection::forward, spectrum);
    return spectrum;
  };
  const auto spectrum_a = spectrum_of(a), spectrum_b = spectrum_of(b);
  std::vector<double> cross_power(shells), power_a(shells), power_b(shells);
  for (int z = 0; z < n; ++z)
    for (int y = 0; y < n; ++y)
      for (int x = 0; x < n; ++x) {
        const auto shell = std::lround(norm({double(x - c), double(y - c), double(z - c)}));
        if (shell >= shells) continue;
        const auto va = spectrum_a(0, z, y, x), vb = spectrum_b(0, z, y, x);
        cross_power[shell] += (va * std::conj(vb)).real();
        power_a[shell] += std::norm(va);
        power_b[shell] += std::norm(vb);
      }

  // Voxels are floats: their rounding puts about 1e-15 of the power into every shell.
  constexpr double rounding = 1e-13;
  const double least_a = rounding * std::pow(frobenius_norm(a), 2);
  const double least_b = rounding * std::pow(frobenius_norm(b), 2);
  std::vector<double> fsc(shells, 0.0);
  for (int s = 0; s < shells; ++s)
    if (power_a[s] > least_a && power_b[s] > least_b)
      fsc[s] = cross_power[s] / std::sqrt(power_a[s] * power_b[s]);
  return fsc;
}

Resolution resolution_at(const std::vector<double>& fsc, double threshold, double box_angstrom) {
  for (std::size_t s = 1; s < fsc.size(); ++s)
    if (fsc[s] < threshold) {
      const double before = fsc[s - 1];
      const double past = before > threshold ? (before - threshold) / (before - fsc[s]) : 1;
      const double shell = static_cast<double>(s) - 1 + past;
      return {shell, box_angstrom / shell, true};
    }
  const double last = fsc.empty() ? 0 : static_cast<double>(fsc.size()) - 1;
  return {last, box_angstrom / last, false};
}

double relative_error(const Volume& fixed, const Volume& moved) {
  require_same_size("a relative error", fixed, moved);
  double total = 0;
  for (std::size_t i = 0; i < fixed.voxels.size(); ++i) {
    const double difference = double(fixed.voxels[i]) - double(moved.voxels[i]);
    total += difference * difference;
  }
  return std::sqrt(total) / frobenius_norm(fixed);
}

double correlation(const Volume& a, const Volume& b) {
  require_same_size("a correlation", a, b);
  const double norms = frobenius_norm(a) * frobenius_norm(b);
  if (!(norms > 0)) throw InputError("a volume is zero; it correlates with nothing");
  double total = 0;
  for (std::size_t i = 0; i < a.voxels.size(); ++i)
    total += double(a.voxels[i]) * double(b.voxels[i]);
  return total / norms;
}

Volume masked(const Volume& v, double radius_voxels, double soft_edge_voxels) {
  Volume out = v;
  const int n = v.n, c = n / 2;
  for (int z = 0; z < n; ++z)
    for (int y = 0; y < n; ++y)
      for (int x = 0; x < n; ++x) {
        const double outside = norm({double(x - c), double(y - c), double(z - c)}) - radius_voxels;
        double kept = 1;
        if (outside > 0)
          kept = outside < soft_edge_voxels
                     ? 0.5 * (1 + std::cos(std::numbers::pi * outside / soft_edge_voxels))
                     : 0;
        out.view()(z, y, x) = static_cast<float>(kept * v.view()(z, y, x));
      }
  return out;
}

}  // namespace orrery
