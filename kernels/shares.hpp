#pragma once

#include <algorithm>

#include "kernels/context.hpp"
#include "kernels/view.hpp"

namespace orrery {

/// How many parts of that length cover `length`.
ORRERY_HOST_DEVICE constexpr Index parts_of(Index length, Index part) {
  return (length + part - 1) / part;
}

/// How many host threads it is worth waking for work on so many numbers.
inline int threads_for(const Context& ctx, Index numbers, Index worth_a_thread = 16384) {
  return static_cast<int>(std::clamp<Index>(numbers / worth_a_thread, 1, ctx.threads()));
}

}  // namespace orrery
