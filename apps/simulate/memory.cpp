#include "apps/simulate/memory.hpp"

#include <fmt/format.h>

#include "apps/memory.hpp"
#include "kernels/check.hpp"

namespace orrery {

SimulationMemory memory_need(const SimulateOptions& o, int box) {
  const std::int64_t pixels = std::int64_t{box} * box, voxels = pixels * box;
  SimulationMemory need;
  // The volume, twice; its spectrum, twice as fine along each axis, and the half that is kept.
  need.host = (2 * 4 + 8 * 8 + 8 * 4) * voxels;
  need.device = 8 * 4 * voxels;
  if (!o.moments_only) return need;
  // Two halves of sums in triangles of doubles, for CTFs the products of their squares too.
  const std::int64_t sums = (o.ctf ? 16 : 8) * pixels * pixels;
  // The moments of both halves and of all images, with errors, made while the sums are there.
  const std::int64_t moments = 4 * 4 * pixels * pixels;
  need.device += sums;
  need.host += sums + moments;
  return need;
}

void require_memory(const Context& ctx, const SimulateOptions& options, int box) {
  const auto need = memory_need(options, box);
  const auto require = [&](std::int64_t bytes, std::int64_t free, const std::string& where) {
    if (free == 0 || bytes <= free) return;
    throw InputError(fmt::format(
        "--box: {} pixels an edge take about {} of memory{}, and {} are free on {}; lower --box",
        box, bytes_text(double(bytes)), options.moments_only ? " for their second moment" : "",
        bytes_text(double(free)), where));
  };
  require(need.host, free_host_memory(), "this computer");
  if (ctx.backend() != Backend::cpu)
    require(need.device, free_device_memory(ctx), ctx.description());
}

}  // namespace orrery
