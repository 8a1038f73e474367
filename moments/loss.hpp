#pragma once

#include "kernels/context.hpp"
#include "kernels/processes.hpp"
#include "kernels/tensor.hpp"

namespace orrery {

/// The moments that a reconstruction should reproduce, on ctx's backend, and their norms.
template <class T>
struct TargetMoments {
  Tensor<T, 1> first;   // M1 (D), Hartley basis
  Tensor<T, 2> second;  // M2 (D,D), symmetric
  double first_norm = 0;
  double second_norm = 0;

  // How a model is to be compared with them; empty where there is nothing to do.
  /// w (D), a function of |k|: M1 and M2 above are those of slices multiplied by w, and so have to
  /// be the slices that they are compared with (kernels/slices.hpp: weigh_coefficients).
  Tensor<T, 1> weights = {};
  /// (n): the images had shifts that nobody knows. moment_loss blurs the model's moments by these
  /// factors (kernels/shift_blur.hpp).
  Tensor<T, 1> blur = {};

  /// Where D x D numbers do not fit: `second` is empty, and M2 is sum_k strengths_k factors_k
  /// factors_k^T and a remainder orthogonal to them (in the Frobenius inner product), of which the
  /// norm alone is known.
  Tensor<T, 2> factors = {};  // (K,D)
  Tensor<T, 1> strengths = {};
  double remainder_norm = 0;
};

template <class T>
TargetMoments<T> make_target(const Context& ctx, Tensor<T, 1> first, Tensor<T, 2> second);

/// A target whose second moment is given by factors and the norm of what they leave out, such as
/// its leading eigenvectors under their eigenvalues. Its norm is that of M2 with the remainder. The
/// errors e2 of such a target count the remainder R as unmatched, ||M2 - M2^||^2 = ||M2 - F||^2 +
/// ||R||^2, which leaves out -2 <M2, R>: they are off by sqrt(2) ||R|| / ||M2^|| at most, and exact
/// where R = 0. (The distance lies between ||M2 - F|| - ||R|| and ||M2 - F|| + ||R||, so that what
/// is left out is least where the two are equal.)
/// Shapes   first (D)  factors (K,D)  strengths (K).
/// Throws   std::invalid_argument on a shape mismatch.
template <class T>
TargetMoments<T> make_factored_target(const Context& ctx, Tensor<T, 1> first, Tensor<T, 2> factors,
                                      Tensor<T, 1> strengths, double remainder_norm = 0);

/// ||R|| / ||M2^||: what a target by factors leaves out.
template <class T>
double relative_remainder(const TargetMoments<T>& target) {
  return target.remainder_norm / target.second_norm;
}

/// The diagonal of M2 in host memory; of a target by factors, theirs without the remainder's.
template <class T>
Tensor<T, 1> second_diagonal(const Context& ctx, const TargetMoments<T>& target);

/// What is minimised, in terms of the relative errors e1 = ||M1 - M1^|| / ||M1^|| and e2 alike:
enum class LossKind {
  absolute,  // ||M1^|| e1 + lambda ||M2^|| e2: the paper's formula (30)
  relative,  // e1 + lambda e2
  squared    // e1^2 + lambda e2^2
};

struct LossSettings {
  LossKind kind = LossKind::relative;
  double lambda = 1;
};

struct MomentErrors {
  double first = 0;   // e1
  double second = 0;  // e2
  double loss = 0;
};

/// Scratch that one evaluation leaves for the next, so that memory is taken once.
template <class T>
struct MomentScratch {
  Tensor<T, 1> first;         // (D) residual
  Tensor<T, 2> second;        // (D,D) residual, where it has to be formed
  Tensor<double, 1> norms;    // (2) of the residuals, squared
  Tensor<double, 1> factors;  // (2) derivatives of the loss per unit of residual
  Tensor<double, 1> errors;   // (3) e1, e2, loss
};

/// Forms the moments of weighted slices, compares them with the target, and gives the gradients of
/// the loss with respect to slices and weights. Where a relative error is zero so is its gradient.
/// Shapes   slices (J,D)  weights (J)  dslices (J,D)  dweights (J), both overwritten.
/// Throws   std::invalid_argument on a shape mismatch.
/// Cost     3 J D^2 flop; the second moment never lies in memory as a matrix
///          (kernels/moment_residual.hpp), but for a blurred target and for several processes,
///          which take one D x D matrix.
/// Several processes each give their share of the slices and get the gradients of these; the errors
/// are those of all. Not for targets given by factors then (std::invalid_argument).
template <class T>
MomentErrors moment_loss(const Context& ctx, const LossSettings& settings,
                         const TargetMoments<T>& target, View<const T, 2> slices,
                         View<const T, 1> weights, MomentScratch<T>& scratch, View<T, 2> dslices,
                         View<T, 1> dweights, const Processes& processes = Processes::alone());

/// The same without waiting for the device, for a step that is recorded as a graph, if no other
/// process has to be waited for: the errors are left there in scratch.errors, which this returns a
/// view of.
template <class T>
View<const double, 1> queue_moment_loss(const Context& ctx, const LossSettings& settings,
                                        const TargetMoments<T>& target, View<const T, 2> slices,
                                        View<const T, 1> weights, MomentScratch<T>& scratch,
                                        View<T, 2> dslices, View<T, 1> dweights,
                                        const Processes& processes = Processes::alone());

}  // namespace orrery
