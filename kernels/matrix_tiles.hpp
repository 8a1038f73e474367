#pragma once

namespace orrery::tiles {

/// Whether this build, this processor and the operating system have matrix tiles: AMX with
/// bfloat16, on Intel's servers since 2023. The first call asks the system for them.
bool available();

}  // namespace orrery::tiles
