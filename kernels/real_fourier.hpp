#pragma once

#include "kernels/tensor.hpp"

namespace orrery {

/// The real Fourier basis of signals of length n as an orthogonal matrix Q (n,n):
///   row 0       1 / sqrt(n)
///   row 2k-1    sqrt(2/n) cos(2 pi k j / n)
///   row 2k      sqrt(2/n) sin(2 pi k j / n)      k = 1 .. (n-1)/2
///   row n-1     (-1)^j / sqrt(n)                 n even
/// Coefficients are c = Q x, signals x = Q^T c; norms are kept and white noise stays white. A shift
/// of x by s samples turns each pair (cos, sin) by the angle 2 pi k s / n. For n up to a few
/// hundred and many signals at once the product with Q is faster than an FFT.
/// T is float or double; computed in double.
template <class T>
Tensor<T, 2> real_fourier_basis(const Context& ctx, Index n);

/// A signal (n) shifted by any amount, in samples, through its Fourier series; at even n the
/// highest frequency is multiplied by the cosine of its angle. `basis` is that of
/// real_fourier_basis; host memory.
/// Throws   std::invalid_argument on a shape mismatch.
/// Cost     4 n^2 flop.
template <class T>
void shift_signal(View<const T, 2> basis, double shift, View<const T, 1> signal,
                  View<T, 1> shifted);

}  // namespace orrery
