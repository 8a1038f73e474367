#pragma once

#include "apps/console.hpp"
#include "apps/moments/options.hpp"
#include "kernels/context.hpp"
#include "kernels/processes.hpp"

namespace orrery {

/// Forms the moments of the particles that the options name and writes them, on the context instead
/// of the options' device and threads. Several processes share the images, each a range of whole
/// batches; the first writes. The exit code: 0, or 130 when it was interrupted; then the checkpoint
/// is written, one a process. Throws InputError for unusable particles or an output that is there
/// already.
int estimate_moments(const Context& ctx, const MomentsOptions& options, Console& console,
                     const Processes& processes = Processes::alone());

/// The box these moments will have, from the particles' table and the stacks' headers.
int moments_box(const MomentsOptions& options);

}  // namespace orrery
