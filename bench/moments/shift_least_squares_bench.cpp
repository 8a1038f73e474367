#include <cmath>
#include <numbers>
#include <vector>

#include "bench/support/bench.hpp"
#include "moments/shift_least_squares.hpp"

namespace orrery::bench {
namespace {

constexpr double observations = 1e6, full_turn = 2 * std::numbers::pi;

/// A smooth signal of norm 1 under a smooth density, and noise of variance 1 in the averages.
struct Target {
  Tensor<double, 1> first;
  Tensor<double, 2> second;

  explicit Target(Index n)
      : first(Tensor<double, 1>::zeros(Context::cpu(1), n)),
        second(Tensor<double, 2>::zeros(Context::cpu(1), n, n)) {
    std::vector<double> v(n), p(n);
    double square = 0, sum = 0;
    for (Index i = 0; i < n; ++i) {
      const double angle = full_turn * static_cast<double>(i) / static_cast<double>(n);
      square += std::pow(v[i] = std::exp(4 * std::cos(angle) + std::sin(2 * angle)), 2);
      sum += p[i] = std::exp(2 * std::cos(angle - 1) + std::cos(3 * angle));
    }
    RandomSequence random(1, 0);
    const double deviation = 1 / std::sqrt(observations);
    for (Index i = 0; i < n; ++i) {
      first(i) += deviation * random.normal();
      for (Index j = 0; j <= i; ++j) {
        second(i, j) = deviation * random.normal() * (i == j ? std::sqrt(2.0) : 1);
        for (Index s = 0; s < n; ++s)
          second(i, j) += p[s] / sum * v[(i - s + n) % n] * v[(j - s + n) % n] / square;
        second(j, i) = second(i, j);
      }
      for (Index s = 0; s < n; ++s) first(i) += p[s] / sum * v[(i - s + n) % n] / std::sqrt(square);
    }
  }

  ShiftMomentsView view() const { return {first, second, 1.0, observations}; }
};

// One instance on one thread, whatever the backend: the solver stays on the host.
const bool solves = measure("solve_shift_moments", "shift_moments", [](const Context&, Shape s) {
  Target target(s["n"]);
  const double n = static_cast<double>(s["n"]);
  const int iterations = solve_shift_moments(target.view()).iterations;
  // 11 n^3 for the normal equations and the next objective, and a Cholesky factor of 2n unknowns.
  return Work{iterations * (11 + 8.0 / 3) * n * n * n, 8 * (n * n + 3 * n),
              [target = std::move(target)] { solve_shift_moments(target.view()); }};
});

}  // namespace
}  // namespace orrery::bench
