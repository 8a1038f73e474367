#include "apps/reconstruct/view_groups.hpp"

#include <memory>
#include <numeric>
#include <vector>

#include "kernels/check.hpp"
#include "kernels/parallel_for.hpp"
#include "kernels/pointwise.hpp"

namespace orrery {

namespace {

struct SpreadOverViews {
  const int* group_of_view;
  float share;
  const float* probability;
  float* weights;
  ORRERY_HOST_DEVICE void operator()(Index view) const {
    weights[view] = share * probability[group_of_view[view]];
  }
};

struct GatherFromViews {
  Index group_size;
  const int* members;
  float share;
  const float* dweights;
  float* dprobability;
  ORRERY_HOST_DEVICE void operator()(Index group) const {
    float total = 0;
    for (Index i = 0; i < group_size; ++i) total += dweights[members[group * group_size + i]];
    dprobability[group] = share * total;
  }
};

}  // namespace

ViewGroups::ViewGroups(const Context& ctx, const Quadrature& quadrature, DensityOver over)
    : ctx_(ctx) {
  std::vector<int> group(quadrature.view_count());
  if (over == DensityOver::directions) {
    group = quadrature.direction_of;
    groups_ = quadrature.direction_count();
  } else {
    std::iota(group.begin(), group.end(), 0);
    groups_ = quadrature.view_count();
  }
  group_size_ = quadrature.view_count() / groups_;

  const Context host = Context::cpu(1);
  Tensor<int, 1> group_of_view(host, group.size());
  Tensor<int, 2> members(host, groups_, group_size_);
  std::vector<Index> filled(groups_, 0);
  for (std::size_t view = 0; view < group.size(); ++view) {
    group_of_view(view) = group[view];
    members(group[view], filled[group[view]]++) = static_cast<int>(view);
  }
  for (Index count : filled)
    require(count == group_size_, "ViewGroups", "directions must have equally many views");
  group_of_view_ = upload(ctx, group_of_view);
  members_ = upload(ctx, members);
}

std::function<void(View<const float, 1>, View<float, 1>)> ViewGroups::softmax(
    View<const float, 1> logits, View<float, 1> weights) const {
  auto probability = std::make_shared<Tensor<float, 2>>(ctx_, Index{1}, groups_);
  softmax_forward<float>(ctx_, logits.reshaped(Index{1}, groups_), *probability);
  const float share = 1.0f / static_cast<float>(group_size_);
  parallel_for(ctx_, "view groups: spread", weights.size(),
               SpreadOverViews{group_of_view_.data(), share, probability->data(), weights.data});
  return [this, probability, share](View<const float, 1> dweights, View<float, 1> dlogits) {
    Tensor<float, 2> dprobability(ctx_, Index{1}, groups_);
    parallel_for(
        ctx_, "view groups: gather", groups_,
        GatherFromViews{group_size_, members_.data(), share, dweights.data, dprobability.data()});
    softmax_backward<float>(ctx_, *probability, dprobability, dlogits.reshaped(Index{1}, groups_));
  };
}

}  // namespace orrery
