#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/tensor.hpp"
#include "nn/parameters.hpp"

namespace orrery {

/// The shape of the paper's encoders (sections 4.1 and 4.2, appendix A): periodic convolutions over
/// the first and over the second moment, their channels stacked, more convolutions, dense layers,
/// and a linear output. LReLU with slope 0.02 between layers.
struct TwoBranchSettings {
  int dimensions = 1;  // of the positions that a channel has numbers at: n of them, or n x n
  int n = 0;
  int window = 0;                                  // of every convolution, along each dimension
  Index first_inputs = 0, second_inputs = 0;       // channels of the moments
  std::vector<Index> first_branch, second_branch;  // channels that each convolution gives
  std::vector<Index> joint;                        // ... after stacking
  std::vector<Index> dense;                        // hidden dense layers
  Index outputs = 0;
  enum class Dense { leaky_relu, tanh } activation_of_dense = Dense::leaky_relu;
};

/// The network itself. Its numbers lie as (channels, positions, samples), samples running fastest:
/// a convolution over the positions of many samples is then one over a picture, positions down and
/// samples across, with a window one sample wide; a dense layer is one over a single position; and
/// channels are stacked by being written one after another. In two dimensions the picture is taken,
/// and there is one sample.
template <class T>
class TwoBranchNetwork {
 public:
  /// Adds its weights to `parameters` as one part of that name: layer after layer (first branch,
  /// second branch, joint, dense, output), each its weight (outputs, inputs, window) and then its
  /// bias. `initialise` fills them once allocated.
  /// Throws std::invalid_argument, in the name of `owner`, on an empty branch, counts below one, or
  /// an unfit window.
  TwoBranchNetwork(const char* owner, const TwoBranchSettings& settings, Parameters<T>& parameters,
                   const std::string& name);

  Index parameter_count() const { return parameter_count_; }
  Index part() const { return part_; }

  /// Uniform weights of variance 2 / fan-in (He, Zhang, Ren, Sun 2015), zero biases; the output
  /// layer's weights are ten times smaller, so that the first outputs are. The same on every
  /// backend.
  void initialise(Parameters<T>& parameters, std::uint64_t seed) const;

  /// What the layers give, or the gradients of that: one tensor (channels, positions, samples) for
  /// each of both inputs, the stacked channels, and every further layer. The gradients of the
  /// inputs, which are data, are empty.
  struct Activations {
    Index samples = 0;
    std::vector<Tensor<T, 1>> numbers;

    View<T, 1> first() { return numbers[0]; }
    View<T, 1> second() { return numbers[1]; }
    View<T, 1> outputs() { return numbers.back(); }
    View<const T, 1> outputs() const { return numbers.back(); }
  };
  Activations activations(const Context& ctx, Index samples) const;
  Activations gradients(const Context& ctx, Index samples) const;

  /// Whether activations() of a network of this shape made them.
  bool owns(const Activations& activations) const;

  /// From first() and second() to everything else, outputs() last. Allocates nothing on the device.
  void forward(const Context& ctx, const Parameters<T>& parameters, Activations& numbers) const;
  /// From outputs() of the gradients to everything else; adds the gradients of the weights. Both
  /// are overwritten where that saves memory. The gradients may be of more samples than `numbers`,
  /// and then only their first numbers are used.
  void backward(const Context& ctx, Parameters<T>& parameters, const Activations& numbers,
                Activations& gradients) const;

 private:
  struct Layer {
    bool convolves;         // otherwise dense
    Index inputs, outputs;  // channels of a convolution, numbers of a dense layer
    Index input;            // the activation it reads, all of it
    Index output, first;    // the activation it writes, from this channel on
    Index weight;           // where its weight starts in the network's part; the bias follows
  };
  /// A picture that a layer sees as one channel, and its window.
  struct Picture {
    Index rows, columns, window_rows, window_columns;
  };

  Index add_activation(Index channels, Index positions);
  void add_layer(bool convolves, Index inputs, Index outputs, Index input, Index output,
                 Index first);
  void add_branch(const std::vector<Index>& channels, Index inputs, Index input, Index output,
                  Index first);
  Activations allocated(const Context& ctx, Index samples, std::size_t first) const;

  Index positions() const;
  Picture picture_of(const Layer& layer, Index samples) const;
  bool is_last(const Layer& layer) const { return &layer == &layers_.back(); }
  bool has_tanh(const Layer& layer) const;

  // A layer's share of the weights (or of their gradients), of the activation it reads, and of the
  // one it writes.
  Index weight_count(const Layer& layer) const;
  template <class U>
  View<U, 4> weight_of(const Layer& layer, View<U, 1> part) const;
  template <class U>
  View<U, 1> bias_of(const Layer& layer, View<U, 1> part) const;
  template <class U>
  View<U, 1> input_of(const Layer& layer, Index samples, View<U, 1> activation) const;
  template <class U>
  View<U, 1> output_of(const Layer& layer, Index samples, View<U, 1> activation) const;

  TwoBranchSettings settings_;
  std::vector<Index> activation_counts_;  // numbers of one sample
  std::vector<Layer> layers_;
  Index parameter_count_ = 0;
  Index part_ = 0;
};

}  // namespace orrery
