#include "nn/real_space_penalty.hpp"

#include <complex>
#include <vector>

#include "kernels/check.hpp"
#include "kernels/fft.hpp"
#include "kernels/parallel_for.hpp"
#include "kernels/reduce.hpp"

namespace orrery {
namespace {

/// A coefficient and its conjugate to their places k and -k.
template <class T>
struct ScatterHermitian {
  View<const T, 2> half;
  const int* frequencies;
  View<T, 2> spectrum;  // (n^3, 2)
  ORRERY_HOST_DEVICE void operator()(Index q) const {
    const Index k = frequencies[q], minus_k = spectrum.extent(0) - 1 - k;
    const T re = half(q, 0), im = k == minus_k ? T(0) : half(q, 1);
    spectrum(minus_k, 0) = re;
    spectrum(minus_k, 1) = -im;
    spectrum(k, 0) = re;
    spectrum(k, 1) = im;
  }
};

/// The adjoint of ScatterHermitian times a factor. The spectrum of real voxels is Hermitian itself,
/// so each of a pair gives the same, and k = 0, its own partner, gives once.
template <class T>
struct GatherHermitian {
  T factor;
  View<const T, 2> spectrum;
  const int* frequencies;
  View<T, 2> dhalf;
  ORRERY_HOST_DEVICE void operator()(Index q) const {
    const Index k = frequencies[q];
    const bool zero = k == spectrum.extent(0) - 1 - k;
    dhalf(q, 0) = (zero ? factor : 2 * factor) * spectrum(k, 0);
    dhalf(q, 1) = zero ? T(0) : 2 * factor * spectrum(k, 1);
  }
};

template <class T>
struct RealPart {
  View<const T, 2> complex;
  View<T, 1> real;
  ORRERY_HOST_DEVICE void operator()(Index i) const { real[i] = complex(i, 0); }
};

template <class T>
struct AsComplex {
  View<const T, 1> real;
  View<T, 2> complex;
  ORRERY_HOST_DEVICE void operator()(Index i) const {
    complex(i, 0) = real[i];
    complex(i, 1) = 0;
  }
};

/// v -> r of the penalty, in place; the imaginary part, which is rounding, goes.
template <class T>
struct KeepWhatIsPenalised {
  Index n;
  T squared_support_radius;
  View<T, 2> voxels;  // (n^3, 2)
  ORRERY_HOST_DEVICE void operator()(Index i) const {
    const Index centre = n / 2;
    const Index x = i % n - centre, y = i / n % n - centre, z = i / (n * n) - centre;
    const bool outside = static_cast<T>(x * x + y * y + z * z) > squared_support_radius;
    const T v = voxels(i, 0);
    voxels(i, 0) = outside || v < 0 ? v : T(0);
    voxels(i, 1) = 0;
  }
};

struct Multiply {
  double factor;
  View<double, 1> number;
  ORRERY_HOST_DEVICE void operator()(Index i) const { number(i) *= factor; }
};

/// A complex volume, in space or in frequency, seen by pointwise code as (n^3, 2) real numbers.
template <class T>
class ComplexVolume {
 public:
  ComplexVolume(const Context& ctx, Index n) : numbers_(ctx, Index{1}, n, n, n) {}

  View<T, 2> numbers() {
    return {reinterpret_cast<T*>(numbers_.data()), numbers_.size(), Index{2}};
  }
  void transform(const Context& ctx, FftDirection direction) {
    fft_3d<T>(ctx, direction, numbers_);
  }

