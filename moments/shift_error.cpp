#include "moments/shift_error.hpp"

#include <cmath>
#include <numbers>

#include "kernels/check.hpp"
#include "kernels/fast_sine.hpp"
#include "kernels/gemm.hpp"
#include "kernels/parallel_for.hpp"
#include "kernels/real_fourier.hpp"

namespace orrery {
namespace {

/// Whether coefficient i of n has no partner: frequency 0, and the highest one of even n.
ORRERY_HOST_DEVICE inline bool stands_alone(Index i, Index n) {
  return i == 0 || (n % 2 == 0 && i == n - 1);
}

/// The correlation of u with t shifted by s is the sum over coefficients of cross times the cosine
/// (odd i) or sine (even i) of the angle of s.
template <class T>
struct CrossSpectrum {
  Index n;
  const T *estimate, *truth;
  T* cross;
  ORRERY_HOST_DEVICE void operator()(Index entry) const {
    const Index i = entry % n;
    const T *u = estimate + entry, *t = truth + entry;
    if (stands_alone(i, n))
      cross[entry] = u[0] * t[0];
    else
      cross[entry] = i % 2 == 1 ? u[0] * t[0] + u[1] * t[1] : u[0] * t[-1] - u[-1] * t[0];
  }
};

/// The shift of the largest correlation, one sample of the batch a call: the best of the whole
/// grid, then, between shifts by whole samples, by Newton's method.
template <class T>
struct BestShift {
  Index n, steps;  // steps: correlations from one whole shift to the next
  const T *correlation, *cross;
  T* shift;

  ORRERY_HOST_DEVICE void operator()(Index b) const {
    const T* c = correlation + b * n * steps;
    Index best = 0;
    for (Index q = 1; q < n * steps; ++q)
      if (c[q] > c[best]) best = q;
    T s = static_cast<T>(best) / static_cast<T>(steps);
    if (steps > 1)
      for (int iteration = 0; iteration < 3; ++iteration) s += newton_step(cross + b * n, s);
    shift[b] = s;
  }

