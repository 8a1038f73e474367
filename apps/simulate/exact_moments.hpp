#pragma once

#include "apps/simulate/imaging.hpp"
#include "kernels/tensor.hpp"

namespace orrery {

/// The moments that estimates from images of `truth` tend to, without noise and CTF: over the table
/// that views are drawn from, or over the mixture by a product rule, Gauss-Legendre in cos tilt and
/// equispaced in rot and psi, that integrates everything of degree < 48;
/// blurred by the shifts, and scaled by the mean contrast and the mean of its square.
struct ExactMoments {
  Tensor<float, 1> first;   // (D)
  Tensor<float, 2> second;  // (D,D)
};
ExactMoments exact_moments(const Context& ctx, const SimulateOptions& options, const Volume& truth,
                           const Circumstances& circumstances, double mean_contrast,
                           double mean_squared_contrast);

}  // namespace orrery
