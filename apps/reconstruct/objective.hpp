#pragma once

#include "apps/reconstruct/priors.hpp"
#include "kernels/processes.hpp"
#include "moments/loss.hpp"
#include "nn/real_space_penalty.hpp"

namespace orrery {

struct ObjectiveValue {
  MomentErrors errors;
  double penalty = 0;
  double total = 0;
};

/// What the reconstruction minimises, composed of exchangeable parts: a volume prior, a density
/// prior, the slices of a quadrature, the moment loss and a real-space penalty.
class Objective {
 public:
  /// Leaves out a penalty of weight 0. Compares moments on the central band x band frequencies of
  /// an n x n grid (band = n: all of them); `target` holds the moments of that band. Slices take
  /// the target's weights. Several processes share the slices, and the penalty's points: each
  /// evaluates the priors for its own, and all get the same value and the same gradients, of
  /// everything. Throws InputError where there are fewer slices than processes.
  Objective(const Context& ctx, const RealSpacePenaltySettings& penalty, int n, int band,
            const Quadrature& quadrature, const TargetMoments<float>& target, VolumePrior& volume,
            DensityPrior& density, Parameters<float>& parameters,
            const Processes& processes = Processes::alone());

  /// The loss at the parameters' current values; fills their gradients. One call is one step's
  /// work.
  ObjectiveValue value_and_gradient(const LossSettings& loss);

  /// The same without waiting for the device: the value is left there, value (value_numbers), for
  /// value_from to read on the host. Several processes wait for one another nevertheless.
  void queue_value_and_gradient(const LossSettings& loss, View<double, 1> value);
  static constexpr Index value_numbers = 4;
  static ObjectiveValue value_from(View<const double, 1> value);

  /// The relative errors of the model as it stands against moments of the same band, such as the
  /// target's with other weights. A step's work too.
  MomentErrors errors_against(const TargetMoments<float>& moments);

  /// Network evaluations of one call, by all processes.
  Index decoder_points() const;

 private:
  /// What is left of forming slices and weights: the way back.
  struct ModelPullback {
    Pullback<2> volume;
    Pullback<1> density;
  };
  ModelPullback form_model(const TargetMoments<float>& moments);
  void queue_penalty();
  void form_shared_penalty();
  View<float, 1> own(Tensor<float, 1>& of_views) const;
  void gradients_of_priors(const ModelPullback& pullback);

  Context ctx_;
  RealSpacePenaltySettings penalty_settings_;
  int band_;
  const Quadrature& quadrature_;
  const TargetMoments<float>& target_;
  VolumePrior& volume_;
  DensityPrior& density_;
  Parameters<float>& parameters_;
  Processes processes_;

  // B distinct slices and Q points of the penalty are this process's own.
  Processes::Share own_slices_, own_grid_;
  Index slice_points_ = 0;        // B P
  Tensor<float, 2> coordinates_;  // (B P + Q, 3): slices first, then the penalty's half ball
  Tensor<float, 2> values_;       // (B P + Q, 2)
  Tensor<float, 2> dvalues_;      // (B P + Q, 2)
  Tensor<float, 2> base_;         // (B, D) Hartley slices, and their gradient
  Tensor<float, 2> slices_;       // (B G, D)
  Tensor<float, 2> dslices_;      // (B G, D)
  Tensor<float, 1> weights_;      // of all views
  Tensor<float, 1> dweights_;     // of all views; zero for those of others
  MomentScratch<float> scratch_;
  RealSpaceGrid<float> grid_;                    // empty without a penalty
  Tensor<float, 2> grid_values_, dgrid_values_;  // at all of its points, of several processes
  Tensor<double, 1> penalty_;                    // (1)
};

/// The moments restricted to the central band x band frequencies of the n x n grid. What is known
/// of the remainder of a target by factors says nothing of a band: there the factors alone count.
TargetMoments<float> restrict_to_band(const Context& ctx, const TargetMoments<float>& target, int n,
                                      int band);

}  // namespace orrery
