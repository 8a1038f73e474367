#include "geometry/projector.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <numbers>
#include <vector>

#include "kernels/check.hpp"
#include "kernels/fft.hpp"
#include "kernels/parallel_for.hpp"

namespace orrery {

namespace {

constexpr double two_pi = 2 * std::numbers::pi;
constexpr int taps = SampledSpectrum::taps, degree = SampledSpectrum::degree;

using Polynomial = std::array<double, degree + 1>;  // sum_d c[d] u^d on [-1/2, 1/2]

double value_at(const Polynomial& c, double u) {
  double value = 0;
  for (int d = degree; d >= 0; --d) value = value * u + c[d];
  return value;
}

/// The polynomial through f at the Chebyshev points, where interpolation is all but the best fit.
template <class F>
Polynomial fitted(const F& f) {
  std::array<double, degree + 1> node, difference;
  for (int i = 0; i <= degree; ++i) {
    node[i] = 0.5 * std::cos(std::numbers::pi * (i + 0.5) / (degree + 1));
    difference[i] = f(node[i]);
  }
  for (int order = 1; order <= degree; ++order)
    for (int i = degree; i >= order; --i)
      difference[i] = (difference[i] - difference[i - 1]) / (node[i] - node[i - order]);
  // Newton's form to powers of u.
  Polynomial c{};
  for (int i = degree; i >= 0; --i) {
    for (int d = degree; d > 0; --d) c[d] = c[d - 1] - node[i] * c[d];
    c[0] = difference[i] - node[i] * c[0];
  }
  return c;
}

/// Kaiser and Bessel's window over six samples as a polynomial a tap, with the width that suits
/// the oversampling (Beatty, Nishimura, Pauly 2005).
std::array<Polynomial, taps> kaiser_bessel(double oversampling) {
  const double ratio = taps / oversampling * (oversampling - 0.5);
  const double beta = std::numbers::pi * std::sqrt(ratio * ratio - 0.8);
  std::array<Polynomial, taps> window;
  for (int j = 0; j < taps; ++j)
    window[j] = fitted([&](double u) {
      const double x = 2 * (j - 0.5 * (taps - 1) - u) / taps;  // -1 .. 1 across the window
      return std::cyl_bessel_i(0.0, beta * std::sqrt(std::max(0.0, 1 - x * x))) /
             std::cyl_bessel_i(0.0, beta);
    });
  return window;
}

/// What a voxel at `position` is multiplied by so that interpolation between samples N to the
/// frequency period gives its wave exp(-2 pi i k position) with the least squared error, over all
/// places of k between two samples.
double deconvolution(const std::array<Polynomial, taps>& window, double position, int period) {
  constexpr int places = 64;
  double cross = 0, power = 0;
  for (int i = 0; i < places; ++i) {
    const double u = (i + 0.5) / places - 0.5;
    std::complex<double> sum = 0;  // of the taps, relative to the wave itself
    for (int j = 0; j < taps; ++j)
      sum += value_at(window[j], u) *
             std::polar(1.0, -two_pi * position / period * (j - 0.5 * (taps - 1) - u));
    cross += sum.real();
    power += std::norm(sum);
  }
  return cross / power;
}

/// The smallest even number of at least `least` whose only prime factors are 2, 3 and 5.
int easy_transform_length(int least) {
  for (int length = least + least % 2;; length += 2) {
    int rest = length;
    for (const int prime : {2, 3, 5})
      while (rest % prime == 0) rest /= prime;
    if (rest == 1) return length;
  }
}

/// Copies the points of Hermitian half planes and their opposites into centred m x m spectra of
/// (re, im).
struct SpreadSlices {
  Index n, points, m;
  float scale;
  const float* h;
  float* spectra;

