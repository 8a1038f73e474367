#pragma once

#include <cstdint>
#include <functional>

#include "kernels/context.hpp"
#include "kernels/tensor.hpp"
#include "moments/sample_moments.hpp"

namespace orrery {

/// Observations are drawn and summed in blocks of so many; it depends on their length alone, so
/// that the numbers do not depend on the device or the threads.
Index observations_a_block(Index n);

/// Noisy shifted copies of one signal: y[i] = v[(i - s) mod n] + sigma * normal, with the shift s
/// drawn from a density. Every observation depends on seed, instance, block and its row in the
/// block alone.
class SimulatedObservations {
 public:
  /// `signal` and `density` (n), on the host; the density sums to 1.
  SimulatedObservations(const Context& ctx, View<const double, 1> signal,
                        View<const double, 1> density, double sigma, std::uint64_t seed,
                        std::uint64_t instance);

  /// Fills rows (count, n), on the context's backend, with the first `count` of that block.
  void draw(std::uint64_t block, View<double, 2> rows) const;

 private:
  Context ctx_;
  double sigma_;
  std::uint64_t seed_, instance_;
  Tensor<double, 1> signal_;      // (n)
  Tensor<double, 1> cumulative_;  // (n): probability of a shift of at most s
};

/// The moments of so many observations. Each block is handed to `see`, on the context's backend,
/// once it has been added, with the number of observations up to its end.
SampleMoments observe(const Context& ctx, const SimulatedObservations& source, Index length,
                      Index observations,
                      const std::function<void(View<const double, 2> block, Index done)>& see = {});

}  // namespace orrery
