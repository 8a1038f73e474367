#pragma once

#include "kernels/tensor.hpp"

namespace orrery {

/// Reductions to one number on the host. Both backends add in a fixed order (blocks of fixed
/// length, then the blocks' results), so a result depends on neither thread count nor timing; sums
/// of floats are accumulated in double. Empty input gives 0. T is float or double. They wait for
/// the device where they return the number.
template <class T>
double sum(const Context& ctx, View<const T, 1> x);
/// sum_i x_i y_i. Throws std::invalid_argument when the lengths differ.
template <class T>
double dot(const Context& ctx, View<const T, 1> x, View<const T, 1> y);
/// products[r,k] = sum_i x[r,i] y[k,i], on the host: the device is asked once for all of them.
/// Shapes   x (R,n)  y (K,n)  products (R,K)
/// Throws   std::invalid_argument when the lengths of rows differ.
template <class T>
Tensor<double, 2> inner_products(const Context& ctx, View<const T, 2> x, View<const T, 2> y);
/// sum_i x_i^2
template <class T>
double squared_norm(const Context& ctx, View<const T, 1> x);
/// sum_i (x_i - y_i)^2. Throws std::invalid_argument when the lengths differ.
template <class T>
double squared_distance(const Context& ctx, View<const T, 1> x, View<const T, 1> y);
/// The same number left on ctx's backend, result (1): queued, it waits for nothing.
template <class T>
void squared_norm(const Context& ctx, View<const T, 1> x, View<double, 1> result);
/// max_i |x_i|; NaN if any x_i is NaN.
template <class T>
double largest_magnitude(const Context& ctx, View<const T, 1> x);

}  // namespace orrery
