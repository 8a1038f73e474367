#include "kernels/interpolate_slices.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/check.hpp"
#include "kernels/parallel_tasks.hpp"
#include "kernels/slice_grid.hpp"

namespace orrery {

namespace cuda {
void interpolate_slices(const Context&, int n, const SampledSpectrum&,
                        View<const float, 3> rotations, View<float, 2> h);
}

namespace {

// GCC's and Clang's vector types: plain arithmetic on every processor, one instruction where it has
// registers that long.
using Lanes8 = float __attribute__((vector_size(32)));
using Lanes16 = float __attribute__((vector_size(64)));

/// A row's points: where their windows start in the samples, and where they lie inside them. A
/// plane of samples is counted within 32 bits, which vectors multiply at once; all planes are not.
struct Row {
  explicit Row(int n) : plane(n), start(n), conjugate(n), u(n), v(n), w(n) {}
  std::vector<std::int32_t> plane, start;  // z, and the place in its plane
  std::vector<float> conjugate, u, v, w;   // +-1, 0 at the origin; along x, y, z
};

class Interpolation {
 public:
  Interpolation(int n, const SampledSpectrum& spectrum)
      : n_(n),
        spacing_(spectrum.spacing),
        samples_(spectrum.samples.data),
        stride_y_(2 * spectrum.samples.extent(2)),
        stride_z_(stride_y_ * spectrum.samples.extent(1)),
        middle_(static_cast<int>((spectrum.samples.extent(0) - 1) / 2)) {
    for (int d = 0; d <= degree; ++d)
      for (int lane = 0; lane < 16; ++lane) {
        const int tap = lane % 8, pair = lane / 2;
        window_x_[d][lane] = pair < taps ? spectrum.window(d, pair) : 0;
        window_yz_[d][lane] = tap < taps ? spectrum.window(d, tap) : 0;
      }
  }

  void slice(const float* rotation, Row& row, float* h) const {
    const int half = (n_ - 1) / 2;
    float* origin = h + (Index{n_} * n_ - 1) / 2;
    std::fill_n(h, Index{n_} * n_, 0.0f);
    for (int ky = 0; ky <= half; ++ky) {
      // The last kx inside the disc |k| <= n/2.
      const int reach = std::min(half, static_cast<int>(std::sqrt(0.25 * n_ * n_ - ky * ky)));
      const int first = ky == 0 ? 0 : -reach;
      const int count = reach - first + 1;
      locate(rotation, first, ky, count, row);
      if (ky == 0) row.conjugate[0] = 0;  // the origin is real
      interpolate(row, count, origin + Index{ky} * n_ + first, origin - Index{ky} * n_ - first);
    }
  }

 private:
  static constexpr int degree = SampledSpectrum::degree, taps = SampledSpectrum::taps;

  /// Points with x < 0 are looked up at their opposites, whose values are conjugate.
  void locate(const float* r, int first, int ky, int count, Row& row) const {
    const auto rows = static_cast<std::int32_t>(stride_y_);
    const float y0 = spacing_ * static_cast<float>(ky);
#pragma omp simd
    for (int i = 0; i < count; ++i) {
      const float x0 = spacing_ * static_cast<float>(first + i);
      const float x = r[0] * x0 + r[3] * y0, sign = x < 0 ? -1.0f : 1.0f;
      const float ax = sign * x;
      const float ay = sign * (r[1] * x0 + r[4] * y0), az = sign * (r[2] * x0 + r[5] * y0);
      const float fx = std::floor(ax), fy = std::floor(ay), fz = std::floor(az);
      row.conjugate[i] = sign;
      row.u[i] = ax - fx - 0.5f;
      row.v[i] = ay - fy - 0.5f;
      row.w[i] = az - fz - 0.5f;
      // Two samples before the last one below; along x the kept half starts at -2.
      row.plane[i] = static_cast<std::int32_t>(fz) + middle_ - 2;
      row.start[i] =
          (static_cast<std::int32_t>(fy) + middle_ - 2) * rows + static_cast<std::int32_t>(fx) * 2;
    }
  }

