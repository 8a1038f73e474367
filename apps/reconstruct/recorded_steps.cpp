#include "apps/reconstruct/recorded_steps.hpp"

#include <cmath>
#include <string>

#include "kernels/check.hpp"
#include "kernels/parallel_for.hpp"
#include "nn/diverged.hpp"

namespace orrery {

namespace {

/// The latest step's value to its row.
struct KeepValue {
  const std::uint64_t* steps_taken;
  View<const double, 1> value;
  View<double, 2> values;
  ORRERY_HOST_DEVICE void operator()(Index i) const {
    values(static_cast<Index>(*steps_taken) % values.extent(0), i) = value(i);
  }
};

}  // namespace

RecordedSteps::RecordedSteps(const Context& ctx, Objective& objective, const LossSettings& loss,
                             Adam<float>& adam, const LearningRateSchedule& schedule,
                             Index steps_taken)
    : ctx_(ctx),
      objective_(objective),
      loss_(loss),
      adam_(adam),
      clock_(ctx, schedule),
      value_(ctx, Objective::value_numbers),
      values_(ctx, most_together, Objective::value_numbers),
      graph_(ctx, [this] { step(); }),
      queued_(steps_taken),
      readbacks_{Readback(ctx, values_.size()), Readback(ctx, values_.size())} {
  clock_.set_steps_taken(steps_taken);
  adam_.set_steps_taken(steps_taken);
}

void RecordedSteps::step() {
  objective_.queue_value_and_gradient(loss_, value_);
  parallel_for(ctx_, "keep the value", value_.size(),
               KeepValue{clock_.steps_taken().data, value_.view(), values_.view()});
  adam_.step(clock_);
  clock_.advance();
}

void RecordedSteps::queue(Index count) {
  require(0 < count && count <= most_together, "RecordedSteps::queue", "no such group");
  require(has_room(), "RecordedSteps::queue", "two groups are under way");
  for (Index i = 0; i < count; ++i) graph_();
  Readback& values = readbacks_[turn_];
  turn_ = 1 - turn_;
  values.begin(values_.view().flat());
  groups_.push_back({queued_, count, values});
  queued_ += count;
}

Index RecordedSteps::under_way() const { return queued_ - adam_.steps_taken(); }

std::vector<ObjectiveValue> RecordedSteps::take() {
  require(!groups_.empty(), "RecordedSteps::take", "no steps are under way");
  const Group group = groups_.front();
  groups_.pop_front();
  const auto rows = group.values.wait().reshaped(most_together, Objective::value_numbers);
  std::vector<ObjectiveValue> values;
  for (Index step = group.first; step < group.first + group.count; ++step) {
    values.push_back(Objective::value_from(rows[step % most_together]));
    if (!std::isfinite(values.back().total)) throw Diverged("at step " + std::to_string(step));
  }
  adam_.set_steps_taken(group.first + group.count);
  return values;
}

}  // namespace orrery
