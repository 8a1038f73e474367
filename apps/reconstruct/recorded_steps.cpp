#include "apps/reconstruct/recorded_steps.hpp"

#include <cmath>
#include <stdexcept>
#include <string>

#include "kernels/check.hpp"
#include "kernels/parallel_for.hpp"

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
      graph_(ctx, [this] { step(); }) {
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

std::vector<ObjectiveValue> RecordedSteps::run(Index count) {
  require(count >= 0 && count <= most_together, "RecordedSteps::run", "too many steps");
  for (Index i = 0; i < count; ++i) graph_();
  const auto host = download(ctx_, values_);
  std::vector<ObjectiveValue> values;
  for (Index i = 0; i < count; ++i) {
    const Index step = adam_.steps_taken() + i;
    values.push_back(Objective::value_from(host.view()[step % most_together]));
    if (!std::isfinite(values.back().total))
      throw std::runtime_error("the loss is not finite at step " + std::to_string(step) +
                               "; lower the learning rate");
  }
  adam_.set_steps_taken(adam_.steps_taken() + count);
  return values;
}

}  // namespace orrery
