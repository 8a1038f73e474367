#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "geometry/volume.hpp"

namespace orrery::io {

/// An 8-bit RGB picture, row-major from the top left.
struct Picture {
  int width = 0, height = 0;
  std::vector<std::uint8_t> rgb;
};

/// Atomic PNG.
void write_png(const std::filesystem::path& path, const Picture& picture);

/// The volumes as shaded isosurfaces beside one another (rows: volumes, columns: three views), each
/// ray-marched with linear interpolation at `level` times its standard deviation above its mean.
Picture render_isosurfaces(const std::vector<Volume>& volumes, double level, int tile_pixels);

}  // namespace orrery::io
