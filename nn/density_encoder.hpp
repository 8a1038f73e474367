#pragma once

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
  int window = 3;
  std::vector<Index> first_branch = {3, 3};   // channels of M1's convolutions; the last is 3
  std::vector<Index> second_branch = {8, 3};  // channels of M2's convolutions; the last is 3
  std::vector<Index> joint = {6, 6};          // after stacking both branches to 6 channels
  std::vector<Index> dense = {64};            // hidden dense layers before the linear output
};

template <class T>
class DensityEncoder {
 public:
  /// Adds its weights to `parameters` as one part; `initialise` fills them once allocated.
  DensityEncoder(const DensityEncoderSettings& settings, Parameters<T>& parameters);

  Index parameter_count() const;
  Index part() const { return part_; }

  /// Uniform weights of variance 2 / fan-in (He, Zhang, Ren, Sun 2015), zero biases; the output
  /// layer's are ten times smaller, so that the first density is nearly uniform.
  void initialise(Parameters<T>& parameters, std::uint64_t seed) const;

  /// What backward needs: the input and output of each layer.
  struct Saved {
    std::vector<Tensor<T, 1>> activations;
  };

  /// logits (outputs) from M1 (n^2) and M2 (n^2, n^2), each scaled to unit root mean square first.
  Saved forward(const Context& ctx, const Parameters<T>& parameters, View<const T, 1> m1,
                View<const T, 2> m2, View<T, 1> logits) const;
  /// Adds the gradients of its weights. The moments are data: they get no gradient.
  void backward(const Context& ctx, Parameters<T>& parameters, const Saved& saved,
                View<const T, 1> dlogits) const;

 private:
  DensityEncoderSettings settings_;
  Index part_ = 0;
};

}  // namespace orrery
