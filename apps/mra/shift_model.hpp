#pragma once

#include <filesystem>

#include "io/hdf5.hpp"
#include "nn/moment_encoder.hpp"

namespace orrery {

/// What a trained model is, its weights aside, and what it was trained on.
struct ShiftModelSettings {
  MomentEncoderSettings encoder;  // of both networks
  double power_floor = 1e-3;      // of the whitening (moments/encoder_channels.hpp)
  std::uint64_t seed = 1;         // of the first weights
};

/// Mean relative errors over pairs, each at its best shift.
struct PairErrors {
  double signal = 0, density = 0;                        // (22): over whole shifts
  double continuous_signal = 0, continuous_density = 0;  // over any shift
};

/// What is known of a model's training: written into its file.
struct TrainingFacts {
  int mixture = 0;           // Gaussians in each signal and density
  std::string centres;       // "anywhere" or "grid"
  std::int64_t samples = 0;  // pairs seen
  double noise = 0;          // largest sampling error of the second moments, ||v|| = 1
  PairErrors errors;         // over new pairs without noise
};

/// The paper's pair of encoders (section 4.1): from the moments of a signal of norm 1 to the signal
/// and to the density of its shifts, each known up to a shift of its own.
class ShiftModel {
 public:
  ShiftModel(const Context& ctx, const ShiftModelSettings& settings);

  const ShiftModelSettings& settings() const { return settings_; }
  Index n() const { return settings_.encoder.n; }
  Parameters<float>& parameters() { return parameters_; }
  const Parameters<float>& parameters() const { return parameters_; }
  /// The first weights, from the settings' seed.
  void initialise();

  /// Everything that a pass over so many pairs of moments writes to.
  struct Workspace {
    Tensor<float, 3> from_first, from_second;
    MomentEncoder<float>::Workspace signal, density;
    Tensor<float, 2> logits, dlogits;
  };
  Workspace workspace(Index batch) const;

  /// What both networks see of moments (B,n), (B,n,n) in the real Fourier basis.
  void look_at(View<const float, 2> first, View<const float, 3> second, Workspace& workspace) const;
  // Either network on its own, from what it sees to its answer (B,n), and back, adding the
  // gradients of its weights. They share nothing that they write to.
  void signal_forward(Workspace& workspace, View<float, 2> signal) const;
  void signal_backward(Workspace& workspace, View<const float, 2> dsignal);
  void density_forward(Workspace& workspace, View<float, 2> density) const;
  void density_backward(Workspace& workspace, View<const float, 2> density,
                        View<const float, 2> ddensity);

  /// Signals and densities (B,n) from moments (B,n), (B,n,n) in the real Fourier basis. Densities
  /// are positive and sum to 1.
  void forward(View<const float, 2> first, View<const float, 3> second, Workspace& workspace,
               View<float, 2> signal, View<float, 2> density) const;
  /// Adds the gradients of the weights. `density` is what forward gave.
  void backward(Workspace& workspace, View<const float, 2> density, View<const float, 2> dsignal,
                View<const float, 2> ddensity);

 private:
  Context ctx_;
  ShiftModelSettings settings_;
  Parameters<float> parameters_;
  MomentEncoder<float> signal_, density_;
};

/// The same model for another context.
ShiftModel copied(const Context& ctx, const ShiftModel& model);

/// Model files are HDF5: the weights, and the settings as attributes.
void write_model(const std::filesystem::path& path, const ShiftModel& model,
                 const TrainingFacts& facts);
/// Throws InputError naming the file for anything but a model of this version.
ShiftModel read_model(const Context& ctx, const std::filesystem::path& path,
                      TrainingFacts* facts = nullptr);

}  // namespace orrery
