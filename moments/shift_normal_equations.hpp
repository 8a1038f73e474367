#pragma once

#include <vector>

#include "kernels/tensor.hpp"

namespace orrery {

/// What a signal v and a density p of circular shifts, both of n samples, are asked to fit:
///
///   f(v, p) =  w1 |V p - m1|^2  +  w2 |V diag(p) V^T - C|_F^2
///            + v^T A v  +  (p - 1/n)^T B (p - 1/n)  +  w0 (sum_s p_s - 1)^2,
///
/// where V(i,s) = v(i - s), indices taken mod n. Unknowns are kept as one vector, v before p.
struct ShiftObjective {
  Tensor<double, 1> first;   // m1 (n)
  Tensor<double, 2> second;  // C (n,n), symmetric
  double first_weight = 1;   // w1
  double second_weight = 1;  // w2
  double sum_weight = 0;     // w0
  // A and B are circulant and symmetric: their first rows, (n).
  std::vector<double> signal_prior, density_prior;

  Index length() const { return first.extent(0); }
};

/// Scratch that one evaluation leaves for the next: some n x n matrices.
struct ShiftScratch {
  explicit ShiftScratch(Index n);

  Tensor<double, 2> shifted;   // (shift, sample): row s is v shifted by s
  Tensor<double, 2> scaled;    // some matrix with its rows scaled
  Tensor<double, 2> sums;      // (i,j) holds some sequence at i + j
  Tensor<double, 2> residual;  // V diag(p) V^T - C
  Tensor<double, 2> product;
  std::vector<double> first_residual;  // V p - m1
};

/// f at the unknowns (2n). Host memory, one thread.
/// Throws   std::invalid_argument on a shape mismatch.
/// Cost     2 n^3 flop.
double shift_objective(const ShiftObjective& objective, View<const double, 1> unknowns,
                       ShiftScratch& scratch);

/// f, and the normal equations of its Gauss-Newton step: `matrix` = J^T J and `gradient` = J^T r, r
/// being the weighted residuals with f = |r|^2 (so that f's own gradient is twice that), J their
/// Jacobian, which is never formed. With the circular autocorrelations
/// R_p(a) = sum_s p(s) p(s + a) and R_v, and X(a) = sum_s p(s) v(s + a),
///
///   <dm1/dv_k, dm1/dv_l> = R_p(k - l)    <dm1/dp_s, dm1/dp_t> = R_v(s - t)
///   <dm1/dv_k, dm1/dp_s> = X(k - s)
///   <dC/dv_k, dC/dv_l>   = 2 R_p(k - l) R_v(k - l) + 2 sum_c v(k - c) R_p(c) v(l + c)
///   <dC/dp_s, dC/dp_t>   = R_v(s - t)^2
///   <dC/dv_k, dC/dp_s>   = 2 sum_a v(k + a) R_v(a) p(s + a).
///
/// Shapes   matrix (2n,2n), of which only the upper triangle is written  gradient (2n). Host
///          memory, one thread.
/// Throws   std::invalid_argument on a shape mismatch.
/// Cost     8 n^3 flop.
double shift_normal_equations(const ShiftObjective& objective, View<const double, 1> unknowns,
                              ShiftScratch& scratch, View<double, 2> matrix,
                              View<double, 1> gradient);

}  // namespace orrery
