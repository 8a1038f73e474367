#pragma once

#include <vector>

#include "kernels/view.hpp"

namespace orrery {

/// Power |x^(k)|^2 of the unitary Fourier coefficients to be expected of a signal and of a density
/// of shifts about its mean 1/n, (n) each, k and n - k alike, none zero.
struct ShiftSpectra {
  std::vector<double> signal, density;
};

/// Both spectra from the second moment alone, before signal or density are known. With
/// M2(k, k - d) = v^(k) rho(d) conj v^(k - d), the Fourier form of C, rho being the density's
/// transform without the factor 1/sqrt(n),
///
///   |v^(k)|^2 = M2(k,k),    |rho(d)|^2 = sum_k |M2(k, k - d)|^2 / sum_k |v^(k)|^2 |v^(k - d)|^2,
///
/// the noise's expected share being taken off the latter. These are noisy, and useless where they
/// drown: so a smooth spectrum, log S(k) = a - b k - c k^2 with b, c >= 0, is fitted to them, each
/// known to the deviation that the noise gives it, and measured power takes its place where it
/// stands out by four deviations. The signal's spectrum comes first and is the |v^|^2 of the
/// density's. That is of the shifts as drawn: their scatter about p, 1/(n N), is part of it.
///
/// noise_variance is that of a sample of an observation, `observations` how many were averaged.
/// Shapes   second (n,n), symmetric, n >= 3; host memory.
/// Cost     2 n^3 flop.
ShiftSpectra estimate_shift_spectra(View<const double, 2> second, double noise_variance,
                                    double observations);

/// First row of the symmetric circulant matrix that multiplies unitary Fourier coefficients by
/// `eigenvalues` (n), which are even in k.
std::vector<double> circulant_row(const std::vector<double>& eigenvalues);

}  // namespace orrery
