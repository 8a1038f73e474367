#pragma once

#include <functional>

#include "geometry/quadrature.hpp"
#include "kernels/tensor.hpp"

namespace orrery {

/// Which views share one probability.
enum class DensityOver {
  directions,  // uniform in the plane, as in the paper's experiments: one number a direction
  rotations    // one number a view
};

/// Groups of views that share a probability: logits -> softmax -> each group's probability spread
/// evenly over its views.
class ViewGroups {
 public:
  ViewGroups(const Context& ctx, const Quadrature& quadrature, DensityOver over);

  Index count() const { return groups_; }
  /// weights (views) from logits (count); returns the pullback to dlogits.
  std::function<void(View<const float, 1> dweights, View<float, 1> dlogits)> softmax(
      View<const float, 1> logits, View<float, 1> weights) const;

 private:
  Context ctx_;
  Index groups_ = 0, group_size_ = 0;
  Tensor<int, 1> group_of_view_;
  Tensor<int, 2> members_;  // (groups, group_size): the views of each group
};

}  // namespace orrery
