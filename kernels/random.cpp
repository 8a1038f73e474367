#include "kernels/random.hpp"

#include <bit>
#include <cmath>

#include "kernels/check.hpp"
#include "kernels/fast_sine.hpp"
#include "kernels/parallel_for.hpp"

namespace orrery {
namespace {

constexpr double two_pi = 6.283185307179586476925;

/// What one counter gives: its four words turned into numbers.
template <class T>
struct FourNumbers {
  T number[4];
};

template <class T>
struct Uniform {
  std::uint64_t seed, stream;
  double low, length;
  T least, most;  // the numbers next to the ends, where rounding may have carried a draw

  ORRERY_HOST_DEVICE FourNumbers<T> operator()(Index counter) const {
    const PhiloxWords words = philox(seed, stream, static_cast<std::uint64_t>(counter));
    FourNumbers<T> four;
    for (int j = 0; j < 4; ++j) {
      // Fused by hand: left to the compilers, one backend would fuse and the other would not.
      const T drawn = static_cast<T>(fma(length, open_unit_interval(words.word[j]), low));
      four.number[j] = drawn < least ? least : (drawn > most ? most : drawn);
    }
    return four;
  }
};

/// log x for normal x > 0 to about 1e-16 of itself, without the branches and the table of std::log,
/// so that loops over it vectorise.
ORRERY_HOST_DEVICE inline double vectorised_log(double x) {
  // x = 2^exponent m with m in [sqrt(1/2), sqrt(2)); then log m = 2 artanh f with |f| < 0.172.
  constexpr std::int64_t root_half = 0x3fe6a09e667f3bcd;
  const auto bits = std::bit_cast<std::int64_t>(x);
  const std::int64_t exponent = (bits - root_half) >> 52;
  const double m = std::bit_cast<double>(bits - exponent * (std::int64_t{1} << 52));
  const double f = (m - 1) / (m + 1), f2 = f * f;
  const double tail = detail::polynomial(f2, 1 / 3., 1 / 5., 1 / 7., 1 / 9., 1 / 11., 1 / 13.,
                                         1 / 15., 1 / 17., 1 / 19., 1 / 21.);
  return static_cast<double>(exponent) * 0.693147180559945309417 + 2 * (f + f * f2 * tail);
}

struct NormalPair {
  double first, second;
};
ORRERY_HOST_DEVICE inline NormalPair box_muller(std::uint32_t first, std::uint32_t second) {
  const double radius = sqrt(-2 * vectorised_log(open_unit_interval(first)));
  const auto [sine, cosine] = fast_sine_cosine(two_pi * open_unit_interval(second));
  return {radius * cosine, radius * sine};
}

template <class T>
struct Normal {
  std::uint64_t seed, stream;
  const std::uint64_t* step;  // null: the stream itself
  double mean, deviation;

  ORRERY_HOST_DEVICE FourNumbers<T> operator()(Index counter) const {
    const std::uint64_t drawn_from = step ? stream_at_step(stream, *step) : stream;
    const PhiloxWords words = philox(seed, drawn_from, static_cast<std::uint64_t>(counter));
    const NormalPair a = box_muller(words.word[0], words.word[1]);
    const NormalPair b = box_muller(words.word[2], words.word[3]);
    return {
        {static_cast<T>(mean + deviation * a.first), static_cast<T>(mean + deviation * a.second),
         static_cast<T>(mean + deviation * b.first), static_cast<T>(mean + deviation * b.second)}};
  }
};

/// log x for normal x > 0 to about 1e-7 of itself, as vectorised_log.
ORRERY_HOST_DEVICE inline float vectorised_log(float x) {
  constexpr std::int32_t root_half = 0x3f3504f3;
  const auto bits = std::bit_cast<std::int32_t>(x);
  const std::int32_t exponent = (bits - root_half) >> 23;
  const float m = std::bit_cast<float>(bits - exponent * (std::int32_t{1} << 23));
  const float f = (m - 1) / (m + 1), f2 = f * f;
  const float tail = detail::polynomial(f2, 1 / 3.f, 1 / 5.f, 1 / 7.f, 1 / 9.f);
  return static_cast<float>(exponent) * 0.693147181f + 2 * (f + f * f2 * tail);
}

/// As Normal, of mean 0 and deviation 1, with box_muller in single precision. The angle is taken as
/// a signed fraction of a turn, so that it keeps its digits near 0.
struct SingleNormal {
  std::uint64_t seed, stream;

