#include "nn/step_clock.hpp"

#include "kernels/check.hpp"
#include "kernels/parallel_for.hpp"

namespace orrery {
namespace {

/// Counts so many steps more; the rate follows.
struct Advance {
  std::uint64_t steps;
  LearningRateSchedule schedule;
  std::uint64_t* steps_taken;
  double* learning_rate;

  ORRERY_HOST_DEVICE void operator()(Index) const {
    *steps_taken += steps;
    *learning_rate = schedule(static_cast<Index>(*steps_taken));
  }
};

}  // namespace

StepClock::StepClock(const Context& ctx, const LearningRateSchedule& schedule)
    : ctx_(ctx), schedule_(schedule), steps_taken_(ctx, 1), learning_rate_(ctx, 1) {
  set_steps_taken(0);
}

void StepClock::advance() {
  parallel_for(ctx_, "advance the clock", 1,
               Advance{1, schedule_, steps_taken_.data(), learning_rate_.data()});
}

void StepClock::set_steps_taken(Index steps) {
  require(steps >= 0, "StepClock::set_steps_taken", "steps cannot be negative");
  set_zero(ctx_, steps_taken_.view());
  parallel_for(ctx_, "set the clock", 1,
               Advance{static_cast<std::uint64_t>(steps), schedule_, steps_taken_.data(),
                       learning_rate_.data()});
}

}  // namespace orrery
