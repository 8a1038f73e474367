#include "kernels/ctf.hpp"

#include <cmath>
#include <numbers>
#include <vector>

#include "kernels/check.hpp"
#include "kernels/fast_sine.hpp"
#include "kernels/parallel_for.hpp"
#include "kernels/slice_grid.hpp"
#include "kernels/tensor.hpp"

namespace orrery {
namespace {

/// One image's transfer function of frequencies k counted in cycles a box. Astigmatism as a
/// quadratic form, cos 2 (phi - angle) |k|^2 written out, needs no angle of k.
template <class T>
struct Lens {
  T constant, round, cosine, sine, quartic, scale, decay;

  ORRERY_HOST_DEVICE T wave(T kx, T ky) const {
    const T xx = kx * kx, yy = ky * ky, square = xx + yy;
    const T phase =
        constant + square * (round + square * quartic) + cosine * (xx - yy) + sine * (2 * kx * ky);
    return scale * fast_sine(phase);
  }
  /// Apart because it is rare and its exponential does not vectorise.
  ORRERY_HOST_DEVICE T envelope(T kx, T ky) const { return std::exp(decay * (kx * kx + ky * ky)); }
};

template <class T>
Lens<T> lens_of(const CtfParameters& p, double box) {
  constexpr double pi = std::numbers::pi, degree = pi / 180;
  const double wavelength = electron_wavelength(p.voltage);
  const double aberration = 1e7 * p.spherical_aberration;  // angstrom
  const double square = 1 / (box * box);                   // of a cycle a box
  const double turns = pi * wavelength * square;           // of phase for an angstrom of defocus
  const double astigmatism = turns * (p.defocus_u - p.defocus_v) / 2;
  const double angle = 2 * p.defocus_angle * degree;
  const auto as_t = [](double number) { return static_cast<T>(number); };
  return {as_t(p.phase_shift * degree + std::asin(p.amplitude_contrast)),
          as_t(turns * (p.defocus_u + p.defocus_v) / 2),
          as_t(astigmatism * std::cos(angle)),
          as_t(astigmatism * std::sin(angle)),
          as_t(-pi / 2 * aberration * std::pow(wavelength, 3) * square * square),
          as_t(p.scale),
          as_t(-p.b_factor / 4 * square)};
}

/// One thread a pixel.
template <class T>
struct ContrastTransfer {
  SliceGrid grid;
  Quotient image_of;
  const Lens<T>* lenses;
  T* c;

  ORRERY_HOST_DEVICE void operator()(Index i) const {
    const Index image = image_of(i);
    const auto k = grid(i - image * grid.n * grid.n);
    const T kx = static_cast<T>(k.x), ky = static_cast<T>(k.y);
    const Lens<T>& lens = lenses[image];
    const T wave = lens.wave(kx, ky);
    c[i] = lens.decay == 0 ? wave : wave * lens.envelope(kx, ky);
  }
};

/// On the CPU a lens stays in registers over a row, which vectorises; the half of the plane before
/// the middle row mirrors the other.
template <class T>
void fill_image(const Lens<T>& lens, int n, T* c) {
  const int h = n / 2;
  for (int ky = 0; ky <= h; ++ky) {
    T* const row = c + (ky + h) * n;
#pragma omp simd
    for (int ix = 0; ix < n; ++ix) row[ix] = lens.wave(static_cast<T>(ix - h), static_cast<T>(ky));
    if (lens.decay != 0)
      for (int ix = 0; ix < n; ++ix)
        row[ix] *= lens.envelope(static_cast<T>(ix - h), static_cast<T>(ky));
    T* const mirror = c + (h - ky) * n;
    if (ky > 0)
      for (int ix = 0; ix < n; ++ix) mirror[ix] = row[n - 1 - ix];
  }
}

}  // namespace

double electron_wavelength(double voltage_kv) {
  const double volt = 1e3 * voltage_kv;
  return 12.2643247 / std::sqrt(volt * (1 + 0.978466e-6 * volt));
}

template <class T>
void contrast_transfer(const Context& ctx, View<const CtfParameters, 1> parameters, int n,
                       double box, View<T, 2> c) {
  require_odd("contrast_transfer", n);
  require(box > 0 && std::isfinite(box), "contrast_transfer", "the box must have a positive edge");
  const Index images = parameters.size(), pixels = static_cast<Index>(n) * n;
  require_shape("contrast_transfer", "c", c, {images, pixels});
  if (images == 0) return;
  std::vector<Lens<T>> lenses;
  for (const CtfParameters& p : parameters) lenses.push_back(lens_of<T>(p, box));
  if (ctx.backend() == Backend::cpu) {
#pragma omp parallel for schedule(static) num_threads(ctx.threads())
    for (Index b = 0; b < images; ++b)
      fill_image(lenses[static_cast<std::size_t>(b)], n, c.data + b * pixels);
    return;
  }
  const auto on_device = upload(ctx, View<const Lens<T>, 1>(lenses.data(), images));
  parallel_for(ctx, "contrast transfer", images * pixels,
               ContrastTransfer<T>{SliceGrid(n), Quotient(pixels), on_device.data(), c.data});
}

#define ORRERY_INSTANTIATE(T)                                                                   \
  template void contrast_transfer<T>(const Context&, View<const CtfParameters, 1>, int, double, \
                                     View<T, 2>);
ORRERY_INSTANTIATE(float)
ORRERY_INSTANTIATE(double)
#undef ORRERY_INSTANTIATE

}  // namespace orrery
