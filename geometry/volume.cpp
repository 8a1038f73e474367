#include "geometry/volume.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>
#include <string>

#include "kernels/check.hpp"
#include "kernels/fft.hpp"
#include "kernels/gemm.hpp"
#include "kernels/parallel_for.hpp"
#include "kernels/slices.hpp"

namespace orrery {

namespace {

constexpr double two_pi = 2 * std::numbers::pi;

int centre_of(int n) { return n / 2; }  // (n-1)/2 for odd n

Context host_of(const Context& ctx) { return ctx.backend() == Backend::cpu ? ctx : Context::cpu(); }

// --- The transform at any frequency --------------------------------------------------------------
//
// exp(-i kx x) = cos(kx x) - i sin(kx x), and cos pairs with the part of the volume that is even in
// x, sin with the part that is odd. Folding v along all three axes into its eight parities leaves
// real octants of about (n/2)^3 numbers each, and a quarter of the work of the complex sum:
//   sum_x v(x) exp(-i k.x) = sum over parities p of (-i)^(odd axes) sum_octant v_p t_z t_y t_x,
// with t = cos on an even axis and sin on an odd one. x is contracted by two matrix products (one
// for each parity of x), y and z point by point.

/// The octants as (parity of x, parity of z, parity of y, z, y, x), all lengths h = n/2 + 1.
template <class T>
Tensor<T, 6> fold_by_parity(const Volume& v) {
  const int n = v.n, c = centre_of(n), h = n / 2 + 1;
  auto octants = Tensor<T, 6>::zeros(Context::cpu(1), 2, 2, 2, h, h, h);
  for (int z = 0; z < n; ++z)
    for (int y = 0; y < n; ++y)
      for (int parity = 0; parity < 4; ++parity) {
        const int dz = z - c, dy = y - c, pz = parity / 2, py = parity % 2;
        const T sign = (pz && dz < 0) != (py && dy < 0) ? -1 : 1;
        const float* row = &v.voxels[(static_cast<std::size_t>(z) * n + y) * n];
        T* even = &octants(0, pz, py, std::abs(dz), std::abs(dy), 0);
        T* odd = &octants(1, pz, py, std::abs(dz), std::abs(dy), 0);
        for (int dx = -c; dx < n - c; ++dx) {
          even[std::abs(dx)] += sign * row[c + dx];
          odd[std::abs(dx)] += (dx < 0 ? -sign : sign) * row[c + dx];
        }
      }
  return octants;
}

/// cosine, sine (axis, point, position): of 2 pi k position / n, in double by recurrence.
template <class T>
struct PhaseTables {
  View<const T, 2> frequencies;  // (points, 3)
  View<T, 3> cosine, sine;       // (3, points, h)
  double step;

  ORRERY_HOST_DEVICE void operator()(Index i) const {
    const Index point = i / 3, axis = i % 3;
    const double angle = step * static_cast<double>(frequencies(point, axis));
    const double turn_re = std::cos(angle), turn_im = std::sin(angle);
    double re = 1, im = 0;
    for (Index x = 0; x < cosine.extent(2); ++x) {
      cosine(axis, point, x) = static_cast<T>(re);
      sine(axis, point, x) = static_cast<T>(im);
      const double next = re * turn_re - im * turn_im;
      im = re * turn_im + im * turn_re;
      re = next;
    }
  }
};

/// Sum of products in eight partial sums, so that it vectorises and rounds the same everywhere.
template <class T>
ORRERY_HOST_DEVICE inline T sum_of_products(const T* a, const T* b, Index length) {
  constexpr int lanes = 8;
  T partial[lanes] = {};
  Index i = 0;
  for (; i + lanes <= length; i += lanes)
    for (int lane = 0; lane < lanes; ++lane) partial[lane] += a[i + lane] * b[i + lane];
  T total = 0;
  for (; i < length; ++i) total += a[i] * b[i];
  for (int lane = 0; lane < lanes; ++lane) total += partial[lane];
  return total;
}

/// Contracts y and z of one point's octant planes, already contracted along x.
template <class T>
struct ContractPlanes {
  View<const T, 5> x_even, x_odd;  // (points, parity of z, parity of y, z, y)
  View<const T, 3> cosine, sine;   // (3, points, h)
  T scale;
  View<T, 2> values;  // (points, 2)

