#include "kernels/interpolate_slices.hpp"
#include "kernels/launch.hpp"
#include "kernels/slice_grid.hpp"

namespace orrery::cuda {
namespace {

constexpr unsigned threads_per_block = 128;

constexpr int taps = SampledSpectrum::taps, degree = SampledSpectrum::degree;

struct Place {
  Index sample;  // the first one the window sees
  float weights[taps];
};

// Where a coordinate's window starts, and its weights.
__device__ Place place(float coordinate, const float* window) {
  const float below = floorf(coordinate), u = coordinate - below - 0.5f;
  Place at{static_cast<Index>(below) - 2, {}};
  for (int j = 0; j < taps; ++j) {
    float sum = window[taps * degree + j];
    for (int d = degree - 1; d >= 0; --d) sum = sum * u + window[taps * d + j];
    at.weights[j] = sum;
  }
  return at;
}

// One thread a point of the half plane: neighbouring threads look at neighbouring points of a row,
// whose windows share most of their samples, so that the cache serves nearly all reads.
__global__ void interpolate_points(SliceGrid grid, Index points, Index count,
                                   SampledSpectrum spectrum, const float* rotations, float* h) {
  const Index i = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const Index slice = i / points, p = i - slice * points;
  const auto [kx, ky] = grid(points - 1 + p);
  float re = 0, im = 0;
  if (4 * (kx * kx + ky * ky) <= grid.n * grid.n) {
    const float* r = rotations + 9 * slice;
    const float x0 = spectrum.spacing * static_cast<float>(kx);
    const float y0 = spectrum.spacing * static_cast<float>(ky);
    const float x = r[0] * x0 + r[3] * y0, sign = x < 0 ? -1.0f : 1.0f;
    const Place along_x = place(sign * x, spectrum.window.data);
    const Place along_y = place(sign * (r[1] * x0 + r[4] * y0), spectrum.window.data);
    const Place along_z = place(sign * (r[2] * x0 + r[5] * y0), spectrum.window.data);
    const Index edge = spectrum.samples.extents[1], width = spectrum.samples.extents[2];
    const Index middle = (edge - 1) / 2;
    for (int z = 0; z < taps; ++z)
      for (int y = 0; y < taps; ++y) {
        const Index row = (along_z.sample + z + middle) * edge + along_y.sample + y + middle;
        const float* sample = spectrum.samples.data + 2 * (row * width + along_x.sample + 2);
        const float weight = along_z.weights[z] * along_y.weights[y];
        for (int j = 0; j < taps; ++j) {
          re += weight * along_x.weights[j] * sample[2 * j];
          im += weight * along_x.weights[j] * sample[2 * j + 1];
        }
      }
    im *= sign;
  }
  float* origin = h + slice * (2 * points - 1) + points - 1;
  origin[-p] = re + im;
  origin[p] = p == 0 ? re : re - im;
}

}  // namespace

void interpolate_slices(const Context& ctx, int n, const SampledSpectrum& spectrum,
                        View<const float, 3> rotations, View<float, 2> h) {
  const Index points = (Index{n} * n + 1) / 2, count = rotations.extent(0) * points;
  if (count == 0) return;
  launch(ctx, "interpolate slices", interpolate_points, dim3(blocks_for(count, threads_per_block)),
         dim3(threads_per_block), 0, SliceGrid(n), points, count, spectrum, rotations.data, h.data);
}

}  // namespace orrery::cuda