  ORRERY_HOST_DEVICE void operator()(Index i) const {
    const Index slice = i / points, p = i - slice * points, pixel = p + points - 1;
    const Index kx = pixel % n - n / 2, ky = pixel / n - n / 2;
    const float* origin = h + slice * n * n + points - 1;
    const float re = 0.5f * scale * (origin[p] + origin[-p]);
    const float im = 0.5f * scale * (origin[-p] - origin[p]);
    float* centre = spectra + 2 * (slice * m * m + (m / 2) * m + m / 2);
    const Index offset = 2 * (ky * m + kx);
    centre[offset] = re;
    centre[offset + 1] = im;
    centre[-offset] = re;
    if (p > 0) centre[-offset + 1] = -im;
  }
};

struct RealPart {
  const float* spectra;
  float* images;
  ORRERY_HOST_DEVICE void operator()(Index i) const { images[i] = spectra[2 * i]; }
};

}  // namespace

Projector::Projector(const Context& ctx, const Volume& volume, double oversampling) : ctx_(ctx) {
  require(oversampling > 1, "Projector", "the oversampling must be above 1");
  const Context host = ctx.backend() == Backend::cpu ? ctx : Context::cpu(ctx.threads());
  const Volume v = fourier_crop(host, volume, odd_below(volume.n));
  n_ = v.n;
  const int period = easy_transform_length(static_cast<int>(std::ceil(oversampling * n_)));
  spacing_ = static_cast<float>(period) / static_cast<float>(n_);

  const auto window = kaiser_bessel(double(period) / n_);
  Tensor<float, 2> coefficients(host, degree + 1, taps);
  for (int d = 0; d <= degree; ++d)
    for (int j = 0; j < taps; ++j) coefficients(d, j) = static_cast<float>(window[j][d]);

  // The unitary transform has the factor period^(-3/2) and a slice sqrt(n) n^(-3/2).
  std::vector<double> along(n_);
  for (int x = 0; x < n_; ++x)
    along[x] = std::sqrt(period) / std::cbrt(n_) * deconvolution(window, x - n_ / 2, period);
  auto spectrum = Tensor<std::complex<float>, 4>::zeros(host, 1, period, period, period);
  const int corner = period / 2 - n_ / 2;
  for (int z = 0; z < n_; ++z)
    for (int y = 0; y < n_; ++y)
      for (int x = 0; x < n_; ++x)
        spectrum(0, corner + z, corner + y, corner + x) =
            static_cast<float>(along[z] * along[y] * along[x] * v.view()(z, y, x));
  fft_3d<float>(host, FftDirection::forward, spectrum);

  // The spectrum of voxels at whole positions repeats itself with its period.
  const auto [edge, width] = SampledSpectrum::needed(n_, spacing_);
  Tensor<float, 4> samples(host, edge, edge, width, 2);
  const auto wrapped = [&](Index k) { return ((k + period / 2) % period + period) % period; };
  for (Index z = 0; z < edge; ++z)
    for (Index y = 0; y < edge; ++y)
      for (Index x = 0; x < width; ++x) {
        const auto value =
            spectrum(0, wrapped(z - edge / 2), wrapped(y - edge / 2), wrapped(x - 2));
        samples(z, y, x, 0) = value.real();
        samples(z, y, x, 1) = value.imag();
      }
  samples_ = upload(ctx, samples);
  window_ = upload(ctx, coefficients);
}

void Projector::project(View<const float, 3> rotations, View<float, 2> h) const {
  interpolate_slices(ctx_, n_, {samples_, window_, spacing_}, rotations, h);
}

void images_of_slices(const Context& ctx, int n, View<const float, 2> h, View<float, 3> images) {
  const char* name = "images_of_slices";
  const Index batch = h.extent(0), m = images.extent(1);
  require(n > 0 && n % 2 == 1 && n <= m, name, "n must be odd, positive and at most m");
  require_shape(name, "h", h, {batch, Index{n} * n});
  require_shape(name, "images", images, {batch, m, m});
  auto spectra = Tensor<std::complex<float>, 3>::zeros(ctx, batch, m, m);
  const Index points = (Index{n} * n + 1) / 2;
  const float scale = static_cast<float>(double(m) * double(m) / (double(n) * n));
  float* const parts = reinterpret_cast<float*>(spectra.data());  // re and im in turn
  parallel_for(ctx, "images: spread", batch * points,
               SpreadSlices{n, points, m, scale, h.data, parts});
  fft_2d<float>(ctx, FftDirection::inverse, spectra);
  parallel_for(ctx, "images: real part", batch * m * m, RealPart{parts, images.data});
}

}  // namespace orrery
