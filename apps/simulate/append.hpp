#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/simulate/options.hpp"
#include "geometry/volume.hpp"
#include "io/particles.hpp"

namespace orrery {

/// A data set that simulate has written, and that further images are to join.
struct EarlierImages {
  io::ParticleTable table;
  nlohmann::ordered_json summary;
};

/// The one that -o names. Throws InputError where it is not there or not whole, or was not written
/// by simulate.
EarlierImages read_earlier_images(const std::filesystem::path& star,
                                  const std::filesystem::path& summary);

/// Throws InputError, naming --append and what differs, unless images of this volume by these
/// options, with a summary as `summary`, are like the earlier ones: of one size, voxel size,
/// optics, noise, density of views, and of the same volume.
void require_alike(const EarlierImages& earlier, const SimulateOptions& options,
                   const Volume& truth, const std::filesystem::path& earlier_truth,
                   const nlohmann::ordered_json& summary);

/// The earlier particles, and behind them the further ones.
io::ParticleTable joined(io::ParticleTable earlier, const io::ParticleTable& further);

}  // namespace orrery
