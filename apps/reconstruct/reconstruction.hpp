#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apps/reconstruct/objective.hpp"
#include "apps/reconstruct/options.hpp"
#include "apps/reconstruct/problem.hpp"
#include "apps/reconstruct/recorded_steps.hpp"
#include "io/hdf5.hpp"
#include "nn/optimizer.hpp"

namespace orrery {

/// One line of the loss curve.
struct ProgressLine {
  int restart = 0;
  bool finishing = false;  // L-BFGS; Adam otherwise
  Index step = 0, steps = 0;
  ObjectiveValue value;
  double learning_rate = 0;
};

/// The reconstruction loop: from target moments to a volume and the density of its views. It sees
/// the target and the quadrature only, never the truth.
class Reconstruction {
 public:
  /// `known_weights` are the views', for --density-prior known. Several processes share each step's
  /// work; all of them call `run` and `errors_against`.
  Reconstruction(const Context& ctx, const Options& options, const Quadrature& quadrature,
                 const TargetMoments<float>& target, const std::vector<double>& known_weights,
                 int n, double voxel_size, const Processes& processes = Processes::alone());

  /// Runs every restart to its end. `report` is called after each step, on a device after a
  /// few of them for each, and may return false to stop, in all processes or none; then run returns
  /// false, and `state` holds where it stood. Throws InputError naming --learning-rate when it
  /// diverges.
  bool run(const std::function<bool(const ProgressLine&)>& report);

  /// Everything needed to go on to the same bits.
  io::Hdf5File state();
  void restore(const io::Hdf5File& state);

  struct Outcome {
    Volume volume;
    std::vector<double> view_weights;
    MomentErrors errors;
  };
  /// The best restart's model. Throws std::invalid_argument when none has finished.
  Outcome outcome();
  /// Errors of the model that `outcome` left in place, against moments with other weights.
  MomentErrors errors_against(const TargetMoments<float>& moments) {
    return fine_->errors_against(moments);
  }

  Index steps_done() const { return steps_done_; }
  const std::vector<ProgressLine>& history() const { return history_; }
  Index decoder_points() const { return fine_->decoder_points(); }
  Index parameter_count() const { return parameters_.count(); }

 private:
  void start(int restart);
  bool run_adam(const std::function<bool(const ProgressLine&)>& report);
  bool run_recorded_adam(Objective& objective,
                         const std::function<bool(const ProgressLine&)>& report);
  void record_steps();
  void finish_steps();
  bool run_lbfgs(const std::function<bool(const ProgressLine&)>& report);
  const ProgressLine& record(const ProgressLine& line);
  Volume volume_now();

  Context ctx_;
  Options options_;
  Processes processes_;
  const Quadrature& quadrature_;
  const TargetMoments<float>& target_;
  int n_;
  double voxel_size_;

  Parameters<float> parameters_;
  std::unique_ptr<VolumePrior> volume_;
  std::unique_ptr<DensityPrior> density_;
  Index density_part_ = -1;  // of free logits, which learn faster
  std::unique_ptr<TargetMoments<float>> coarse_target_;
  std::unique_ptr<Objective> fine_, coarse_;
  std::unique_ptr<Adam<float>> adam_;
  std::unique_ptr<RecordedSteps> recorded_;  // while Adam runs on a device
  RealSpaceGrid<float> grid_;

  // Where the run stands.
  int restart_ = 0;
  Index step_ = 0;        // of Adam, in this restart
  Index steps_done_ = 0;  // evaluations over all restarts
  struct Finished {
    Tensor<float, 1> parameters;  // host
    ObjectiveValue value;
  };
  std::vector<Finished> finished_;
  std::vector<ProgressLine> history_;
};

}  // namespace orrery