  ORRERY_HOST_DEVICE T newton_step(const T* c, T s) const {
    const T turn = static_cast<T>(6.283185307179586476925 / static_cast<double>(n));
    T slope = 0, curvature = 0;
    for (Index k = 1; 2 * k <= n; ++k) {
      const T speed = turn * static_cast<T>(k);
      const auto [sine, cosine] = fast_sine_cosine(speed * s);
      const T a = c[2 * k - 1], b = 2 * k < n ? c[2 * k] : T(0);
      slope += speed * (b * cosine - a * sine);
      curvature -= speed * speed * (a * cosine + b * sine);
    }
    return curvature < 0 ? -slope / curvature : T(0);
  }
};

/// u - S_s t, one frequency of one sample a call.
template <class T>
struct Residual {
  Index n;
  const T *truth, *shift;
  T* estimate;
  ORRERY_HOST_DEVICE void operator()(Index call) const {
    const Index frequencies = n / 2 + 1;
    const Index b = call / frequencies, k = call % frequencies;
    const auto [sine, cosine] =
        fast_sine_cosine(static_cast<T>(6.283185307179586476925 * static_cast<double>(k) *
                                        static_cast<double>(shift[b]) / static_cast<double>(n)));
    const Index i = b * n + (k == 0 ? 0 : 2 * k - 1);
    if (k == 0 || 2 * k == n) {
      estimate[i] -= cosine * truth[i];
    } else {
      estimate[i] -= cosine * truth[i] - sine * truth[i + 1];
      estimate[i + 1] -= sine * truth[i] + cosine * truth[i + 1];
    }
  }
};

/// One sample a call; `residual` is scaled to the gradient.
template <class T>
struct RelativeError {
  Index n;
  double batch;
  const T* truth;
  T *residual, *error;
  ORRERY_HOST_DEVICE void operator()(Index b) const {
    T* r = residual + b * n;
    double missed = 0, norm = 0;
    for (Index i = 0; i < n; ++i) {
      missed += static_cast<double>(r[i]) * static_cast<double>(r[i]);
      norm += static_cast<double>(truth[b * n + i]) * static_cast<double>(truth[b * n + i]);
    }
    error[b] = static_cast<T>(std::sqrt(missed / norm));
    const T factor = missed > 0 ? static_cast<T>(1 / (batch * std::sqrt(missed * norm))) : T(0);
    for (Index i = 0; i < n; ++i) r[i] *= factor;
  }
};

template <class T>
Tensor<T, 2> turns_of_shifts(const Context& ctx, Index n, Index steps) {
  Tensor<T, 2> turns(Context::cpu(1), n, n * steps);
  for (Index i = 0; i < n; ++i) {
    const Index k = (i + 1) / 2;
    const bool cosine = i % 2 == 1 || stands_alone(i, n);
    for (Index q = 0; q < n * steps; ++q) {
      const double angle = 2 * std::numbers::pi * static_cast<double>(k * q % (n * steps)) /
                           static_cast<double>(n * steps);
      turns(i, q) = static_cast<T>(cosine ? std::cos(angle) : std::sin(angle));
    }
  }
  return upload(ctx, turns);
}

}  // namespace

template <class T>
ShiftError<T>::ShiftError(const Context& ctx, Shifts shifts, Index batch, Index n)
    : ctx_(ctx),
      batch_(batch),
      n_(n),
      steps_(shifts == Shifts::continuous ? 8 : 1),
      basis_(real_fourier_basis<T>(ctx, n)),
      turns_(turns_of_shifts<T>(ctx, n, steps_)),
      estimate_(ctx, batch, n),
      truth_(ctx, batch, n),
      cross_(ctx, batch, n),
      correlation_(ctx, batch, n * steps_) {}

template <class T>
void ShiftError<T>::errors(View<const T, 2> estimate, View<const T, 2> truth, View<T, 1> error,
                           View<T, 1> shift) {
  const char* here = "ShiftError";
  require_shape(here, "estimate", estimate, {batch_, n_});
  require_shape(here, "truth", truth, {batch_, n_});
  require_shape(here, "error", error, {batch_});
  require_shape(here, "shift", shift, {batch_});

  gemm<T>(ctx_, Transpose::no, Transpose::yes, T(1), estimate, basis_, T(0), estimate_);
  gemm<T>(ctx_, Transpose::no, Transpose::yes, T(1), truth, basis_, T(0), truth_);
  parallel_for(ctx_, "cross spectrum", batch_ * n_,
               CrossSpectrum<T>{n_, estimate_.data(), truth_.data(), cross_.data()});
  gemm<T>(ctx_, Transpose::no, Transpose::no, T(1), cross_, turns_, T(0), correlation_);
  parallel_for(ctx_, "best shift", batch_,
               BestShift<T>{n_, steps_, correlation_.data(), cross_.data(), shift.data},
               n_ * steps_);
  parallel_for(ctx_, "residual at the best shift", batch_ * (n_ / 2 + 1),
               Residual<T>{n_, truth_.data(), shift.data, estimate_.data()});
  parallel_for(ctx_, "relative error", batch_,
               RelativeError<T>{n_, static_cast<double>(batch_), truth_.data(), estimate_.data(),
                                error.data},
               n_);
}

template <class T>
void ShiftError<T>::errors_and_gradient(View<const T, 2> estimate, View<const T, 2> truth,
                                        View<T, 1> error, View<T, 1> shift, View<T, 2> destimate) {
  require_shape("ShiftError", "destimate", destimate, {batch_, n_});
  errors(estimate, truth, error, shift);
  // The residuals' coefficients, already scaled, back to samples.
  gemm<T>(ctx_, Transpose::no, Transpose::no, T(1), estimate_, basis_, T(0), destimate);
}

template class ShiftError<float>;
template class ShiftError<double>;

}  // namespace orrery
