#pragma once

#include <functional>
#include <vector>

#include "apps/mra/estimates.hpp"
#include "nn/optimizer.hpp"

namespace orrery {

struct RefinementSettings {
  Index iterations = 3000;      // at most
  double learning_rate = 1e-4;  // of Adam, constant
  double lambda = 1;            // of the loss
  /// Whether an instance stops once its loss is what noise alone would leave (the discrepancy
  /// principle); without, all iterations are done. Exact moments never stop.
  bool stops_at_noise = true;
};

/// An untrained model to start an instance from: of that kind, with weights of its own.
ShiftModel random_model(const Context& ctx, ShiftModelSettings kind, std::uint64_t seed,
                        Index instance);

/// The loss that the noise leaves at the truth, for signals of norm 1: with s = sigma / norm,
///   s sqrt(n / N) + 1.03 lambda n s^2 / sqrt(N).
/// The factor holds the terms beyond s^2 at the noises where moments are needed. 0 for exact
/// moments. Source: ../docs/method.md.
double noise_floor(const ShiftMoments& target, Index instance, double lambda);

/// One point of an instance's way.
struct RefinementPoint {
  Index iteration = 0;
  EstimateErrors errors;
};

struct Refined {
  Estimates estimates;
  std::vector<Index> iterations;    // that each instance took
  std::vector<bool> reached_noise;  // whether it stopped there
};

/// Who looks on: called with (instance, point) at each of these iterations, in ascending order,
/// from several threads at once.
struct Watch {
  std::vector<Index> iterations = {};
  std::function<void(Index, const RefinementPoint&)> see = {};
};

/// The paper's reconstruction phase (section 5.1.2): for each instance, both encoders' weights are
/// changed from `start`'s until the moments of their output match the instance's, that is
///   min || M1^ - M1[v, p] || + lambda || M2^ - M2[v, p] ||      (28)
/// over the weights, the signal having been shifted first to fit its density. Instances are
/// independent of one another and go on side by side.
/// `start` gives the model that an instance starts from. `report`, unless empty, is told after each
/// instance how many are done, by one thread at a time.
Refined refine(const Context& ctx, const std::function<ShiftModel(const Context&, Index)>& start,
               const ShiftMoments& target, const RefinementSettings& settings,
               const std::function<void(Index done)>& report = {}, const Watch& watch = {});

}  // namespace orrery
