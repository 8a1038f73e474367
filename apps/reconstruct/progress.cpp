#include "apps/reconstruct/progress.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace orrery {

void Progress::show(const ProgressLine& line) {
  // Adam and L-BFGS have rates of their own.
  const int phase = 2 * line.restart + line.finishing;
  if (phase != phase_) {
    phase_ = phase;
    began_ = latest_;
    first_ = line.finishing ? 0 : line.step - 1;
    console_.begin_live();
  }
  latest_ = stopwatch_.seconds();
  const double per_step = (latest_ - began_) / double(line.step - first_);
  console_.live(line.step >= line.steps, [&] {
    return fmt::format(
        "{}{} {:>6}/{}   first moment {:.5f}   second moment {:.5f}   {:.3f} s/step   {} left",
        restarts_ > 1 ? fmt::format("start {}/{}, ", line.restart + 1, restarts_) : "",
        line.finishing ? "L-BFGS" : "Adam", line.step, line.steps, line.value.errors.first,
        line.value.errors.second, per_step,
        duration_text(per_step * double(std::max<Index>(0, line.steps - line.step))));
  });
}

}  // namespace orrery