  /// h at `forward` onwards, and at the opposite points from `backward` downwards.
  void interpolate(const Row& row, int count, float* forward, float* backward) const {
    for (int i = 0; i < count; ++i) {
      const float u = row.u[i], v = row.v[i], w = row.w[i];
      const Lanes16 at_yz = {v, v, v, v, v, v, v, v, w, w, w, w, w, w, w, w};
      Lanes16 along_x = window_x_[degree], along_yz = window_yz_[degree];
      for (int d = degree - 1; d >= 0; --d) {
        along_x = along_x * u + window_x_[d];
        along_yz = along_yz * at_yz + window_yz_[d];
      }
      alignas(64) float weight_z[16], weight[taps][8];  // of a plane, of a row
      const auto along_y = __builtin_shufflevector(along_yz, along_yz, 0, 1, 2, 3, 4, 5, 6, 7);
      std::memcpy(weight_z, &along_yz, sizeof along_yz);
      for (int z = 0; z < taps; ++z) {
        const Lanes8 of_plane = weight_z[8 + z] * along_y;
        std::memcpy(weight[z], &of_plane, sizeof of_plane);
      }

      // Rows of eight samples, re and im in turn, the last two with weight 0: three sums, so that
      // none has to wait for another.
      Lanes16 sum[3] = {};
      const float* plane = samples_ + row.plane[i] * stride_z_ + row.start[i];
      for (int z = 0; z < taps; ++z, plane += stride_z_)
        for (int y = 0; y < taps; ++y) {
          Lanes16 samples;
          std::memcpy(&samples, plane + y * stride_y_, sizeof samples);
          sum[y % 3] += weight[z][y] * samples;
        }
      const Lanes16 all = (sum[0] + sum[1] + sum[2]) * along_x;
      const Lanes8 pairs = __builtin_shufflevector(all, all, 0, 1, 2, 3, 4, 5, 6, 7) +
                           __builtin_shufflevector(all, all, 8, 9, 10, 11, 12, 13, 14, 15);
      const float re = (pairs[0] + pairs[4]) + (pairs[2] + pairs[6]);
      const float im = row.conjugate[i] * ((pairs[1] + pairs[5]) + (pairs[3] + pairs[7]));
      backward[-i] = re + im;
      forward[i] = re - im;
    }
  }

  int n_;
  float spacing_;
  const float* samples_;
  Index stride_y_, stride_z_;
  int middle_;
  // The window's polynomials, for re and im of x in turn, and for y beside z.
  Lanes16 window_x_[degree + 1], window_yz_[degree + 1];
};

}  // namespace

SampledSpectrum::Extents SampledSpectrum::needed(int n, float spacing) {
  const auto reach = static_cast<Index>(std::ceil(0.5 * n * spacing));
  // Beyond the last point of a slice the window sees three samples, and the CPU reads two more
  // along x.
  return {2 * (reach + 3) + 1, reach + 8};
}

void interpolate_slices(const Context& ctx, int n, const SampledSpectrum& spectrum,
                        View<const float, 3> rotations, View<float, 2> h) {
  const char* name = "interpolate_slices";
  require_odd(name, n);
  const Index batch = rotations.extent(0), edge = spectrum.samples.extent(0);
  require_shape(name, "rotations", rotations, {batch, 3, 3});
  require_shape(name, "h", h, {batch, Index{n} * n});
  require_shape(name, "window", spectrum.window,
                {SampledSpectrum::degree + 1, SampledSpectrum::taps});
  require_shape(name, "samples", spectrum.samples, {edge, edge, spectrum.samples.extent(2), 2});
  const auto needed = SampledSpectrum::needed(n, spectrum.spacing);
  require(edge % 2 == 1 && edge >= needed.edge && spectrum.samples.extent(2) >= needed.width, name,
          "the samples do not reach n/2");
  require(2 * edge * spectrum.samples.extent(2) <= std::numeric_limits<std::int32_t>::max(), name,
          "a plane of the samples has more than 2^31 numbers");
  if constexpr (built_with_cuda)
    if (ctx.backend() == Backend::cuda)
      return cuda::interpolate_slices(ctx, n, spectrum, rotations, h);

  const Interpolation interpolation(n, spectrum);
  const int threads = static_cast<int>(std::min<Index>(ctx.threads(), batch));
  for_each_task(threads, threads, [&](Index share) {
    Row row(n);
    for (Index b = share * batch / threads; b < (share + 1) * batch / threads; ++b)
      interpolation.slice(rotations.data + 9 * b, row, h.data + b * h.extent(1));
  });
}

}  // namespace orrery
