#include "apps/simulate/summary.hpp"

#include "apps/program.hpp"
#include "orrery/version.hpp"

namespace orrery {

namespace {

nlohmann::ordered_json views_of(const SimulateOptions& options, const ViewDensity& density) {
  if (!options.views.empty()) return options.views;
  nlohmann::ordered_json components;
  for (const auto& component : density.components)
    components.push_back({{"mean", component.mean},
                          {"concentration", component.concentration},
                          {"weight", component.weight}});
  return {{"components", components}, {"in_plane_concentration", density.in_plane_concentration}};
}

}  // namespace

nlohmann::ordered_json summary_of(const SimulateOptions& options, const SimulatedTruth& truth,
                                  const ImageMaker& maker, double power, double sigma) {
  return {{"program", "simulate"},
          {"version", version},
          {"truth", truth.what},
          {"box", truth.volume.n},
          {"voxel_size", truth.volume.voxel_size},
          {"images", options.images_before + options.images},
          {"seed", options.seed},
          {"noise", options.noise},
          {"noise_sigma", sigma},
          {"snr", sigma > 0 ? power / (sigma * sigma) : 0},
          {"signal_power", power},
          {"views", views_of(options, maker.circumstances().density())}};
}

void add_work(nlohmann::ordered_json& summary, const Context& ctx, const SimulateOptions& options,
              double seconds) {
  summary["seconds"] = seconds;
  summary["images_per_second"] = static_cast<double>(options.images) / seconds;
  summary["device"] = ctx.description();
  summary["peak_memory_bytes"] = peak_memory_bytes();
  summary["options"] = options.config_text;
}

}  // namespace orrery
