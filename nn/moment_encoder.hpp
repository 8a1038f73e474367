#pragma once

#include "nn/two_branch_network.hpp"

namespace orrery {

/// The paper's encoders for multi-reference alignment (section 4.1, appendix A): what the first and
/// the second moment of a signal of length n say at each of n frequencies goes through periodic
/// convolutions, the branches are stacked to 6 channels and convolved again, and dense layers give
/// n numbers: the signal, or the logits of the density of its shifts. The paper's figure with the
/// exact layers is not available; these are ours and can be changed.
struct MomentEncoderSettings {
  int n = 41;
  Index first_inputs = 5;                          // channels made of the first moment
  Index second_inputs = 40;                        // channels made of the second
  int window = 5;                                  // of every convolution: odd, at most n
  std::vector<Index> first_branch = {16, 16, 3};   // channels of the first's convolutions
  std::vector<Index> second_branch = {32, 16, 3};  // channels of the second's
  std::vector<Index> joint = {16, 16};             // after stacking both branches
  std::vector<Index> dense = {256, 256};           // hidden dense layers before the linear output
  TwoBranchSettings::Dense activation_of_dense = TwoBranchSettings::Dense::leaky_relu;
};

template <class T>
class MomentEncoder {
 public:
  /// Adds its weights to `parameters` as one part of that name; see nn/two_branch_network.hpp.
  /// Throws std::invalid_argument on an empty branch, counts below one, or an unfit window.
  MomentEncoder(const MomentEncoderSettings& settings, Parameters<T>& parameters,
                const std::string& name = "moment encoder");

  Index parameter_count() const { return network_.parameter_count(); }
  Index part() const { return network_.part(); }
  const MomentEncoderSettings& settings() const { return settings_; }

  /// He's weights, zero biases, and an output layer so small that the first outputs are. The same
  /// on every backend.
  void initialise(Parameters<T>& parameters, std::uint64_t seed) const {
    network_.initialise(parameters, seed);
  }

  /// All that a forward and a backward pass over so many samples write to: what the layers gave,
  /// and the gradients of that. Taken once and used for every step, which then allocates nothing
  /// but what an operation needs for itself. On the CPU the samples go through all layers in
  /// groups, so that what one layer gives is still in the cache when the next one reads it.
  struct Workspace {
    std::vector<typename TwoBranchNetwork<T>::Activations> groups;
    typename TwoBranchNetwork<T>::Activations gradients;  // of one group after another
    Index batch() const;
  };
  /// Throws std::invalid_argument unless batch >= 1.
  Workspace workspace(const Context& ctx, Index batch) const;

  /// output (B, n) from first (B, first_inputs, n) and second (B, second_inputs, n).
  /// Throws   std::invalid_argument on a shape mismatch, a workspace for another batch or encoder.
  /// Cost     two operations for each weight of a dense layer, 2 n for each of a convolution, a
  ///          sample: 1.5 Mflop as set above. Deterministic on both backends.
  void forward(const Context& ctx, const Parameters<T>& parameters, View<const T, 3> first,
               View<const T, 3> second, Workspace& workspace, View<T, 2> output) const;
  /// Adds the gradients of its weights, given that of the output (B, n) of the last forward pass
  /// with this workspace. The moments are data: they get no gradient.
  /// Cost     twice that of forward, less what the moments' gradients would take.
  void backward(const Context& ctx, Parameters<T>& parameters, Workspace& workspace,
                View<const T, 2> doutput) const;

 private:
  bool owns(const Workspace& workspace) const;

  MomentEncoderSettings settings_;
  TwoBranchNetwork<T> network_;
};

}  // namespace orrery
