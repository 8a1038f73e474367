#pragma once

#include "kernels/view.hpp"

namespace orrery {

/// A complex number for code that also runs on a device, where std::complex's operators cannot be
/// called: its product checks for infinities in a function of the host's library.
template <class T>
struct Complex {
  T re, im;

  friend ORRERY_HOST_DEVICE constexpr Complex operator*(Complex a, Complex b) {
    return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
  }
};

template <class T>
ORRERY_HOST_DEVICE constexpr Complex<T> conjugate(Complex<T> z) {
  return {z.re, -z.im};
}

}  // namespace orrery
