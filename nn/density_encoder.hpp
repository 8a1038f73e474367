#pragma once

#include "nn/two_branch_network.hpp"

namespace orrery {

/// The paper's encoder for the view density (section 4.2, appendix A): M1 as an n x n picture with
/// one channel and M2 as an n x n picture with n^2 channels go through periodic convolutions each,
/// are joined to 6 channels, convolved again, and a dense head gives one logit a view (or
/// direction). The paper's figure with the exact layers is not available; these are ours and can
/// be changed.
struct DensityEncoderSettings {
  int n = 25;
  Index outputs = 100;
  int window = 3;                             // of every convolution: odd, at most n
  std::vector<Index> first_branch = {3, 3};   // channels of M1's convolutions; the last is 3
  std::vector<Index> second_branch = {8, 3};  // channels of M2's convolutions; the last is 3
  std::vector<Index> joint = {6, 6};          // after stacking both branches to 6 channels
  std::vector<Index> dense = {64};            // hidden dense layers before the linear output
};

template <class T>
class DensityEncoder {
 public:
  /// Adds its weights to `parameters` as one part of that name; see nn/two_branch_network.hpp.
  /// Throws std::invalid_argument on an empty branch, counts below one, or an unfit window.
  DensityEncoder(const DensityEncoderSettings& settings, Parameters<T>& parameters,
                 const std::string& name = "density encoder");

  Index parameter_count() const { return network_.parameter_count(); }
  Index part() const { return network_.part(); }

  /// He's weights, zero biases, and an output layer so small that the first density is nearly
  /// uniform. The same on every backend.
  void initialise(Parameters<T>& parameters, std::uint64_t seed) const {
    network_.initialise(parameters, seed);
  }

  /// What an encoder sees of M1 and M2: either of root mean square 1, so that these are the same
  /// numbers whatever a map's scale.
  struct Moments {
    Tensor<T, 1> first;   // (n^2)
    Tensor<T, 1> second;  // (n^4), the channel first
  };
  /// From M1 (n^2) and M2 (n^2, n^2), whose first index is the channel; waits for the device.
  /// Throws   std::invalid_argument on a shape mismatch or a moment that is zero or not finite.
  Moments scaled(const Context& ctx, View<const T, 1> m1, View<const T, 2> m2) const;

  /// What backward needs: the scaled moments, the stacked channels of both branches, and what every
  /// other layer gave.
  using Saved = typename TwoBranchNetwork<T>::Activations;

  /// logits (outputs) from scaled moments. Waits for nothing.
  /// Throws   std::invalid_argument on a shape mismatch.
  /// Memory   a copy of the moments and the activations. Deterministic on both backends.
  Saved forward(const Context& ctx, const Parameters<T>& parameters, const Moments& moments,
                View<T, 1> logits) const;
  /// Adds the gradients of its weights. The moments are data: they get no gradient.
  void backward(const Context& ctx, Parameters<T>& parameters, const Saved& saved,
                View<const T, 1> dlogits) const;

 private:
  DensityEncoderSettings settings_;
  TwoBranchNetwork<T> network_;
};

}  // namespace orrery
