#pragma once

// Compilers whose intrinsics for matrix tiles the sources know how to use.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    __GNUC__ >= 11
#define ORRERY_WITH_MATRIX_TILES 1
#else
#define ORRERY_WITH_MATRIX_TILES 0
#endif

namespace orrery {

/// Whether this build contains the twins for matrix tiles: AMX with bfloat16, on Intel's servers
/// since 2023. Others link without them.
inline constexpr bool built_with_matrix_tiles = ORRERY_WITH_MATRIX_TILES;

namespace tiles {

/// Whether this processor and the operating system have matrix tiles, and the build has the twins.
/// The first call asks the system for them.
bool available();

}  // namespace tiles
}  // namespace orrery
