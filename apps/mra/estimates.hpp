#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "apps/mra/moments_file.hpp"
#include "apps/mra/shift_model.hpp"
#include "apps/mra/training.hpp"

namespace orrery {

/// Signals and shift densities, one pair an instance, whose moments should be those of a file.
struct Estimates {
  Tensor<double, 2> signal, density;  // (instances, n) each; host memory
};

/// ||found - wanted|| / ||wanted||, or ||found|| where wanted is zero.
double relative_distance(const double* found, const double* wanted, Index count);

/// How well a pair does.
struct EstimateErrors {
  double first_moment = 0, second_moment = 0;  // relative, the paper's (23)
  PairErrors truth;                            // each at its best shift; where there is a truth
};
std::vector<EstimateErrors> errors_of(const Context& ctx, const ShiftMoments& target,
                                      const Estimates& estimates);
EstimateErrors mean_of(const std::vector<EstimateErrors>& errors);

/// What a trained model says of each instance. Networks see signals of norm 1: the moments are
/// scaled by the norm that the second moment's trace gives, and the answer scaled back.
/// Throws InputError naming the target's file where its length is not the model's or the trace is
/// not positive.
Estimates predict(const Context& ctx, const ShiftModel& model, const ShiftMoments& target);

/// The norm of an instance's signal: the root of its second moment's trace. Throws InputError where
/// that is not positive.
double signal_norm(const ShiftMoments& target, Index instance);

/// The shift of the signal, in eighths of a sample, at which signal and density together come
/// nearest to an instance's moments: both networks answer up to a shift of their own (section
/// 5.1.2). The distance is the sum of both relative errors. Cost: 32 n^3 flop, n^2 numbers.
double best_joint_shift(const Context& ctx, const ShiftMoments& target, Index instance,
                        View<const double, 1> signal, View<const double, 1> density);
/// Shifts each signal by its best joint shift.
void align_pairs(const Context& ctx, const ShiftMoments& target, Estimates& estimates);

/// estimates.h5 (float64 `signal` and `density`) and errors.csv (one line an instance).
void write_estimates(const std::filesystem::path& folder, const ShiftMoments& target,
                     const Estimates& estimates, const std::vector<EstimateErrors>& errors);

/// Mean errors under the names that summaries use; those against the truth where there is one.
nlohmann::ordered_json summary_of(const ShiftMoments& target,
                                  const std::vector<EstimateErrors>& errors);

}  // namespace orrery
