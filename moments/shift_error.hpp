#pragma once

#include "kernels/tensor.hpp"

namespace orrery {

/// Over which shifts an error is minimised.
enum class Shifts {
  grid,       // by whole samples: the paper's (22)
  continuous  // by any amount, the signal being band-limited
};

/// Relative errors of a batch of estimates against the truth, each at its best circular shift:
///   e[b] = min_s || u[b] - S_s t[b] || / || t[b] ||,
/// S_s turning the Fourier coefficients of t by the angles of a shift by s samples. Continuous
/// shifts are found on a grid of 8 to the sample, then by Newton's method. At even n the highest
/// frequency has no phase to turn: it is multiplied by the cosine of its angle. Holds the tables
/// and the scratch for one batch size, so that a call takes no memory.
template <class T>
class ShiftError {
 public:
  ShiftError(const Context& ctx, Shifts shifts, Index batch, Index n);

  /// Errors e (B) of the estimates u (B,n) against t (B,n), and the shifts s (B) in samples, in
  /// (-1, n).
  /// Throws   std::invalid_argument on a shape mismatch.
  /// Cost     2 B n^2 flop for each of u and t, and 16 B n^2 for continuous shifts (2 B n^2 on the
  ///          grid). Deterministic on both backends. T is float or double.
  /// Source   Khoo, Paul, Sharon 2023, formula (22).
  void errors(View<const T, 2> estimate, View<const T, 2> truth, View<T, 1> error,
              View<T, 1> shift);

  /// As errors, and the gradient of the mean error: destimate (B,n), overwritten, is
  /// (u[b] - S_s t[b]) / (B e[b] ||t[b]||^2), the best shift being stationary. Where an estimate is
  /// exact its gradient is zero.
  void errors_and_gradient(View<const T, 2> estimate, View<const T, 2> truth, View<T, 1> error,
                           View<T, 1> shift, View<T, 2> destimate);

 private:
  Context ctx_;
  Index batch_, n_, steps_;           // steps_: correlations from one whole shift to the next
  Tensor<T, 2> basis_;                // the real Fourier basis
  Tensor<T, 2> turns_;                // (n, n steps): cosines and sines of the shifts' angles
  Tensor<T, 2> estimate_, truth_;     // (B,n) coefficients; then the residual's in estimate_
  Tensor<T, 2> cross_, correlation_;  // (B,n), (B, n steps)
};

}  // namespace orrery
