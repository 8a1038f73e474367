#include "apps/memory.hpp"

#include <fmt/format.h>

#include <fstream>

#include "kernels/cuda_runtime.hpp"

namespace orrery {

std::int64_t free_host_memory() {
  std::ifstream meminfo("/proc/meminfo");
  std::string key;
  std::int64_t kibibytes = 0;
  while (meminfo >> key >> kibibytes) {
    if (key == "MemAvailable:") return kibibytes * 1024;
    meminfo.ignore(64, '\n');
  }
  return 0;
}

std::int64_t free_device_memory(const Context& ctx) {
  if constexpr (built_with_cuda)
    if (ctx.backend() == Backend::cuda)
      return static_cast<std::int64_t>(cuda::free_bytes(ctx.device()));
  return 0;
}

std::string bytes_text(double bytes) {
  if (bytes < 1e3) return fmt::format("{:.0f} bytes", bytes);
  for (const char* unit : {"kB", "MB", "GB", "TB"})
    if ((bytes /= 1e3) < 1e3) return fmt::format("{:.1f} {}", bytes, unit);
  return fmt::format("{:.1f} PB", bytes / 1e3);
}

}  // namespace orrery
