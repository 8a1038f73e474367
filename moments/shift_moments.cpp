#include "moments/shift_moments.hpp"

#include <cmath>

#include "kernels/check.hpp"
#include "kernels/complex.hpp"
#include "kernels/parallel_for.hpp"

namespace orrery {
namespace {

/// i - s mod n for 0 <= i, s < n.
ORRERY_HOST_DEVICE inline Index minus(Index i, Index s, Index n) {
  return i >= s ? i - s : i - s + n;
}
/// i + s mod n for 0 <= i, s < n.
ORRERY_HOST_DEVICE inline Index plus(Index i, Index s, Index n) {
  return i + s < n ? i + s : i + s - n;
}

/// One entry of M1 a call.
template <class T>
struct FirstMoment {
  Index n;
  const T *signal, *density;
  T* first;
  ORRERY_HOST_DEVICE void operator()(Index entry) const {
    const Index b = entry / n, i = entry % n;
    const T *v = signal + b * n, *p = density + b * n;
    T total = 0;
    for (Index s = 0; s < n; ++s) total += p[s] * v[minus(i, s, n)];
    first[entry] = total;
  }
};

/// One entry of M2 a call.
template <class T>
struct SecondMoment {
  Index n;
  const T *signal, *density;
  T* second;
  ORRERY_HOST_DEVICE void operator()(Index entry) const {
    const Index b = entry / (n * n), i = entry / n % n, j = entry % n;
    const T *v = signal + b * n, *p = density + b * n;
    T total = 0;
    for (Index s = 0; s < n; ++s) total += p[s] * v[minus(i, s, n)] * v[minus(j, s, n)];
    second[entry] = total;
  }
};

template <class T>
struct SignalGradient {
  Index n;
  const T *signal, *density, *dfirst, *dsecond;
  T* dsignal;
  ORRERY_HOST_DEVICE void operator()(Index entry) const {
    const Index b = entry / n, k = entry % n;
    const T *v = signal + b * n, *p = density + b * n;
    const T *first = dfirst + b * n, *second = dsecond + b * n * n;
    T total = 0;
    for (Index s = 0; s < n; ++s) {
      const Index i = plus(k, s, n);
      T slope = first[i];
      for (Index j = 0; j < n; ++j)
        slope += (second[i * n + j] + second[j * n + i]) * v[minus(j, s, n)];
      total += p[s] * slope;
    }
    dsignal[entry] = total;
  }
};

template <class T>
struct DensityGradient {
  Index n;
  const T *signal, *dfirst, *dsecond;
  T* ddensity;
  ORRERY_HOST_DEVICE void operator()(Index entry) const {
    const Index b = entry / n, s = entry % n;
    const T* v = signal + b * n;
    const T *first = dfirst + b * n, *second = dsecond + b * n * n;
    T total = 0;
    for (Index i = 0; i < n; ++i) {
      T slope = first[i];
      for (Index j = 0; j < n; ++j) slope += second[i * n + j] * v[minus(j, s, n)];
      total += v[minus(i, s, n)] * slope;
    }
    ddensity[entry] = total;
  }
};

/// sqrt(n/2) times the unitary Fourier coefficient at frequency k, |k| < n, of a real signal's
/// coefficients in the real basis.
template <class T>
ORRERY_HOST_DEVICE inline Complex<T> coefficient(const T* c, Index n, Index k) {
  if (k == 0) return {c[0] * static_cast<T>(1.4142135623730950488), 0};
  if (2 * k > n) k -= n;
  if (2 * k < -n) k += n;
  return k > 0 ? Complex<T>{c[2 * k - 1], -c[2 * k]} : Complex<T>{c[-2 * k - 1], c[-2 * k]};
}

template <class T>
struct FourierFirstMoment {
  Index n;
  T scale;  // sqrt(n / 2)
  const T *signal, *density;
  T* first;
  ORRERY_HOST_DEVICE void operator()(Index entry) const {
    const Index b = entry / n, i = entry % n, k = (i + 1) / 2;
    const auto product = coefficient(signal + b * n, n, k) * coefficient(density + b * n, n, k);
    // Row 0 carries sqrt(2) from v as well as from rho.
    const T root_half = static_cast<T>(0.70710678118654752440);
    first[entry] = scale * (i == 0 ? product.re * root_half : i % 2 ? product.re : -product.im);
  }
};

/// One row of one sample's M2 a call.
template <class T>
struct FourierSecondMoment {
  Index n;
  T scale;  // sqrt(n / 2) / 2
  const T *signal, *density;
  T* second;
  ORRERY_HOST_DEVICE void operator()(Index row) const {
    const Index b = row / n, i = row % n, k1 = (i + 1) / 2;
    const T *v = signal + b * n, *p = density + b * n;
    const auto v1 = coefficient(v, n, k1);
    // Row and column 0 carry sqrt(2) from v^(0).
    const T root_half = static_cast<T>(0.70710678118654752440);
    const T factor = scale * (i == 0 ? root_half : T(1));
    const bool cosine = i % 2 == 1 || i == 0;
    T* to = second + row * n;
    for (Index k2 = 0; 2 * k2 < n; ++k2) {
      const auto v2 = coefficient(v, n, k2);
      // E[y^(k1) conj y^(k2)] = v^(k1) conj v^(k2) rho~(k1 - k2), y being v shifted: the paper's
      // (6), at k2 and at -k2.
      const auto with = v1 * conjugate(v2) * coefficient(p, n, k1 - k2);
      const auto against = v1 * v2 * coefficient(p, n, k1 + k2);
      // With y^ = (a - i b) / sqrt(2) at k > 0: a1 a2 = Re with + Re against, and so on.
      const T with_cosine = cosine ? with.re + against.re : -(with.im + against.im);
      const T with_sine = cosine ? with.im - against.im : with.re - against.re;
      if (k2 == 0) {
        to[0] = factor * root_half * with_cosine;
      } else {
        to[2 * k2 - 1] = factor * with_cosine;
        to[2 * k2] = factor * with_sine;
      }
    }
  }
};

template <class T>
void require_shapes(const char* operation, View<const T, 2> signal, View<const T, 2> density,
                    View<const T, 2> first, View<const T, 3> second) {
  const Index batch = signal.extent(0), n = signal.extent(1);
  require_shape(operation, "density", density, {batch, n});
  require_shape(operation, "first", first, {batch, n});
  require_shape(operation, "second", second, {batch, n, n});
}

}  // namespace

template <class T>
void shift_moments_forward(const Context& ctx, View<const T, 2> signal, View<const T, 2> density,
                           View<T, 2> first, View<T, 3> second) {
  require_shapes<T>("shift_moments_forward", signal, density, first, second);
  const Index n = signal.extent(1);
  parallel_for(ctx, "first moment of shifts", first.size(),
               FirstMoment<T>{n, signal.data, density.data, first.data}, n);
  parallel_for(ctx, "second moment of shifts", second.size(),
               SecondMoment<T>{n, signal.data, density.data, second.data}, n);
}

template <class T>
void shift_moments_backward(const Context& ctx, View<const T, 2> signal, View<const T, 2> density,
                            View<const T, 2> dfirst, View<const T, 3> dsecond, View<T, 2> dsignal,
                            View<T, 2> ddensity) {
  require_shapes<T>("shift_moments_backward", signal, density, dfirst, dsecond);
  require_shapes<T>("shift_moments_backward", dsignal, ddensity, dfirst, dsecond);
  const Index n = signal.extent(1);
  parallel_for(
      ctx, "signal gradient of shifts", dsignal.size(),
      SignalGradient<T>{n, signal.data, density.data, dfirst.data, dsecond.data, dsignal.data},
      n * n);
  parallel_for(ctx, "density gradient of shifts", ddensity.size(),
               DensityGradient<T>{n, signal.data, dfirst.data, dsecond.data, ddensity.data}, n * n);
}

template <class T>
void fourier_shift_moments(const Context& ctx, View<const T, 2> signal, View<const T, 2> density,
                           View<T, 2> first, View<T, 3> second) {
  require_shapes<T>("fourier_shift_moments", signal, density, first, second);
  const Index batch = signal.extent(0), n = signal.extent(1);
  require(n % 2 == 1, "fourier_shift_moments", "the length must be odd");
  const T scale = static_cast<T>(std::sqrt(static_cast<double>(n) / 2));
  parallel_for(ctx, "first moment of phases", first.size(),
               FourierFirstMoment<T>{n, scale, signal.data, density.data, first.data});
  parallel_for(ctx, "second moment of phases", batch * n,
               FourierSecondMoment<T>{n, scale / 2, signal.data, density.data, second.data}, 8 * n);
}

#define ORRERY_INSTANTIATE(T)                                                                 \
  template void shift_moments_forward<T>(const Context&, View<const T, 2>, View<const T, 2>,  \
                                         View<T, 2>, View<T, 3>);                             \
  template void shift_moments_backward<T>(const Context&, View<const T, 2>, View<const T, 2>, \
                                          View<const T, 2>, View<const T, 3>, View<T, 2>,     \
                                          View<T, 2>);                                        \
  template void fourier_shift_moments<T>(const Context&, View<const T, 2>, View<const T, 2>,  \
                                         View<T, 2>, View<T, 3>);
ORRERY_INSTANTIATE(float)
ORRERY_INSTANTIATE(double)
#undef ORRERY_INSTANTIATE

}  // namespace orrery