  ORRERY_HOST_DEVICE void operator()(Index point) const {
    const T even00 = contract(x_even, point, 0, 0), even01 = contract(x_even, point, 0, 1);
    const T even10 = contract(x_even, point, 1, 0), even11 = contract(x_even, point, 1, 1);
    const T odd00 = contract(x_odd, point, 0, 0), odd01 = contract(x_odd, point, 0, 1);
    const T odd10 = contract(x_odd, point, 1, 0), odd11 = contract(x_odd, point, 1, 1);
    // (-i)^(odd axes): 1, -i, -1, i.
    values(point, 0) = scale * (even00 - even11 - odd01 - odd10);
    values(point, 1) = scale * (odd11 - odd00 - even01 - even10);
  }

  ORRERY_HOST_DEVICE T contract(View<const T, 5> planes, Index point, int parity_z,
                                int parity_y) const {
    const Index h = planes.extent(4);
    const View<const T, 2> plane = planes[point][parity_z][parity_y];
    const View<const T, 1> along_y = (parity_y ? sine : cosine)[1][point];
    const View<const T, 1> along_z = (parity_z ? sine : cosine)[2][point];
    T total = 0;
    for (Index z = 0; z < h; ++z)
      total += along_z(z) * sum_of_products(plane.data + z * h, along_y.data, h);
    return total;
  }
};

template <class T>
class TransformBlock {
 public:
  TransformBlock(const Context& ctx, Index points, int n)
      : n_(n),
        h_(n / 2 + 1),
        cosine_(ctx, 3, points, h_),
        sine_(ctx, 3, points, h_),
        planes_(ctx, 2, points, 4 * h_ * h_) {}

  void operator()(const Context& ctx, View<const T, 6> octants, T scale,
                  View<const T, 2> frequencies, View<T, 2> values) {
    const Index points = frequencies.extent(0);
    const View<T, 3> cosine(cosine_.data(), 3, points, h_), sine(sine_.data(), 3, points, h_);
    parallel_for(ctx, "phase tables", 3 * points,
                 PhaseTables<T>{frequencies, cosine, sine, two_pi / n_});
    View<T, 2> contracted[2];
    for (int parity = 0; parity < 2; ++parity) {
      contracted[parity] = planes_.view()[parity].rows(0, points);
      gemm<T>(ctx, Transpose::no, Transpose::yes, T(1), (parity ? sine : cosine)[0],
              octants[parity].reshaped(4 * h_ * h_, h_), T(0), contracted[parity]);
    }
    parallel_for(ctx, "contract planes", points,
                 ContractPlanes<T>{contracted[0].reshaped(points, 2, 2, h_, h_),
                                   contracted[1].reshaped(points, 2, 2, h_, h_), cosine, sine,
                                   scale, values});
  }

