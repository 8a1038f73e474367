#pragma once

#include <array>
#include <string>
#include <vector>

#include "geometry/rotation.hpp"
#include "kernels/context.hpp"
#include "kernels/tensor.hpp"

namespace orrery {

/// A cubic density map on the host: n^3 voxels, index (z n + y) n + x, x fastest, cubic voxels of
/// `voxel_size` angstrom. The centre is voxel (n-1)/2 for odd n and n/2 for even n.
struct Volume {
  int n = 0;
  double voxel_size = 1;       // angstrom
  Vector3 origin = {0, 0, 0};  // angstrom, position of voxel (0,0,0), as in the MRC header
  std::vector<float> voxels;

  View<float, 3> view() { return {voxels.data(), n, n, n}; }
  View<const float, 3> view() const { return {voxels.data(), n, n, n}; }
  double box() const { return n * voxel_size; }
};

double frobenius_norm(const Volume& v);
/// The volume scaled to Frobenius norm 1. Throws InputError when it is zero or not finite.
Volume normalised(const Volume& v);

/// The density resampled to odd n voxels by cutting (or padding) its centred Fourier transform; the
/// box keeps its length, the voxel size becomes box / n, the centre stays the centre.
/// Scaled so that densities keep their values. Throws InputError on even or non-positive n.
Volume fourier_crop(const Context& ctx, const Volume& v, int n);

/// Largest odd number not above n.
int odd_below(int n);

/// Four Gaussians, not coplanar, in a box of n voxels of 1 angstrom: the built-in phantom. Density
/// is positive, compact (under 1e-3 of the peak at the box's inscribed sphere), norm 1.
struct Gaussian3 {
  Vector3 mean;                      // fraction of the box, origin at the centre
  std::array<double, 9> covariance;  // fraction of the box, squared, row-major
  double weight;
};
std::vector<Gaussian3> phantom_gaussians();
Volume phantom(int n = 25);

/// A volume's transform at any frequencies, exactly as a trigonometric sum:
///   f(k) = scale n^(-3/2) sum_x v(x) exp(-2 pi i k.x / n), x centred, k in cycles a box (not
/// necessarily integers): with scale 1 the unitary DFT where k is integer. What is asked of the
/// same volume over and over is prepared once.
/// Shapes   frequencies (N,3), values (N,2) as (re, im), both on ctx's backend.
/// Throws   std::invalid_argument on a shape mismatch.
/// Cost     4 N n^3 flop as matrix products.
/// Memory   n^3 numbers; in a call on CUDA as many as transform_scratch_on_device says besides.
template <class T>
class VolumeTransform {
 public:
  VolumeTransform(const Context& ctx, const Volume& v, double scale = 1);
  void operator()(View<const T, 2> frequencies, View<T, 2> values) const;

 private:
  Context ctx_;
  int n_;
  T factor_;
  Tensor<T, 6> octants_;
};

/// Numbers that a call on CUDA takes besides, where it is asked for points enough: 2 n^2 and a few
/// for each of up to 65536 at a time, about a GiB of floats in all at the most where n < 360.
Index transform_scratch_on_device(int n);

/// A VolumeTransform once, with scale 1.
template <class T>
void volume_transform_at(const Context& ctx, const Volume& v, View<const T, 2> frequencies,
                         View<T, 2> values);

/// Half planes of the slices at the given rotations, scaled as projections (a sum along z):
/// sqrt(n) times the transform inside the Nyquist disc |k| <= n/2, zero outside. Result (B, P, 2),
/// P = (n^2+1)/2; see kernels/slices.hpp.
Tensor<float, 3> slices_of(const Context& ctx, const Volume& v,
                           const std::vector<Rotation>& rotations);

/// R.v, or R.(-I.v) for `mirror`, moved by `shift` voxels afterwards, evaluated through the Fourier
/// transform inside the ball |k| <= (n-1)/2; odd n. Single precision, 2 n^6 flop: a fraction of a
/// second for 63 voxels, some ten seconds for 101.
Volume rotated(const Context& ctx, const Volume& v, const Rotation& r,
               const Vector3& shift = {0, 0, 0}, bool mirror = false);

/// The other hand: v(-x).
Volume mirrored(const Volume& v);

/// The volume with all frequencies outside the ball |k| <= radius (cycles a box) set to zero.
Volume band_limited(const Context& ctx, const Volume& v, double radius);

}  // namespace orrery
