#include "apps/simulate/truth.hpp"

#include <fmt/format.h>

#include "io/atomic_model.hpp"
#include "io/mrc.hpp"
#include "kernels/check.hpp"

namespace orrery {

namespace {

Volume read_volume(const SimulateOptions& options, std::vector<std::string>& notes) {
  if (!options.volume.empty()) {
    io::MapReadOptions read;
    if (options.voxel_size > 0) read.voxel_size = options.voxel_size;
    auto map = io::read_map(options.volume, read);
    notes = map.notes;
    return std::move(map.volume);
  }
  if (!options.model.empty()) {
    const auto model = io::read_atomic_model(options.model);
    notes = model.notes;
    io::ModelDensityOptions density;
    if (options.resolution > 0) density.resolution = options.resolution;
    density.voxel_size = options.voxel_size;
    density.box = options.box;
    return io::density_of(model, density, options.model);
  }
  Volume volume = phantom(options.box > 0 ? options.box : 25);
  if (options.voxel_size > 0) volume.voxel_size = options.voxel_size;
  return volume;
}

}  // namespace

SimulatedTruth read_truth(const Context& ctx, const SimulateOptions& options) {
  SimulatedTruth truth;
  truth.what = !options.volume.empty()  ? options.volume
               : !options.model.empty() ? options.model
                                        : "the phantom";
  truth.volume = read_volume(options, truth.notes);
  const int size = truth.volume.n;
  int box = options.box > 0 ? options.box : size;
  if (options.moments_only) box = odd_below(box);
  if (box > size)
    throw InputError(fmt::format("--box {}: {} has only {} voxels an edge; give at most {}", box,
                                 truth.what, size, size));
  if (box != size) {
    if (box % 2 == 0)
      throw InputError(fmt::format(
          "--box {}: {} has {} voxels an edge, and can be cropped to odd numbers only; give {}",
          box, truth.what, size, box - 1));
    truth.notes.push_back(fmt::format("Fourier-cropped from {} to {} voxels an edge", size, box));
    truth.volume = fourier_crop(ctx, truth.volume, box);
  }
  truth.volume = normalised(truth.volume);
  return truth;
}

}  // namespace orrery
