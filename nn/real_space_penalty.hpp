#pragma once

#include "kernels/tensor.hpp"

namespace orrery {

/// The Fourier coefficients that make a real volume on the n^3 grid with nothing beyond the ball
/// |k| <= (n-1)/2: k = 0 first, then one of each pair +-k, whose other has the conjugate value.
template <class T>
struct RealSpaceGrid {
  int n = 0;
  Tensor<T, 2> coordinates;    // (Q, 3): k / ((n-1)/2) in the order x, y, z
  Tensor<int, 1> frequencies;  // (Q): where k is in the centred (z, y, x) grid; -k at n^3-1-that

  Index count() const { return frequencies.size(); }
};

/// Throws std::invalid_argument unless n is odd and 3 <= n <= 1289.
template <class T>
RealSpaceGrid<T> make_real_space_grid(const Context& ctx, int n);

/// v(x) = n^(-3/2) sum_{|k| <= (n-1)/2} exp(2 pi i k.x / n) F(k): the unitary inverse transform,
/// x and k counted from the grid's centre. The imaginary part of F(0), which a real volume does not
/// have, is ignored.
/// Shapes   half (Q, 2) as (re, im)  voxels (n, n, n), z slowest.
/// Throws   std::invalid_argument on a shape mismatch.
/// Cost     one complex 3-D FFT and its memory. T is float or double; deterministic.
template <class T>
void to_density(const Context& ctx, const RealSpaceGrid<T>& grid, View<const T, 2> half,
                View<T, 3> voxels);
/// The adjoint of to_density: dhalf (overwritten) from dvoxels.
template <class T>
void to_density_adjoint(const Context& ctx, const RealSpaceGrid<T>& grid, View<const T, 3> dvoxels,
                        View<T, 2> dhalf);

struct RealSpacePenaltySettings {
  double support_radius = 0;  // in voxels from the grid's centre
  double weight = 0.3;
  double scale = 1;  // norm expected of v, so that the weight means the same for every map
};

/// What density should not be: negative, or outside the support ball.
///   P = weight / scale^2 sum_x r(x)^2,  r(x) = v(x) where |x| > support_radius, min(v(x), 0)
///   elsewhere,  v = to_density(half).
/// P is continuously differentiable: dP/dv = 2 weight / scale^2 r. Returns P and overwrites dhalf
/// with its gradient.
/// Throws   std::invalid_argument on a shape mismatch, a negative weight, or scale <= 0.
/// Cost     two complex 3-D FFTs. T is float or double; deterministic.
/// The second form leaves P, penalty (1), on ctx's backend, and waits for nothing.
template <class T>
double real_space_penalty(const Context& ctx, const RealSpaceGrid<T>& grid,
                          const RealSpacePenaltySettings& settings, View<const T, 2> half,
                          View<T, 2> dhalf);
template <class T>
void real_space_penalty(const Context& ctx, const RealSpaceGrid<T>& grid,
                        const RealSpacePenaltySettings& settings, View<const T, 2> half,
                        View<T, 2> dhalf, View<double, 1> penalty);

}  // namespace orrery
