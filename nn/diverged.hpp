#pragma once

#include <stdexcept>
#include <string>

namespace orrery {

/// A loss or its gradient is not finite, `where` ("at step 7"): steps were too long. Whoever lets a
/// user choose their length says so.
struct Diverged : std::runtime_error {
  explicit Diverged(const std::string& where)
      : std::runtime_error("the loss or its gradient is not finite " + where) {}
};

}  // namespace orrery
