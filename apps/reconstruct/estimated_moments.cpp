#include "apps/reconstruct/estimated_moments.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "apps/estimated_view_moments.hpp"
#include "apps/reconstruct/central_band.hpp"
#include "kernels/check.hpp"
#include "kernels/shift_blur.hpp"
#include "moments/leading_eigenpairs.hpp"

namespace orrery {

namespace {

/// Coefficients of equal |k|, innermost first.
struct Rings {
  std::vector<int> of;           // for each coefficient, its ring
  std::vector<Index> size = {};  // of each ring
};
Rings exact_rings(int n) {
  const int h = (n - 1) / 2;
  std::map<int, int> ring_of_square;
  for (int y = 0; y <= h; ++y)
    for (int x = 0; x <= y; ++x) ring_of_square[x * x + y * y] = 0;
  int count = 0;
  for (auto& [square, ring] : ring_of_square) ring = count++;
  Rings rings{.of = std::vector<int>(n * n), .size = std::vector<Index>(count, 0)};
  for (int i = 0; i < n * n; ++i) {
    const int x = i % n - h, y = i / n - h;
    rings.of[i] = ring_of_square[x * x + y * y];
    ++rings.size[rings.of[i]];
  }
  return rings;
}

/// Sums over pairs of coefficients, ring by ring.
struct PairSums {
  int rings;
  std::vector<double> sum = std::vector<double>(rings * rings, 0);
  double& operator()(int a, int b) { return sum[a * rings + b]; }
};

template <class Term>
PairSums over_pairs(const Rings& rings, const std::vector<float>& errors, const Term& term) {
  PairSums sums{static_cast<int>(rings.size.size())};
  const std::size_t pixels = rings.of.size();
  for (std::size_t i = 0; i < pixels; ++i)
    for (std::size_t j = 0; j < pixels; ++j)
      sums(rings.of[i], rings.of[j]) += term(errors[i * pixels + j]);
  return sums;
}

/// Which rings to keep so that no unobserved pair is left: the ring with the most of them goes, and
/// so on.
std::vector<bool> observed_rings(const ViewMoments& moments, const Rings& rings) {
  const int count = static_cast<int>(rings.size.size());
  std::vector<bool> kept(count, true);
  if (moments.second_error.empty()) return kept;
  for (std::size_t i = 0; i < moments.first_error.size(); ++i)
    if (std::isinf(moments.first_error[i])) kept[rings.of[i]] = false;
  auto unobserved = over_pairs(rings, moments.second_error,
                               [](float error) { return double(std::isinf(error)); });
  for (;;) {
    int worst = -1;
    double most = 0;
    for (int a = 0; a < count; ++a) {
      double share = 0;
      for (int b = 0; b < count; ++b)
        if (kept[a] && kept[b]) share += unobserved(a, b);
      share /= double(rings.size[a]);
      if (share > most) worst = a, most = share;
    }
    if (worst < 0) return kept;
    kept[worst] = false;
  }
}

template <class OfRing>
std::vector<float> on_grid(const Rings& rings, const OfRing& of_ring) {
  std::vector<float> numbers;
  for (const int ring : rings.of) numbers.push_back(static_cast<float>(of_ring(ring)));
  return numbers;
}

}  // namespace

ViewMoments cropped(const ViewMoments& m, int n) {
  const CentralBand band{m.n, n};
  const double shrink = std::pow(double(n) / m.n, 2);
  auto vector = [&](const std::vector<float>& numbers) {
    auto kept = numbers.empty() ? numbers : band.of_vector(numbers.data());
    for (float& x : kept) x = static_cast<float>(x * shrink);
    return kept;
  };
  auto matrix = [&](const std::vector<float>& numbers) {
    auto kept = numbers.empty() ? numbers : band.of_matrix(numbers.data());
    for (float& x : kept) x = static_cast<float>(x * shrink * shrink);
    return kept;
  };
  ViewMoments c;
  c.n = n;
  c.voxel_size = m.voxel_size * m.n / n;
  c.first = vector(m.first);
  c.second = matrix(m.second);
  c.observations = m.observations;
  c.noise_variance = m.noise_variance * shrink * shrink;
  c.shift_deviation = m.shift_deviation * n / m.n;
  c.first_error = vector(m.first_error);
  c.second_error = matrix(m.second_error);
  c.noise_spectrum = m.noise_spectrum;
  for (double& power : c.noise_spectrum) power *= shrink * shrink;
  for (const auto& half : m.halves)
    c.halves.push_back({vector(half.first), matrix(half.second), half.observations});
  c.source = m.source;
  return c;
}

std::vector<float> observed_weights(const ViewMoments& moments) {
  const Rings rings = exact_rings(moments.n);
  const auto kept = observed_rings(moments, rings);
  if (std::ranges::all_of(kept, [](bool k) { return k; })) return {};
  return on_grid(rings, [&](int ring) { return kept[ring] ? 1 : 0; });
}

std::vector<float> noise_weights(const ViewMoments& moments, const std::string& file) {
  if (moments.second_error.empty())
    throw InputError(file +
                     ": has no second_moment_error to weight the moments by; form the moments "
                     "again, or give --weighting none");
  const Rings rings = exact_rings(moments.n);
  const auto kept = observed_rings(moments, rings);
  const int count = static_cast<int>(rings.size.size());
  auto total = over_pairs(rings, moments.second_error, [](float error) {
    return error > 0 && std::isfinite(error) ? std::log(double(error)) : 0.0;
  });
  auto counted = over_pairs(rings, moments.second_error,
                            [](float error) { return double(error > 0 && std::isfinite(error)); });

  // The normal equations of the fit say: log w(k) is half the mean of all log errors less the mean
  // of those that k has a part in.
  std::vector<double> mean(count, 0);
  double all = 0, pairs = 0;
  for (int a = 0; a < count; ++a) {
    double sum = 0, number = 0;
    for (int b = 0; b < count; ++b)
      if (kept[a] && kept[b]) sum += total(a, b), number += counted(a, b);
    if (number > 0) mean[a] = sum / number;
    all += sum, pairs += number;
  }
  if (pairs == 0)
    throw InputError(file +
                     ": second_moment_error knows no errors to weight the moments by; give "
                     "--weighting none");
  std::vector<double> weight(count, 0);
  double square = 0, coefficients = 0;
  for (int a = 0; a < count; ++a)
    if (kept[a]) {
      weight[a] = std::exp(0.5 * all / pairs - mean[a]);
      square += double(rings.size[a]) * weight[a] * weight[a];
      coefficients += double(rings.size[a]);
    }
  return on_grid(rings, [&](int ring) { return weight[ring] * std::sqrt(coefficients / square); });
}

double negative_power_share(const ViewMoments& moments) {
  if (moments.second_error.empty()) return 0;
  const Rings rings = exact_rings(moments.n);
  const std::size_t pixels = moments.first.size();
  std::vector<double> power(rings.size.size(), 0), variance(rings.size.size(), 0);
  for (std::size_t i = 0; i < pixels; ++i) {
    power[rings.of[i]] += moments.second[i * pixels + i];
    variance[rings.of[i]] += std::pow(double(moments.second_error[i * pixels + i]), 2);
  }
  Index negative = 0;
  for (std::size_t ring = 0; ring < power.size(); ++ring)
    if (power[ring] < -5 * std::sqrt(variance[ring])) negative += rings.size[ring];
  return double(negative) / double(pixels);
}

TargetMoments<float> target_of(const Context& ctx, const ViewMoments& moments,
                               const std::vector<float>& first, const std::vector<float>& second,
                               const std::vector<float>& weights, Index rank) {
  const Index pixels = Index{moments.n} * moments.n;
  Tensor<float, 1> m1(Context::cpu(1), pixels);
  Tensor<float, 2> m2(Context::cpu(1), pixels, pixels);
  std::ranges::copy(first, m1.data());
  std::ranges::copy(second, m2.data());
  if (!weights.empty())
    for (Index i = 0; i < pixels; ++i) {
      m1(i) *= weights[i];
      for (Index j = 0; j < pixels; ++j) m2(i, j) *= weights[i] * weights[j];
    }
  TargetMoments<float> target;
  if (rank > 0) {
    auto pairs = leading_eigenpairs<float>(ctx, m2, rank);
    target = make_factored_target<float>(ctx, upload(ctx, m1), std::move(pairs.vectors),
                                         std::move(pairs.values), pairs.remainder_norm);
  } else {
    target = make_target<float>(ctx, upload(ctx, m1), upload(ctx, m2));
  }
  if (!weights.empty()) target.weights = upload_as<float>(ctx, weights);
  if (moments.shift_deviation > 0)
    target.blur = shift_blur_factors<float>(ctx, moments.n, moments.shift_deviation / moments.n);
  return target;
}

std::optional<NoiseLevel> noise_level(const ViewMoments& moments) {
  if (moments.first_error.empty() || moments.second_error.empty()) return std::nullopt;
  const auto weights = observed_weights(moments);
  const std::size_t pixels = moments.first.size();
  const auto counts = [&](std::size_t i) { return weights.empty() || weights[i] != 0; };
  const auto both_count = [&](std::size_t i) { return counts(i / pixels) && counts(i % pixels); };
  return NoiseLevel{relative_standard_error(moments.first, moments.first_error, counts),
                    relative_standard_error(moments.second, moments.second_error, both_count)};
}

}  // namespace orrery
