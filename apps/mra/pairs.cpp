#include "apps/mra/pairs.hpp"

#include <cmath>

#include "kernels/check.hpp"
#include "kernels/parallel_for.hpp"

namespace orrery {
namespace {

// Streams of random numbers: of a set's mixtures, of which pair of a fixed set is taken, and of the
// noise.
ORRERY_HOST_DEVICE constexpr std::uint64_t signal_stream(PairSet set) {
  return 2 * static_cast<std::uint64_t>(set);
}
ORRERY_HOST_DEVICE constexpr std::uint64_t density_stream(PairSet set) {
  return signal_stream(set) + 1;
}
constexpr std::uint64_t choice_stream = std::uint64_t{1} << 32;
constexpr std::uint64_t noise_stream = std::uint64_t{1} << 61;  // and five more

/// One pair a call.
template <class T>
struct DrawPair {
  MixtureLaw law;
  std::uint64_t seed;
  PairSet set;
  const std::uint64_t* batch;
  std::uint64_t set_size;
  Index samples, n;
  T *signal, *density;

  ORRERY_HOST_DEVICE void operator()(Index b) const {
    std::uint64_t index =
        *batch * static_cast<std::uint64_t>(samples) + static_cast<std::uint64_t>(b);
    if (set_size > 0) {
      const PhiloxWords words = philox(seed, choice_stream, index);
      index = ((std::uint64_t{words.word[0]} << 32) + words.word[1]) % set_size;
    }
    T *v = signal + b * n, *p = density + b * n;
    draw(signal_stream(set), index, v);
    draw(density_stream(set), index, p);
    T squares = 0, sum = 0;
    for (Index j = 0; j < n; ++j) {
      squares += v[j] * v[j];
      sum += p[j];
    }
    const T to_norm_one = 1 / sqrt(squares), to_sum_one = 1 / sum;
    for (Index j = 0; j < n; ++j) {
      v[j] *= to_norm_one;
      p[j] *= to_sum_one;
    }
  }

  ORRERY_HOST_DEVICE void draw(std::uint64_t stream, std::uint64_t index, T* values) const {
    const Mixture mixture = draw_mixture(law, n, seed, stream, index);
    for (Index j = 0; j < n; ++j) values[j] = mixture(static_cast<T>(j) / static_cast<T>(n));
  }
};

/// One row of one sample's moments a call.
template <class T>
struct AddNoise {
  T first_deviation, second_deviation;
  std::uint64_t seed, stream;
  const std::uint64_t* batch;
  Index n;
  const T *noise_first, *noise_second;
  T *first, *second;

  ORRERY_HOST_DEVICE void operator()(Index row) const {
    const Index b = row / n, i = row % n;
    const PhiloxWords words =
        philox(seed, stream_at_step(stream, *batch), static_cast<std::uint64_t>(b));
    const double variance = open_unit_interval(words.word[0]);
    first[row] += first_deviation * static_cast<T>(std::sqrt(variance)) * noise_first[row];
    // (G + G^T) / sqrt(2) of independent normal numbers has variance 1, and 2 on the diagonal.
    const T scale = second_deviation * static_cast<T>(variance * 0.70710678118654752440);
    const T* noise = noise_second + b * n * n;
    for (Index j = 0; j < n; ++j)
      second[row * n + j] += scale * (noise[i * n + j] + noise[j * n + i]);
  }
};

}  // namespace

template <class T>
void draw_pairs(const Context& ctx, const MixtureLaw& law, std::uint64_t seed, PairSet set,
                View<const std::uint64_t, 1> batch, std::uint64_t set_size, View<T, 2> signal,
                View<T, 2> density) {
  const Index samples = signal.extent(0), n = signal.extent(1);
  require_shape("draw_pairs", "batch", batch, {1});
  require_shape("draw_pairs", "density", density, {samples, n});
  require(law.components >= 1 && law.components <= Mixture::most_components, "draw_pairs",
          "a mixture has 1 to 8 components");
  parallel_for(
      ctx, "draw pairs", samples,
      DrawPair<T>{law, seed, set, batch.data, set_size, samples, n, signal.data, density.data},
      n * law.components * 30);
}

template <class T>
void add_moment_noise(const Context& ctx, const MomentNoise& noise, std::uint64_t seed, PairSet set,
                      View<const std::uint64_t, 1> batch, View<T, 2> scratch_first,
                      View<T, 3> scratch_second, View<T, 2> first, View<T, 3> second) {
  const Index samples = first.extent(0), n = first.extent(1);
  require_shape("add_moment_noise", "batch", batch, {1});
  require_shape("add_moment_noise", "scratch_first", scratch_first, {samples, n});
  require_shape("add_moment_noise", "scratch_second", scratch_second, {samples, n, n});
  require_shape("add_moment_noise", "second", second, {samples, n, n});
  // A set has three streams of its own: for either moment and for the sizes.
  const std::uint64_t stream = noise_stream + 3 * static_cast<std::uint64_t>(set);
  fill_normal<T>(ctx, seed, stream, batch, T(0), T(1), scratch_first.flat());
  fill_normal<T>(ctx, seed, stream + 1, batch, T(0), T(1), scratch_second.flat());
  parallel_for(
      ctx, "add moment noise", samples * n,
      AddNoise<T>{static_cast<T>(noise.first), static_cast<T>(noise.second), seed, stream + 2,
                  batch.data, n, scratch_first.data, scratch_second.data, first.data, second.data},
      n);
}

#define ORRERY_INSTANTIATE(T)                                                                   \
  template void draw_pairs<T>(const Context&, const MixtureLaw&, std::uint64_t, PairSet,        \
                              View<const std::uint64_t, 1>, std::uint64_t, View<T, 2>,          \
                              View<T, 2>);                                                      \
  template void add_moment_noise<T>(const Context&, const MomentNoise&, std::uint64_t, PairSet, \
                                    View<const std::uint64_t, 1>, View<T, 2>, View<T, 3>,       \
                                    View<T, 2>, View<T, 3>);
ORRERY_INSTANTIATE(float)
ORRERY_INSTANTIATE(double)
#undef ORRERY_INSTANTIATE

}  // namespace orrery
