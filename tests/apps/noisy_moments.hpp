#pragma once

#include <cmath>

#include "apps/reconstruct/problem.hpp"
#include "kernels/gemm.hpp"
#include "kernels/random.hpp"
#include "kernels/slices.hpp"

namespace orrery::test {

/// The estimates that `images` images with noise of variance s^2 a coefficient would give, drawn
/// from the law of such estimates without drawing images: with Z, G and g of normal numbers and
/// L L^T = M2,
///   M1^ = M1 + s / sqrt(N) g,   M2^ = M2 + s / sqrt(N) (L Z + (L Z)^T) + s^2 / sqrt(2 N) (G +
///   G^T).
/// (What the views' own scatter adds is left out; g is drawn on its own.)
struct NoisyHalf {
  ViewMoments::Half moments;

  NoisyHalf(const Context& ctx, const Problem& problem, double s, std::int64_t images,
            std::uint64_t seed) {
    const int n = problem.moments.n;
    const Index pixels = Index{n} * n;
    const Quadrature& quadrature = problem.quadrature;
    const Index views = quadrature.view_count();
    const auto half = slices_of(ctx, problem.reference->volume, quadrature.distinct);
    Tensor<float, 2> base(ctx, half.extent(0), pixels), scaled(ctx, views, pixels);
    hartley_pack<float>(ctx, half, base);
    expand_copies<float>(ctx, n, quadrature.copies, base, scaled);
    for (Index j = 0; j < views; ++j)
      for (Index i = 0; i < pixels; ++i)
        scaled(j, i) *= std::sqrt(float(problem.reference->view_weights[j]));

    RandomSequence random(seed, 0);
    auto normal = [&](Index rows) {
      Tensor<float, 2> numbers(ctx, rows, pixels);
      for (float& x : numbers.view()) x = float(random.normal());
      return numbers;
    };
    const auto z = normal(views), g = normal(pixels), first = normal(1);
    Tensor<float, 2> lz(ctx, pixels, pixels);
    gemm<float>(ctx, Transpose::yes, Transpose::no, 1.0f, scaled, z, 0.0f, lz);
    const double a = s / std::sqrt(double(images)), b = s * s / std::sqrt(2.0 * double(images));
    moments = {problem.moments.first, problem.moments.second, images};
    for (Index i = 0; i < pixels; ++i) {
      moments.first[i] += float(a) * first(0, i);
      for (Index j = 0; j < pixels; ++j)
        moments.second[i * pixels + j] +=
            float(a * (lz(i, j) + lz(j, i)) + b * (g(i, j) + g(j, i)));
    }
  }
};

inline ViewMoments noisy_moments(const Context& ctx, const Problem& problem, double s,
                                 std::int64_t images, std::uint64_t seed) {
  ViewMoments m = problem.moments;
  m.observations = images;
  m.noise_variance = s * s;
  for (std::uint64_t half = 0; half < 2; ++half)
    m.halves.push_back(NoisyHalf(ctx, problem, s, images / 2, 2 * seed + half).moments);
  const std::size_t pixels = m.first.size();
  m.first_error.assign(pixels, float(s / std::sqrt(double(images))));
  m.second_error.resize(pixels * pixels);
  for (std::size_t i = 0; i < pixels; ++i)
    for (std::size_t j = 0; j < pixels; ++j) {
      const double power =
          problem.moments.second[i * pixels + i] + problem.moments.second[j * pixels + j];
      const double diagonal = i == j ? 2 : 1;
      m.second_error[i * pixels + j] =
          float(std::sqrt(diagonal * s * s * (s * s + power) / double(images)));
    }
  auto mean = [](std::vector<float>& of, const std::vector<float>& a, const std::vector<float>& b) {
    for (std::size_t i = 0; i < of.size(); ++i) of[i] = 0.5f * (a[i] + b[i]);
  };
  mean(m.first, m.halves[0].first, m.halves[1].first);
  mean(m.second, m.halves[0].second, m.halves[1].second);
  return m;
}

}  // namespace orrery::test
