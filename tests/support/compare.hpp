#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "kernels/random.hpp"
#include "kernels/tensor.hpp"

namespace orrery::test {

/// A host tensor of normal numbers from the given seed.
template <class T, class... Extents>
auto random_tensor(std::uint64_t seed, Extents... extents) {
  Tensor<T, sizeof...(Extents)> tensor(Context::cpu(1), extents...);
  RandomSequence random(seed, 0);
  for (T& x : tensor.view()) x = static_cast<T>(random.normal());
  return tensor;
}

/// ||a - b|| / ||b||, infinite when any number is NaN; host memory. The denominator is the norm of
/// the whole expected result: single entries may cancel to nothing.
template <class T, class U, int Rank>
double relative_difference(View<T, Rank> a, View<U, Rank> b) {
  double difference = 0, norm = 0;
  for (Index i = 0; i < b.size(); ++i) {
    const double d = double(a.data[i]) - double(b.data[i]);
    difference += d * d;
    norm += double(b.data[i]) * double(b.data[i]);
  }
  if (std::isnan(difference) || std::isnan(norm)) return INFINITY;
  return norm > 0 ? std::sqrt(difference / norm) : std::sqrt(difference);
}
template <class T, class U, int Rank>
double relative_difference(const Tensor<T, Rank>& a, const Tensor<U, Rank>& b) {
  return relative_difference(a.view(), b.view());
}

template <class T, class U>
double inner_product(View<T, 1> a, View<U, 1> b) {
  double total = 0;
  for (Index i = 0; i < a.size(); ++i) total += double(a.data[i]) * double(b.data[i]);
  return total;
}

/// Compares `gradient` with central differences of `f` along random directions of `x` (double
/// precision, host memory). f must read x's current numbers.
inline void expect_gradient(const std::function<double()>& f, View<double, 1> x,
                            View<const double, 1> gradient, double tolerance = 1e-6,
                            double step = 1e-5, int directions = 5) {
  for (int trial = 0; trial < directions; ++trial) {
    auto direction = random_tensor<double>(1000 + trial, x.size());
    auto shifted = [&](double amount) {
      for (Index i = 0; i < x.size(); ++i) x.data[i] += amount * direction.data()[i];
    };
    shifted(step);
    const double above = f();
    shifted(-2 * step);
    const double below = f();
    shifted(step);
    const double numeric = (above - below) / (2 * step);
    const double analytic = inner_product(gradient, direction.view());
    const double scale = std::max({std::abs(numeric), std::abs(analytic), 1e-8});
    EXPECT_LT(std::abs(numeric - analytic) / scale, tolerance)
        << "direction " << trial << ": numeric " << numeric << ", analytic " << analytic;
  }
}

}  // namespace orrery::test
