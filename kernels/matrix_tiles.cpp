#include "kernels/matrix_tiles.hpp"

#if ORRERY_WITH_MATRIX_TILES
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace orrery::tiles {
namespace {

bool found() {
#if ORRERY_WITH_MATRIX_TILES
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  constexpr unsigned bfloat16_tiles = 1u << 22, tiles = 1u << 24;
  if (!(d & bfloat16_tiles) || !(d & tiles)) return false;
  if (!__builtin_cpu_supports("avx512bf16") || !__builtin_cpu_supports("avx512bw")) return false;
  // Linux keeps the tiles' contents only for processes that ask for it.
  constexpr long request_permission = 0x1023, tile_data = 18;
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return false;
#endif
}

}  // namespace

bool available() {
  static const bool there = found();
  return there;
}

}  // namespace orrery::tiles
