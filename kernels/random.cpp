#include "kernels/random.hpp"

#include <cmath>

#include "kernels/check.hpp"
#include "kernels/parallel_for.hpp"

namespace orrery {
namespace {

constexpr double two_pi = 6.283185307179586476925;

template <class T>
struct Uniform {
  std::uint64_t seed, stream;
  double low, length;
  T least, most;  // the numbers next to the ends, where rounding may have carried a draw
  View<T, 1> x;

  // One call makes the four numbers of a counter.
  ORRERY_HOST_DEVICE void operator()(Index group) const {
    const PhiloxWords words = philox(seed, stream, static_cast<std::uint64_t>(group));
    for (Index j = 0; j < 4; ++j) {
      const Index i = 4 * group + j;
      if (i >= x.size()) return;
      // Fused by hand: left to the compilers, one backend would fuse and the other would not.
      const T drawn = static_cast<T>(fma(length, open_unit_interval(words.word[j]), low));
      x.data[i] = drawn < least ? least : (drawn > most ? most : drawn);
    }
  }
};

struct NormalPair {
  double first, second;
};
ORRERY_HOST_DEVICE inline NormalPair box_muller(const PhiloxWords& words) {
  const double radius = sqrt(-2 * log(open_unit_interval(words.word[0])));
  const double angle = two_pi * open_unit_interval(words.word[1]);
  return {radius * cos(angle), radius * sin(angle)};
}

template <class T>
struct Normal {
  std::uint64_t seed, stream;
  T mean, deviation;
  View<T, 1> x;

  ORRERY_HOST_DEVICE void operator()(Index pair) const {
    const NormalPair z = box_muller(philox(seed, stream, static_cast<std::uint64_t>(pair)));
    x.data[2 * pair] = static_cast<T>(mean + deviation * z.first);
    if (2 * pair + 1 < x.size()) x.data[2 * pair + 1] = static_cast<T>(mean + deviation * z.second);
  }
};

}  // namespace

template <class T>
void fill_uniform(const Context& ctx, std::uint64_t seed, std::uint64_t stream, T low, T high,
                  View<T, 1> x) {
  const T least = std::nextafter(low, high), most = std::nextafter(high, low);
  require(low < high && least < high, "fill_uniform", "no number lies between low and high");
  parallel_for(ctx, "fill uniform", (x.size() + 3) / 4,
               Uniform<T>{.seed = seed,
                          .stream = stream,
                          .low = low,
                          .length = static_cast<double>(high) - static_cast<double>(low),
                          .least = least,
                          .most = most,
                          .x = x});
}

template <class T>
void fill_normal(const Context& ctx, std::uint64_t seed, std::uint64_t stream, T mean, T deviation,
                 View<T, 1> x) {
  parallel_for(ctx, "fill normal", (x.size() + 1) / 2, Normal<T>{seed, stream, mean, deviation, x});
}

double RandomSequence::uniform() {
  const std::uint64_t i = drawn_++;
  return open_unit_interval(philox(seed_, stream_, i / 4).word[i % 4]);
}

double RandomSequence::normal() {
  // A whole counter for one number: the sequence has no half-used pair to remember.
  const std::uint64_t counter = (drawn_ + 3) / 4;
  drawn_ = 4 * (counter + 1);
  return box_muller(philox(seed_, stream_, counter)).first;
}

template void fill_uniform(const Context&, std::uint64_t, std::uint64_t, float, float,
                           View<float, 1>);
template void fill_uniform(const Context&, std::uint64_t, std::uint64_t, double, double,
                           View<double, 1>);
template void fill_normal(const Context&, std::uint64_t, std::uint64_t, float, float,
                          View<float, 1>);
template void fill_normal(const Context&, std::uint64_t, std::uint64_t, double, double,
                          View<double, 1>);

}  // namespace orrery