 private:
  int n_;
  Index h_;
  Tensor<T, 3> cosine_, sine_, planes_;
};

/// A thread contracts a point's planes: a device wants many points at a time.
Index points_on_device(int n) {
  constexpr Index most_numbers = Index{1} << 28;
  const Index h = n / 2 + 1;
  return std::clamp<Index>(most_numbers / (8 * h * h), 1024, 65536);
}

}  // namespace

Index transform_scratch_on_device(int n) {
  const Index h = n / 2 + 1;
  return points_on_device(n) * (8 * h * h + 6 * h);
}

template <class T>
VolumeTransform<T>::VolumeTransform(const Context& ctx, const Volume& v, double scale)
    : ctx_(ctx),
      n_(v.n),
      factor_(static_cast<T>(scale * std::pow(v.n, -1.5))),
      octants_(upload(ctx, fold_by_parity<T>(v))) {}

template <class T>
void VolumeTransform<T>::operator()(View<const T, 2> frequencies, View<T, 2> values) const {
  const Index count = frequencies.extent(0);
  require_shape("volume_transform_at", "frequencies", frequencies, {count, 3});
  require_shape("volume_transform_at", "values", values, {count, 2});

  if (ctx_.backend() == Backend::cuda) {
    const Index points = std::min(count, points_on_device(n_));
    TransformBlock<T> block(ctx_, points, n_);
    for (Index first = 0; first < count; first += points) {
      const Index here = std::min(points, count - first);
      block(ctx_, octants_, factor_, frequencies.rows(first, here), values.rows(first, here));
    }
    return;
  }
  // A block's planes stay in the core's own cache, and blocks share nothing.
  constexpr Index points = 32;
  const Index blocks = (count + points - 1) / points;
  const Context one = Context::cpu(1);
#pragma omp parallel num_threads(ctx_.threads())
  {
    TransformBlock<T> block(one, points, n_);
#pragma omp for schedule(dynamic, 8)
    for (Index b = 0; b < blocks; ++b) {
      const Index first = b * points, here = std::min(points, count - first);
      block(one, octants_, factor_, frequencies.rows(first, here), values.rows(first, here));
    }
  }
}

namespace {

// --- Fourier resampling and the ball -------------------------------------------------------------

/// Trigonometric interpolation from `from` to `to` equispaced points about the centre, as a matrix
/// (to, from): the frequencies both grids know, and half of each unpaired one.
Tensor<float, 2> resampling_matrix(int from, int to) {
  Tensor<float, 2> matrix(Context::cpu(1), to, from);
  const int highest = (std::min(from, to) - 1) / 2;
  const bool unpaired = from % 2 == 0 && from < to;
  for (int o = 0; o < to; ++o)
    for (int i = 0; i < from; ++i) {
      const double distance = two_pi * (static_cast<double>(o - centre_of(to)) / to -
                                        static_cast<double>(i - centre_of(from)) / from);
      double sum = 1;
      for (int m = 1; m <= highest; ++m) sum += 2 * std::cos(m * distance);
      if (unpaired) sum += std::cos(0.5 * from * distance);
      matrix(o, i) = static_cast<float>(sum / from);
    }
  return matrix;
}

using Spectrum = Tensor<std::complex<double>, 4>;  // (1, kz, ky, kx), centred

Spectrum spectrum_of(const Context& host, const Volume& v) {
  Spectrum spectrum(host, 1, v.n, v.n, v.n);
  std::copy(v.voxels.begin(), v.voxels.end(), spectrum.data());
  fft_3d<double>(host, FftDirection::forward, spectrum);
  return spectrum;
}

/// `like` with the voxels of that spectrum, which is used up.
Volume volume_of(const Context& host, Spectrum spectrum, const Volume& like) {
  fft_3d<double>(host, FftDirection::inverse, spectrum);
  Volume v = like;
  for (std::size_t i = 0; i < v.voxels.size(); ++i)
    v.voxels[i] = static_cast<float>(spectrum.data()[i].real());
  return v;
}

/// Frequency of entry i of a centred (n, n, n) spectrum.
Vector3 frequency_at(std::size_t i, int n) {
  const int c = centre_of(n), plane = n * n;
  const int index = static_cast<int>(i);
  return {double(index % n - c), double(index / n % n - c), double(index / plane - c)};
}

/// Sets slice points beyond the Nyquist frequency |k| = n/2 to zero: there the trigonometric sum
/// repeats low frequencies that a sampled map knows nothing about.
struct ClearBeyondNyquist {
  Index n, points;
  float* slices;
  ORRERY_HOST_DEVICE void operator()(Index i) const {
    const Index pixel = i % points + points - 1;
    const Index kx = pixel % n - (n - 1) / 2, ky = pixel / n - (n - 1) / 2;
    if (4 * (kx * kx + ky * ky) <= n * n) return;
    slices[2 * i] = 0;
    slices[2 * i + 1] = 0;
  }
};

}  // namespace

double frobenius_norm(const Volume& v) {
  double total = 0;
  for (const float x : v.voxels) total += double(x) * double(x);
  return std::sqrt(total);
}

Volume normalised(const Volume& v) {
  const double size = frobenius_norm(v);
  if (!(size > 0 && std::isfinite(size)))
    throw InputError("the volume is zero or not finite; it cannot be scaled to norm 1");
  Volume scaled = v;
  for (float& x : scaled.voxels) x = static_cast<float>(x / size);
  return scaled;
}

int odd_below(int n) { return n % 2 == 0 ? n - 1 : n; }

Volume fourier_crop(const Context& ctx, const Volume& v, int n) {
  if (n < 1 || n % 2 == 0)
    throw InputError("a box of " + std::to_string(n) +
                     " voxels cannot be used; choose an odd, positive number");
  if (n == v.n) return v;
  const Context host = host_of(ctx);
  const auto matrix = resampling_matrix(v.n, n);
  const int old = v.n;

  // Along x for all rows, along y for each plane, along z for all columns.
  const View<const float, 2> rows(v.voxels.data(), old * old, old);
  Tensor<float, 3> along_x(host, old, old, n), along_y(host, old, n, n);
  gemm<float>(host, Transpose::no, Transpose::yes, 1.0f, rows, matrix, 0.0f,
              along_x.view().reshaped(old * old, n));
  for (int z = 0; z < old; ++z)
    gemm<float>(host, Transpose::no, Transpose::no, 1.0f, matrix, along_x.view()[z], 0.0f,
                along_y.view()[z]);
  Volume out;
  out.n = n;
  out.voxel_size = v.box() / n;
  for (int axis = 0; axis < 3; ++axis)
    out.origin[axis] =
        v.origin[axis] + centre_of(old) * v.voxel_size - centre_of(n) * out.voxel_size;
  out.voxels.resize(static_cast<std::size_t>(n) * n * n);
  gemm<float>(host, Transpose::no, Transpose::no, 1.0f, matrix, along_y.view().reshaped(old, n * n),
              0.0f, out.view().reshaped(n, n * n));
  return out;
}

std::vector<Gaussian3> phantom_gaussians() {
  // A tetrahedron that has been turned, stretched and weighted unequally, so that no symmetry and
  // no mirror plane is left. Covariances in units of 1e-4.
  struct Ingredient {
    Vector3 mean;
    double xx, xy, xz, yy, yz, zz, weight;
  };
  constexpr Ingredient ingredients[] = {
      {{0.012, -0.140, -0.067}, 44, 3, 0, 66, -9, 52, 0.22},
      {{0.046, 0.024, 0.122}, 67, -1, 2, 66, 0, 72, 0.35},
      {{-0.137, -0.018, 0.060}, 58, 6, -11, 69, 11, 90, 0.20},
      {{0.037, 0.106, -0.164}, 64, -16, 0, 70, 5, 59, 0.23},
  };
  Vector3 centre = {0, 0, 0};
  for (const auto& g : ingredients)
    for (int axis = 0; axis < 3; ++axis) centre[axis] += g.weight * g.mean[axis];

  std::vector<Gaussian3> gaussians;
  for (const auto& g : ingredients) {
    Gaussian3 gaussian{g.mean, {g.xx, g.xy, g.xz, g.xy, g.yy, g.yz, g.xz, g.yz, g.zz}, g.weight};
    for (int axis = 0; axis < 3; ++axis) gaussian.mean[axis] -= centre[axis];
    for (double& entry : gaussian.covariance) entry *= 1e-4;
    gaussians.push_back(gaussian);
  }
  return gaussians;
}

Volume phantom(int n) {
  if (n < 1) throw InputError("a phantom needs a box of at least one voxel");
  struct Peak {
    Vector3 mean;
    std::array<double, 9> precision;
    double height;
  };
  std::vector<Peak> peaks;
  for (const auto& g : phantom_gaussians()) {
    // The inverse of a symmetric matrix with rows a, b, c: its rows are b x c, c x a, a x b over
    // the determinant.
    const auto& s = g.covariance;
    const Vector3 a = {s[0], s[1], s[2]}, b = {s[3], s[4], s[5]}, c = {s[6], s[7], s[8]};
    const double determinant = dot(a, cross(b, c));
    Peak peak{g.mean, {}, g.weight / std::sqrt(std::pow(two_pi, 3) * determinant)};
    const Vector3 rows[] = {cross(b, c), cross(c, a), cross(a, b)};
    for (int i = 0; i < 9; ++i) peak.precision[i] = rows[i / 3][i % 3] / determinant;
    peaks.push_back(peak);
  }

  Volume v;
  v.n = n;
  v.voxels.resize(static_cast<std::size_t>(n) * n * n);
  for (std::size_t i = 0; i < v.voxels.size(); ++i) {
    const Vector3 index = frequency_at(i, n);
    double density = 0;
    for (const auto& peak : peaks) {
      Vector3 d;
      for (int axis = 0; axis < 3; ++axis) d[axis] = index[axis] / n - peak.mean[axis];
      double exponent = 0;
      for (int j = 0; j < 9; ++j) exponent += peak.precision[j] * d[j / 3] * d[j % 3];
      density += peak.height * std::exp(-0.5 * exponent);
    }
    v.voxels[i] = static_cast<float>(density);
  }
  return normalised(v);
}

template <class T>
void volume_transform_at(const Context& ctx, const Volume& v, View<const T, 2> frequencies,
                         View<T, 2> values) {
  VolumeTransform<T>(ctx, v)(frequencies, values);
}

Tensor<float, 3> slices_of(const Context& ctx, const Volume& v,
                           const std::vector<Rotation>& rotations) {
  const Index views = static_cast<Index>(rotations.size());
  const Index points = (Index{v.n} * v.n + 1) / 2;
  const auto matrices = matrices_of<float>(ctx, rotations);
  Tensor<float, 3> frequencies(ctx, views, points, 3), slices(ctx, views, points, 2);
  slice_coordinates<float>(ctx, v.n, 1.0f, matrices, frequencies);
  const VolumeTransform<float> transform(ctx, v, std::sqrt(v.n));
  transform(frequencies.view().reshaped(views * points, 3),
            slices.view().reshaped(views * points, 2));
  parallel_for(ctx, "slices: beyond Nyquist", views * points,
               ClearBeyondNyquist{v.n, points, slices.data()});
  return slices;
}

Volume rotated(const Context& ctx, const Volume& v, const Rotation& r, const Vector3& shift,
               bool mirror) {
  require(v.n % 2 == 1, "rotated", "the volume must have an odd number of voxels an edge");
  const Context host = host_of(ctx);
  const int n = v.n, radius = (n - 1) / 2;
  const std::size_t size = v.voxels.size(), middle = size / 2;

  // Half of the ball; the other half follows from Friedel's law.
  const Rotation back = transposed(r);
  std::vector<std::size_t> entries;
  std::vector<float> sampled;
  for (std::size_t i = middle; i < size; ++i) {
    const Vector3 k = frequency_at(i, n);
    if (dot(k, k) > double(radius) * radius) continue;
    entries.push_back(i);
    const Vector3 at = back * k;
    for (const double coordinate : at) sampled.push_back(static_cast<float>(coordinate));
  }
  const Index count = static_cast<Index>(entries.size());
  const auto frequencies = upload(ctx, View<const float, 2>(sampled.data(), count, 3));
  Tensor<float, 2> values(ctx, count, 2);
  volume_transform_at<float>(ctx, v, frequencies, values);
  const auto transform = download(ctx, values);

  auto spectrum = Spectrum::zeros(host, 1, n, n, n);
  for (Index j = 0; j < count; ++j) {
    std::complex<double> value(transform(j, 0), transform(j, 1));
    if (mirror) value = std::conj(value);
    value *= std::polar(1.0, -two_pi / n * dot(frequency_at(entries[j], n), shift));
    spectrum.data()[size - 1 - entries[j]] = std::conj(value);
    spectrum.data()[entries[j]] = value;
  }
  return volume_of(host, std::move(spectrum), v);
}

Volume mirrored(const Volume& v) {
  Volume other = v;
  const int n = v.n, twice_centre = 2 * centre_of(n);
  const auto opposite = [&](int i) { return (twice_centre - i) % n; };
  for (int z = 0; z < n; ++z)
    for (int y = 0; y < n; ++y)
      for (int x = 0; x < n; ++x)
        other.view()(z, y, x) = v.view()(opposite(z), opposite(y), opposite(x));
  return other;
}

Volume band_limited(const Context& ctx, const Volume& v, double radius) {
  const Context host = host_of(ctx);
  auto spectrum = spectrum_of(host, v);
  for (Index i = 0; i < spectrum.size(); ++i)
    if (norm(frequency_at(static_cast<std::size_t>(i), v.n)) > radius) spectrum.data()[i] = 0;
  return volume_of(host, std::move(spectrum), v);
}

template class VolumeTransform<float>;
template class VolumeTransform<double>;
template void volume_transform_at<float>(const Context&, const Volume&, View<const float, 2>,
                                         View<float, 2>);
template void volume_transform_at<double>(const Context&, const Volume&, View<const double, 2>,
                                          View<double, 2>);

}  // namespace orrery
