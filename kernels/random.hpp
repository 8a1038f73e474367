#pragma once

#include <cstdint>

#include "kernels/context.hpp"
#include "kernels/view.hpp"

namespace orrery {

/// Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011): a counter-based generator. The four words
/// depend on (seed, stream, counter) alone, so any number can be drawn anywhere, in any order, on
/// any backend.
struct PhiloxWords {
  std::uint32_t word[4];
};
ORRERY_HOST_DEVICE inline PhiloxWords philox(std::uint64_t seed, std::uint64_t stream,
                                             std::uint64_t counter) {
  std::uint32_t c[4] = {
      static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32),
      static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32)};
  std::uint32_t key[2] = {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c[2];
    const std::uint32_t next[4] = {
        static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ key[0], static_cast<std::uint32_t>(p1),
        static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ key[1], static_cast<std::uint32_t>(p0)};
    for (int i = 0; i < 4; ++i) c[i] = next[i];
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return {{c[0], c[1], c[2], c[3]}};
}

/// A 32-bit word as a number in (0, 1): (word + 1/2) / 2^32, in double.
ORRERY_HOST_DEVICE inline double open_unit_interval(std::uint32_t word) {
  return (static_cast<double>(word) + 0.5) * 2.3283064365386963e-10;
}

/// x_i uniform in (low, high), from words (seed, stream, i / 4)[i % 4]. The same seed and stream
/// give the same numbers on every backend, bit for bit. Throws std::invalid_argument when T has no
/// number between low and high. T is float or double.
template <class T>
void fill_uniform(const Context& ctx, std::uint64_t seed, std::uint64_t stream, T low, T high,
                  View<T, 1> x);

/// x_i normal with the given mean and standard deviation by Box and Muller, evaluated in double
/// from words (seed, stream, i / 4): words 0 and 1 make the first two of four numbers, 2 and 3 the
/// others. The same on every backend to rounding. T is float or double.
template <class T>
void fill_normal(const Context& ctx, std::uint64_t seed, std::uint64_t stream, T mean, T deviation,
                 View<T, 1> x);

/// As fill_normal, from stream `stream + 256 step(0)`. The step is read where the work is done, so
/// that a step of a loop can be recorded and replayed (kernels/step_graph.hpp). Throws
/// std::invalid_argument unless step is one number.
template <class T>
void fill_normal(const Context& ctx, std::uint64_t seed, std::uint64_t stream,
                 View<const std::uint64_t, 1> step, T mean, T deviation, View<T, 1> x);
/// The stream that this takes.
ORRERY_HOST_DEVICE constexpr std::uint64_t stream_at_step(std::uint64_t stream,
                                                          std::uint64_t step) {
  return stream + (step << 8);
}

/// x_i += deviation times a normal number: noise in bulk. As fill_normal, but evaluated in single
/// precision, several times as fast: within 1e-5 of fill_normal's numbers, and those (one in
/// 50,000) that are within 0.006 of zero for their radius, within 4e-4.
void add_normal(const Context& ctx, std::uint64_t seed, std::uint64_t stream, float deviation,
                View<float, 1> x);

/// Numbers one after another on the host: what set-up code wants.
class RandomSequence {
 public:
  RandomSequence(std::uint64_t seed, std::uint64_t stream) : seed_(seed), stream_(stream) {}
  double uniform();  // (0, 1)
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  double normal();  // mean 0, variance 1

 private:
  std::uint64_t seed_, stream_, drawn_ = 0;
};

}  // namespace orrery
