#pragma once

#include <array>
#include <bit>

#include "kernels/context.hpp"
#include "kernels/view.hpp"

namespace orrery {

/// What one micrograph's optics do to an image, in the units of RELION's STAR files.
struct CtfParameters {
  double voltage = 300;               // kV
  double spherical_aberration = 2.7;  // mm
  double amplitude_contrast = 0.1;    // Q, in [0, 1)
  double defocus_u = 0;               // angstrom, positive under focus, along the angle
  double defocus_v = 0;               // angstrom, across it
  double defocus_angle = 0;           // degrees, from the x axis
  double phase_shift = 0;             // degrees, of a phase plate
  double b_factor = 0;                // square angstrom
  double scale = 1;
};

/// All of them, for those who tell one from another.
inline std::array<double, 9> numbers_of(const CtfParameters& parameters) {
  return std::bit_cast<std::array<double, 9>>(parameters);
}

/// Wavelength of the electrons in angstrom: 12.2643247 / sqrt(V (1 + 0.978466e-6 V)), V in volt.
double electron_wavelength(double voltage_kv);

/// The contrast transfer function on a centred n x n grid of frequencies of an image whose edge is
/// `box` angstrom (see kernels/slices.hpp for the grid; s = k / box, in 1/angstrom):
///   c(k) = scale exp(-B s^2 / 4) sin(pi lambda D(phi) s^2 - pi/2 Cs lambda^3 s^4 + phase + asin Q)
///   D(phi) = (U + V)/2 + (U - V)/2 cos(2 (phi - angle)),   phi = atan2(ky, kx).
/// Positive at low frequencies: particles are bright, as in RELION. Real and even, so that it
/// multiplies Hartley coefficients one by one.
/// Shapes   parameters (B), on the host  c (B,n^2) on ctx's backend; n odd.
/// Throws   std::invalid_argument on even n, a shape mismatch or box <= 0.
template <class T>
void contrast_transfer(const Context& ctx, View<const CtfParameters, 1> parameters, int n,
                       double box, View<T, 2> c);

}  // namespace orrery
