#include "kernels/fft.hpp"

#include <fftw3.h>
#include <omp.h>

#include <algorithm>
#include <climits>
#include <cmath>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "kernels/check.hpp"
#include "kernels/shares.hpp"
#include "kernels/tensor.hpp"

namespace orrery {

namespace cuda {
template <class T>
void centred_fft(const Context& ctx, FftDirection direction, std::complex<T>* data, int rank,
                 const Index* extents, Index batch);
}

namespace {

// One dimension after another. The lines along a dimension are taken in groups, interleaved so that
// FFTW's vectors run across the lines whatever the length, and shifted on the way in and out: the
// centring costs no pass of its own.
constexpr Index group = 16;

/// FFTW's two precisions under one name.
template <class T>
struct Fftw {
  using Complex = fftw_complex;
  using Plan = fftw_plan;
  static constexpr auto allocate = fftw_alloc_complex;
  static constexpr auto free = fftw_free;
  static constexpr auto plan_many = fftw_plan_many_dft;
  static constexpr auto execute = fftw_execute_dft;
  static constexpr auto destroy = fftw_destroy_plan;
};
template <>
struct Fftw<float> {
  using Complex = fftwf_complex;
  using Plan = fftwf_plan;
  static constexpr auto allocate = fftwf_alloc_complex;
  static constexpr auto free = fftwf_free;
  static constexpr auto plan_many = fftwf_plan_many_dft;
  static constexpr auto execute = fftwf_execute_dft;
  static constexpr auto destroy = fftwf_destroy_plan;
};

/// Plans by length and direction, given back when the program ends.
template <class T>
struct Plans : std::map<std::pair<Index, FftDirection>, typename Fftw<T>::Plan> {
  ~Plans() {
    for (const auto& [key, plan] : *this) Fftw<T>::destroy(plan);
  }
};

/// The plan for a group of interleaved lines, in place. Plans are made once and kept for the life
/// of the program; FFTW's planner is not thread-safe, its plans are.
template <class T>
typename Fftw<T>::Plan plan_for(Index length, FftDirection direction) {
  static std::mutex planner;
  static Plans<T> plans;
  const std::scoped_lock lock(planner);
  auto& plan = plans[{length, direction}];
  if (!plan) {
    const int n = static_cast<int>(length), lines = static_cast<int>(group);
    auto* numbers = Fftw<T>::allocate(length * group);
    plan = Fftw<T>::plan_many(1, &n, lines, numbers, nullptr, lines, 1, numbers, nullptr, lines, 1,
                              direction == FftDirection::forward ? FFTW_FORWARD : FFTW_BACKWARD,
                              FFTW_ESTIMATE);
    Fftw<T>::free(numbers);
    if (!plan)
      throw std::runtime_error("FFTW cannot plan transforms of length " + std::to_string(length));
  }
  return plan;
}

/// Transforms all lines of `length` numbers `stride` apart.
template <class T>
void transform_lines(const Context& ctx, FftDirection direction, std::complex<T>* data, Index size,
                     Index length, Index stride) {
  const auto plan = plan_for<T>(length, direction);
  const Index lines = size / length, groups = parts_of(lines, group);
  const T scale = static_cast<T>(1 / std::sqrt(static_cast<double>(length)));
  const Index centre = length / 2;

  const int threads = threads_for(ctx, size);
  auto work = Tensor<std::complex<T>, 3>::zeros(Context::cpu(1), threads, length, group);

  // Position p of a line lies at index (p + centre) mod length.
  auto index_of = [&](Index p) { return (p < length - centre ? p : p - length) + centre; };

#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (Index g = 0; g < groups; ++g) {
    const Index count = std::min(group, lines - g * group);
    std::complex<T>* line[group];
    for (Index l = 0; l < count; ++l) {
      const Index index = g * group + l;
      line[l] = data + index / stride * stride * length + index % stride;
    }
    auto* const lane = work.data() + omp_get_thread_num() * length * group;
    for (Index p = 0; p < length; ++p)
      for (Index l = 0; l < count; ++l) lane[p * group + l] = line[l][index_of(p) * stride];
    auto* const numbers = reinterpret_cast<typename Fftw<T>::Complex*>(lane);
    Fftw<T>::execute(plan, numbers, numbers);
    for (Index p = 0; p < length; ++p)
      for (Index l = 0; l < count; ++l) line[l][index_of(p) * stride] = scale * lane[p * group + l];
  }
}

template <class T>
void centred_fft(const Context& ctx, FftDirection direction, std::complex<T>* data, int rank,
                 const Index* extents, Index batch) {
  Index size = batch;
  for (int d = 0; d < rank; ++d) {
    require(extents[d] <= INT_MAX, "fft", "a length does not fit 32 bits, with which FFTW counts");
    size *= extents[d];
  }
  if (size == 0) return;
  if constexpr (built_with_cuda)
    if (ctx.backend() == Backend::cuda)
      return cuda::centred_fft<T>(ctx, direction, data, rank, extents, batch);
  Index stride = 1;
  for (int d = rank - 1; d >= 0; --d) {
    transform_lines(ctx, direction, data, size, extents[d], stride);
    stride *= extents[d];
  }
}

}  // namespace

template <class T>
void fft_1d(const Context& ctx, FftDirection direction, View<std::complex<T>, 2> data) {
  centred_fft(ctx, direction, data.data, 1, data.extents + 1, data.extent(0));
}
template <class T>
void fft_2d(const Context& ctx, FftDirection direction, View<std::complex<T>, 3> data) {
  centred_fft(ctx, direction, data.data, 2, data.extents + 1, data.extent(0));
}
template <class T>
void fft_3d(const Context& ctx, FftDirection direction, View<std::complex<T>, 4> data) {
  centred_fft(ctx, direction, data.data, 3, data.extents + 1, data.extent(0));
}

template void fft_1d(const Context&, FftDirection, View<std::complex<float>, 2>);
template void fft_1d(const Context&, FftDirection, View<std::complex<double>, 2>);
template void fft_2d(const Context&, FftDirection, View<std::complex<float>, 3>);
template void fft_2d(const Context&, FftDirection, View<std::complex<double>, 3>);
template void fft_3d(const Context&, FftDirection, View<std::complex<float>, 4>);
template void fft_3d(const Context&, FftDirection, View<std::complex<double>, 4>);

}  // namespace orrery
