#pragma once

#include "apps/console.hpp"
#include "apps/moments/options.hpp"
#include "kernels/context.hpp"

namespace orrery {

/// Forms the moments of the particles that the options name and writes them, on the context instead
/// of the options' device and threads. The exit code: 0, or 130 when it was interrupted; then the
/// checkpoint is written. Throws InputError for unusable particles or an output that is there
/// already.
int estimate_moments(const Context& ctx, const MomentsOptions& options, Console& console);

/// The box these moments will have, from the particles' table and the stacks' headers.
int moments_box(const MomentsOptions& options);

}  // namespace orrery
