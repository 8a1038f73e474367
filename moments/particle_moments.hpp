#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "kernels/context.hpp"
#include "kernels/processes.hpp"
#include "kernels/tensor.hpp"

namespace orrery {

/// First and second moments estimated from images, in the Hartley basis (D = n^2 coefficients), and
/// how well they are known. Host memory.
struct ParticleMomentsEstimate {
  std::vector<double> first;        // (D)
  std::vector<float> second;        // (D,D), symmetric
  std::vector<double> first_error;  // (D) standard errors; infinite where nothing was observed
  std::vector<float> second_error;  // (D,D), or empty where it was not asked for
  std::int64_t images = 0;
  std::int64_t unobserved = 0;  // pairs {k,k'} that the images say nothing of: zero in `second`
};

/// Accumulates the moments of images y_i = c_i h_i + noise, c_i being the contrast transfer
/// function and the noise independent from coefficient to coefficient, of variance s^2. The
/// least-squares estimators without bias, all products and divisions by element:
///   M1 = sum c_i y_i / sum c_i^2
///   M2 = [sum (c_i y_i)(c_i y_i)^T - s^2 diag(sum c_i^2)] / [sum (c_i^2)(c_i^2)^T].
/// One pass; memory one triangle of doubles without CTFs, two with them.
/// Cost   D^2 flop an image, and as many again for each distinct CTF of a block. Products are
///        formed in blocks of float, one a call of `add`, and summed in double precision: from a
///        thousand images a call on, the sums cost next to nothing. Deterministic for the same
///        blocks, whatever the number of threads.
/// Source docs/method.md, "Moments from images".
class ParticleMoments {
 public:
  /// Without CTF every c_i is 1.
  ParticleMoments(const Context& ctx, Index pixels, bool with_ctf);

  /// Adds images (B,D) on the context's backend; they are overwritten. `ctf` (G,D), there too, are
  /// the CTFs and `ctf_of_image` (B), on the host, says which of them is an image's; without it
  /// there is either one an image, G = B, or one for all, G = 1. Without CTFs G = 0.
  void add(View<float, 2> images, View<const float, 2> ctf = {},
           std::span<const int> ctf_of_image = {});

  /// Adds what another has seen. Throws std::invalid_argument unless the two are alike.
  void add(const ParticleMoments& other);

  std::int64_t images() const { return images_; }
  Index pixels() const { return first_.extent(0); }
  bool with_ctf() const { return with_ctf_; }

  /// With that noise variance in every coefficient, or one for each (D): noise whose variance
  /// depends on the frequency alone need not be whitened, as that would divide above and below by
  /// the same. An infinite one leaves its coefficient unobserved. Matrices are most of what memory
  /// it takes: without `second_errors` there is one less. Throws std::invalid_argument before any
  /// image.
  ParticleMomentsEstimate estimate(double noise_variance) const;
  ParticleMomentsEstimate estimate(std::span<const double> noise_variance,
                                   bool second_errors = true) const;

  /// Adds what the other processes have seen, in each of them.
  void sum_over(const Processes& processes);

  /// The sums as they stand, one array after the other in host memory: how many images, sum c y,
  /// the products' packed triangle, and with CTFs sum c^2 and the triangle of its products. It is
  /// what a checkpoint keeps; what `change` writes there is kept.
  void visit_sums(const std::function<void(std::span<const double>)>& visit) const;
  void change_sums(const std::function<void(std::span<double>)>& change);

 private:
  Context ctx_;
  bool with_ctf_;
  std::int64_t images_ = 0;
  Tensor<double, 1> first_, second_;          // (D), (D (D + 1) / 2)
  Tensor<double, 1> weight_, second_weight_;  // with CTFs; else both are `images_`
};

}  // namespace orrery
