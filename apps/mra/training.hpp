#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "apps/mra/pairs.hpp"
#include "apps/mra/shift_model.hpp"
#include "kernels/step_graph.hpp"
#include "moments/shift_error.hpp"
#include "nn/optimizer.hpp"

namespace orrery {

struct TrainingSettings {
  ShiftModelSettings model;
  MixtureLaw law;
  Index batch = 256;
  Index steps = 10000;
  LearningRateSchedule schedule;  // its total_steps are set to `steps`
  Shifts shifts = Shifts::grid;   // over which the loss is minimised
  std::uint64_t set_size = 0;     // pairs in a fixed training set; 0: every pair is new
  MomentNoise noise;              // the largest, for signals of norm 1
  std::uint64_t seed = 1;
};

/// One line of the error curves.
struct TrainingLine {
  Index step = 0;
  double samples = 0, seconds = 0;
  double signal_loss = 0, density_loss = 0;  // means since the line before
  PairErrors test;
};

/// The supervised phase (section 5.1.1): pairs drawn on the fly, their moments, both networks, the
/// relative error at the best shift of either, backward, Adam. The networks share no weight and
/// learn side by side.
class Training {
 public:
  Training(const Context& ctx, const TrainingSettings& settings);
  Training(const Training&) = delete;  // the graph knows this one's memory

  /// Queues a step; on a CUDA device as one graph, without waiting for it.
  void step();
  Index steps_done() const { return step_; }
  bool done() const { return step_ >= settings_.steps; }

  /// Mean losses of the steps since the last call; waits for the device. Throws Diverged when they
  /// are no longer finite.
  struct Losses {
    double signal = 0, density = 0;
  };
  Losses take_losses();

  /// Mean errors over `pairs` test pairs, which training never draws, their moments under noise of
  /// up to this.
  PairErrors test(Index pairs, const MomentNoise& noise);

  const ShiftModel& model() const { return model_; }

  /// All that a run needs to go on exactly as if it had never stopped.
  io::Hdf5File state();
  void restore(const io::Hdf5File& file);

 private:
  void draw(PairSet set, const StepClock& clock, const MomentNoise& noise);
  void do_step();

  Context ctx_;
  TrainingSettings settings_;
  ShiftModel model_;
  Adam<float> adam_;
  StepClock clock_, test_clock_;  // which batch is drawn
  StepGraph graph_;               // of do_step
  Index step_ = 0;

  // A batch on its way through a step.
  Tensor<float, 2> basis_;
  Tensor<float, 2> signal_, density_;  // the truth
  Tensor<float, 2> signal_coefficients_, density_coefficients_;
  Tensor<float, 2> first_, noise_first_;
  Tensor<float, 3> second_, noise_second_;
  ShiftModel::Workspace workspace_;
  Tensor<float, 2> signal_estimate_, density_estimate_, dsignal_, ddensity_;
  ShiftError<float> signal_error_, density_error_;
  Tensor<float, 1> error_, shift_, density_error_now_, density_shift_;
  Tensor<float, 1> signal_losses_, density_losses_;  // (B) sums over steps
  Index losses_taken_ = 0;                           // the step they were last taken at
};

}  // namespace orrery
