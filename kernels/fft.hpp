#pragma once

#include <complex>

#include "kernels/context.hpp"
#include "kernels/view.hpp"

namespace orrery {

enum class FftDirection { forward, inverse };

/// Unitary complex FFT over the last `rank` dimensions, in place, centred: index 0 of a dimension
/// of length n stands for position -floor(n/2), so that frequency zero lies at index floor(n/2).
///   forward  y[k] = n^(-1/2) sum_x exp(-2 pi i k x / n) v[x]  per dimension; inverse has +i.
/// The round trip is the identity and Frobenius norms are kept. Lengths may be odd, even or prime.
/// Shapes   data (batch, n1), (batch, n1, n2), (batch, n1, n2, n3) for rank 1, 2, 3.
/// Throws   std::invalid_argument for a length of 2^31 or more, std::runtime_error where the
///          library has no plan for one.
/// Cost     O(size log n). CPU: FFTW. CUDA: cuFFT. T is float or double.
template <class T>
void fft_1d(const Context& ctx, FftDirection direction, View<std::complex<T>, 2> data);
template <class T>
void fft_2d(const Context& ctx, FftDirection direction, View<std::complex<T>, 3> data);
template <class T>
void fft_3d(const Context& ctx, FftDirection direction, View<std::complex<T>, 4> data);

}  // namespace orrery
