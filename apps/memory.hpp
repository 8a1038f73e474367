#pragma once

#include <cstdint>
#include <string>

#include "kernels/context.hpp"

namespace orrery {

/// Memory that programs could be given now, in bytes: by the system, or by the CUDA device that a
/// context computes on, once it has done what is queued there. 0 where it does not say.
std::int64_t free_host_memory();
std::int64_t free_device_memory(const Context& ctx);

/// "812 bytes", "40.3 kB", "1.2 GB".
std::string bytes_text(double bytes);

}  // namespace orrery