  ORRERY_HOST_DEVICE FourNumbers<float> operator()(Index counter) const {
    const PhiloxWords words = philox(seed, stream, static_cast<std::uint64_t>(counter));
    FourNumbers<float> four;
    for (int pair = 0; pair < 2; ++pair) {
      const float u = fmaf(static_cast<float>(words.word[2 * pair]), 0x1p-32f, 0x1p-33f);
      const float turn = static_cast<float>(static_cast<std::int32_t>(words.word[2 * pair + 1]));
      const float radius = sqrtf(-2 * vectorised_log(u));
      const auto [sine, cosine] = fast_sine_cosine(turn * static_cast<float>(two_pi * 0x1p-32));
      four.number[2 * pair] = radius * cosine;
      four.number[2 * pair + 1] = radius * sine;
    }
    return four;
  }
};

// What becomes of a number that is drawn for a place.
template <class T>
struct Overwrite {
  ORRERY_HOST_DEVICE void operator()(T drawn, T& x) const { x = drawn; }
};
struct AddTimes {
  float factor;
  ORRERY_HOST_DEVICE void operator()(float drawn, float& x) const { x += factor * drawn; }
};

template <class T, class Draw, class Put>
struct FillFours {
  Draw draw;
  Put put;
  T* x;
  ORRERY_HOST_DEVICE void operator()(Index counter) const {
    const FourNumbers<T> four = draw(counter);
    for (int j = 0; j < 4; ++j) put(four.number[j], x[4 * counter + j]);
  }
};

/// The up to three numbers after the last whole four.
template <class T, class Draw, class Put>
struct FillRest {
  Draw draw;
  Put put;
  Index counter;
  T* x;
  ORRERY_HOST_DEVICE void operator()(Index j) const {
    put(draw(counter).number[j], x[4 * counter + j]);
  }
};

template <class T, class Draw, class Put = Overwrite<T>>
void fill(const Context& ctx, const char* name, const Draw& draw, View<T, 1> x,
          const Put& put = {}) {
  const Index fours = x.size() / 4;
  parallel_for(ctx, name, fours, FillFours<T, Draw, Put>{draw, put, x.data}, 4);
  parallel_for(ctx, name, x.size() % 4, FillRest<T, Draw, Put>{draw, put, fours, x.data});
}

}  // namespace

template <class T>
void fill_uniform(const Context& ctx, std::uint64_t seed, std::uint64_t stream, T low, T high,
                  View<T, 1> x) {
  const T least = std::nextafter(low, high), most = std::nextafter(high, low);
  require(low < high && least < high, "fill_uniform", "no number lies between low and high");
  fill(ctx, "fill uniform",
       Uniform<T>{.seed = seed,
                  .stream = stream,
                  .low = low,
                  .length = static_cast<double>(high) - static_cast<double>(low),
                  .least = least,
                  .most = most},
       x);
}

template <class T>
void fill_normal(const Context& ctx, std::uint64_t seed, std::uint64_t stream, T mean, T deviation,
                 View<T, 1> x) {
  fill(ctx, "fill normal",
       Normal<T>{
           .seed = seed, .stream = stream, .step = nullptr, .mean = mean, .deviation = deviation},
       x);
}

template <class T>
void fill_normal(const Context& ctx, std::uint64_t seed, std::uint64_t stream,
                 View<const std::uint64_t, 1> step, T mean, T deviation, View<T, 1> x) {
  require_shape("fill_normal", "step", step, {1});
  fill(ctx, "fill normal",
       Normal<T>{
           .seed = seed, .stream = stream, .step = step.data, .mean = mean, .deviation = deviation},
       x);
}

void add_normal(const Context& ctx, std::uint64_t seed, std::uint64_t stream, float deviation,
                View<float, 1> x) {
  fill(ctx, "add normal", SingleNormal{seed, stream}, x, AddTimes{deviation});
}

double RandomSequence::uniform() {
  const std::uint64_t i = drawn_++;
  return open_unit_interval(philox(seed_, stream_, i / 4).word[i % 4]);
}

double RandomSequence::normal() {
  // A whole counter for one number: the sequence has no half-used pair to remember.
  const std::uint64_t counter = (drawn_ + 3) / 4;
  drawn_ = 4 * (counter + 1);
  const PhiloxWords words = philox(seed_, stream_, counter);
  return box_muller(words.word[0], words.word[1]).first;
}

template void fill_uniform(const Context&, std::uint64_t, std::uint64_t, float, float,
                           View<float, 1>);
template void fill_uniform(const Context&, std::uint64_t, std::uint64_t, double, double,
                           View<double, 1>);
template void fill_normal(const Context&, std::uint64_t, std::uint64_t,
                          View<const std::uint64_t, 1>, float, float, View<float, 1>);
template void fill_normal(const Context&, std::uint64_t, std::uint64_t,
                          View<const std::uint64_t, 1>, double, double, View<double, 1>);
template void fill_normal(const Context&, std::uint64_t, std::uint64_t, float, float,
                          View<float, 1>);
template void fill_normal(const Context&, std::uint64_t, std::uint64_t, double, double,
                          View<double, 1>);

}  // namespace orrery
