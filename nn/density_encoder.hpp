#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/tensor.hpp"
#include "nn/parameters.hpp"

namespace orrery {

/// The paper's encoder for the view density (section 4.2, appendix A): M1 as an n x n picture with
/// one channel and M2 as an n x n picture with n^2 channels go through periodic convolutions each,
/// are joined to 6 channels, convolved again, and a dense head gives one logit a view (or
/// direction). LReLU with slope 0.02 between layers. The paper's figure with the exact layers is
/// not available; these are ours and can be changed.
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
  /// Adds its weights to `parameters` as one part of that name: layer after layer (M1's branch,
  /// M2's branch, joint, dense, output), each its weight and then its bias in the shapes of
  /// kernels/conv.hpp and kernels/dense.hpp. `initialise` fills them once allocated.
  /// Throws std::invalid_argument on an empty branch, counts below one, or an unfit window.
  DensityEncoder(const DensityEncoderSettings& settings, Parameters<T>& parameters,
                 const std::string& name = "density encoder");

  Index parameter_count() const { return parameter_count_; }
  Index part() const { return part_; }

  /// Uniform weights of variance 2 / fan-in (He, Zhang, Ren, Sun 2015), zero biases; the output
  /// layer's are ten times smaller, so that the first density is nearly uniform. The same on every
  /// backend.
  void initialise(Parameters<T>& parameters, std::uint64_t seed) const;

  /// What backward needs: the scaled moments, the stacked channels of both branches, and what every
  /// other layer gave.
  struct Saved {
    std::vector<Tensor<T, 1>> activations;
  };

  /// logits (outputs) from M1 (n^2) and M2 (n^2, n^2), each scaled to unit root mean square first;
  /// M2's first index is the channel.
  /// Throws   std::invalid_argument on a shape mismatch or a moment that is zero or not finite.
  /// Memory   a copy of the moments and the activations. Deterministic on both backends.
  Saved forward(const Context& ctx, const Parameters<T>& parameters, View<const T, 1> m1,
                View<const T, 2> m2, View<T, 1> logits) const;
  /// Adds the gradients of its weights. The moments are data: they get no gradient.
  void backward(const Context& ctx, Parameters<T>& parameters, const Saved& saved,
                View<const T, 1> dlogits) const;

 private:
  struct Layer {
    bool convolves;         // otherwise dense
    Index inputs, outputs;  // channels of a convolution, numbers of a dense layer
    Index input;            // the activation it reads, all of it
    Index output, first;    // the activation it writes, from this number on
    Index weight;           // where its weight starts in the encoder's part; the bias follows
  };

  Index add_activation(Index count);
  void add_layer(bool convolves, Index inputs, Index outputs, Index input, Index output,
                 Index first);
  void add_branch(const std::vector<Index>& channels, Index inputs, Index input, Index output,
                  Index first);

  // A layer's share of the weights (or of their gradients) and of the activation it writes.
  Index weight_count(const Layer& layer) const;
  template <class U>
  View<U, 1> weight_of(const Layer& layer, View<U, 1> part) const;
  template <class U>
  View<U, 1> bias_of(const Layer& layer, View<U, 1> part) const;
  template <class U>
  View<U, 1> output_of(const Layer& layer, View<U, 1> activation) const;
  bool is_last(const Layer& layer) const { return &layer == &layers_.back(); }

  DensityEncoderSettings settings_;
  std::vector<Index> activation_counts_;
  std::vector<Layer> layers_;
  Index parameter_count_ = 0;
  Index part_ = 0;
};

}  // namespace orrery