 private:
  Tensor<std::complex<T>, 4> numbers_;
};

template <class T>
ComplexVolume<T> inverse_transform(const Context& ctx, const RealSpaceGrid<T>& grid,
                                   View<const T, 2> half) {
  ComplexVolume<T> volume(ctx, grid.n);
  set_zero<T, 2>(ctx, volume.numbers());
  parallel_for(ctx, "scatter Hermitian pairs", grid.count(),
               ScatterHermitian<T>{half, grid.frequencies.data(), volume.numbers()});
  volume.transform(ctx, FftDirection::inverse);
  return volume;
}

/// dhalf = factor times the adjoint of inverse_transform, of voxels whose imaginary part is zero.
template <class T>
void inverse_transform_adjoint(const Context& ctx, const RealSpaceGrid<T>& grid, double factor,
                               ComplexVolume<T>& volume, View<T, 2> dhalf) {
  volume.transform(ctx, FftDirection::forward);
  parallel_for(
      ctx, "gather Hermitian pairs", grid.count(),
      GatherHermitian<T>{static_cast<T>(factor), volume.numbers(), grid.frequencies.data(), dhalf});
}

}  // namespace

template <class T>
RealSpaceGrid<T> make_real_space_grid(const Context& ctx, int n) {
  require(n >= 3 && n % 2 == 1 && n <= 1289, "make_real_space_grid",
          "n must be odd, from 3 to 1289");
  // From the centre on, row-major order passes k = 0 and then one of each pair.
  const int radius = (n - 1) / 2, total = n * n * n;
  std::vector<int> frequencies;
  std::vector<T> coordinates;
  for (int index = total / 2; index < total; ++index) {
    const int x = index % n - radius, y = index / n % n - radius, z = index / (n * n) - radius;
    if (x * x + y * y + z * z > radius * radius) continue;
    frequencies.push_back(index);
    for (const int k : {x, y, z}) coordinates.push_back(static_cast<T>(k) / static_cast<T>(radius));
  }
  const Index count = static_cast<Index>(frequencies.size());
  return {n, upload(ctx, View<T, 2>(coordinates.data(), count, 3)),
          upload(ctx, View<int, 1>(frequencies.data(), count))};
}

template <class T>
void to_density(const Context& ctx, const RealSpaceGrid<T>& grid, View<const T, 2> half,
                View<T, 3> voxels) {
  require_shape("to_density", "half", half, {grid.count(), 2});
  require_shape("to_density", "voxels", voxels, {grid.n, grid.n, grid.n});
  auto volume = inverse_transform(ctx, grid, half);
  parallel_for(ctx, "real part", voxels.size(), RealPart<T>{volume.numbers(), voxels.flat()});
}

template <class T>
void to_density_adjoint(const Context& ctx, const RealSpaceGrid<T>& grid, View<const T, 3> dvoxels,
                        View<T, 2> dhalf) {
  require_shape("to_density_adjoint", "dvoxels", dvoxels, {grid.n, grid.n, grid.n});
  require_shape("to_density_adjoint", "dhalf", dhalf, {grid.count(), 2});
  ComplexVolume<T> volume(ctx, grid.n);
  parallel_for(ctx, "as complex", dvoxels.size(), AsComplex<T>{dvoxels.flat(), volume.numbers()});
  inverse_transform_adjoint(ctx, grid, 1.0, volume, dhalf);
}

template <class T>
double real_space_penalty(const Context& ctx, const RealSpaceGrid<T>& grid,
                          const RealSpacePenaltySettings& settings, View<const T, 2> half,
                          View<T, 2> dhalf) {
  Tensor<double, 1> penalty(ctx, 1);
  real_space_penalty<T>(ctx, grid, settings, half, dhalf, penalty);
  return download(ctx, penalty)(0);
}

template <class T>
void real_space_penalty(const Context& ctx, const RealSpaceGrid<T>& grid,
                        const RealSpacePenaltySettings& settings, View<const T, 2> half,
                        View<T, 2> dhalf, View<double, 1> penalty) {
  const char* name = "real_space_penalty";
  require_shape(name, "penalty", penalty, {1});
  require_shape(name, "half", half, {grid.count(), 2});
  require_shape(name, "dhalf", dhalf, {grid.count(), 2});
  require(settings.support_radius >= 0, name, "the support radius cannot be negative");
  require(settings.weight >= 0, name, "the weight cannot be negative");
  require(settings.scale > 0, name, "the scale must be positive");

  auto volume = inverse_transform(ctx, grid, half);
  const double radius = settings.support_radius;
  parallel_for(ctx, "keep what is penalised", volume.numbers().extent(0),
               KeepWhatIsPenalised<T>{grid.n, static_cast<T>(radius * radius), volume.numbers()});
  const double factor = settings.weight / (settings.scale * settings.scale);
  squared_norm<T>(ctx, volume.numbers().flat(), penalty);
  parallel_for(ctx, "times the weight", 1, Multiply{factor, penalty});
  inverse_transform_adjoint(ctx, grid, 2 * factor, volume, dhalf);
}

#define ORRERY_INSTANTIATE(T)                                                                    \
  template RealSpaceGrid<T> make_real_space_grid<T>(const Context&, int);                        \
  template void to_density<T>(const Context&, const RealSpaceGrid<T>&, View<const T, 2>,         \
                              View<T, 3>);                                                       \
  template void to_density_adjoint<T>(const Context&, const RealSpaceGrid<T>&, View<const T, 3>, \
                                      View<T, 2>);                                               \
  template double real_space_penalty<T>(const Context&, const RealSpaceGrid<T>&,                 \
                                        const RealSpacePenaltySettings&, View<const T, 2>,       \
                                        View<T, 2>);                                             \
  template void real_space_penalty<T>(const Context&, const RealSpaceGrid<T>&,                   \
                                      const RealSpacePenaltySettings&, View<const T, 2>,         \
                                      View<T, 2>, View<double, 1>);
ORRERY_INSTANTIATE(float)
ORRERY_INSTANTIATE(double)
#undef ORRERY_INSTANTIATE

}  // namespace orrery
