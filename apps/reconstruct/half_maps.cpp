#include "apps/reconstruct/half_maps.hpp"

#include "geometry/alignment.hpp"

namespace orrery {

Options half_options(const Options& options, int half) {
  Options changed = options;
  changed.seed += 100 * static_cast<std::uint64_t>(half + 1);  // restarts are 1000 apart
  return changed;
}

HalfMaps compare_halves(const Context& ctx, const Volume& whole, const Volume& first,
                        const Volume& second) {
  const auto onto = [&](const Volume& fixed, const Volume& moving) {
    const Alignment a = align(ctx, fixed, moving);
    Volume moved = rotated(ctx, moving, a.rotation, a.shift, a.mirror);
    moved.origin = fixed.origin;
    return moved;
  };
  HalfMaps halves;
  halves.first = onto(whole, first);
  halves.second = onto(halves.first, second);
  halves.fsc = fourier_shell_correlation(ctx, halves.first, halves.second);
  halves.resolution = resolution_at(halves.fsc, 0.143, whole.box());
  return halves;
}

}  // namespace orrery
