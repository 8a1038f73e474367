#pragma once

#include <vector>

#include "kernels/context.hpp"
#include "kernels/tensor.hpp"

namespace orrery {

/// First and second moments of observations that come in blocks, in one pass and without keeping
/// any: sums of y and y y^T in double precision.
/// Cost   2 n^2 flop an observation and n^2 numbers of memory; deterministic, whatever the number
///        of threads, for the same blocks.
class SampleMoments {
 public:
  SampleMoments(const Context& ctx, Index n);

  /// Adds observations (count, n) that lie on the context's backend.
  void add(View<const double, 2> observations);

  Index count() const { return count_; }

  /// mean y, (n). Throws std::invalid_argument before any observation, as `second` does.
  std::vector<double> first() const;
  /// mean y y^T - noise_variance I, (n,n): white noise of that variance a sample adds nothing to
  /// its expectation.
  std::vector<double> second(double noise_variance) const;

 private:
  std::vector<double> mean(View<const double, 1> sum) const;

  Context ctx_;
  Index count_ = 0;
  Tensor<double, 2> sum_;          // (1,n)
  Tensor<double, 2> product_sum_;  // (n,n)
  Tensor<double, 1> ones_;         // as many as the longest block so far has observations
};

}  // namespace orrery
