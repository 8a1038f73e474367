#pragma once

#include <cstdint>

#include "apps/simulate/options.hpp"
#include "kernels/context.hpp"

namespace orrery {

/// What a run's largest arrays take at `box` voxels an edge, in bytes, before any of them is made.
struct SimulationMemory {
  std::int64_t host = 0, device = 0;  // on the CPU the device's are the host's too
};
SimulationMemory memory_need(const SimulateOptions& options, int box);

/// Throws InputError saying what is needed, what is free and what to lower when it does not fit.
void require_memory(const Context& ctx, const SimulateOptions& options, int box);

}  // namespace orrery
