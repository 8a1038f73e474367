#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "geometry/volume.hpp"

namespace orrery::io {

struct MapReadOptions {
  std::optional<double> voxel_size;  // overrides the header; needed where the header has 0
};

/// A map and what a user should be told about how it was read ("padded from 40 x 45 x 48", ...).
struct MapRead {
  Volume volume;
  std::vector<std::string> notes;
};

/// Reads an MRC/CCP4 map, plain or gzip, of mode 0, 1, 2, 6 or 12, either byte order, any axis
/// order, with extended headers. Non-cubic maps are padded to a cube around their centre with their
/// faces' mean value, and a note says so; bytes after the data give a note.
/// The volume's origin is the header's ORIGIN, or NSTART times the voxel size where ORIGIN is zero.
/// Sizes are checked against the file before memory is taken.
/// Throws InputError naming file, field and remedy for everything that can't be used: missing or
/// truncated file, not MRC, complex or unknown mode, impossible dimensions, duplicate axes, NaN or
/// infinite voxels, all-zero or constant maps, voxel size 0 without an override, anisotropic voxels
/// (over 1 %) or cell angles that are not 90 degrees, cut gzip, volume stacks, images and stacks of
/// them, maps more than four times as long as wide.
MapRead read_map(const std::filesystem::path& path, const MapReadOptions& options = {});

/// Writes mode 2, little-endian, axes x, y, z, with cell, origin (NSTART zero), exact statistics
/// (min, max, mean, rms) and labels: the first ten, 80 ASCII characters each. Equal volumes and
/// labels give equal files. Atomic.
/// Throws std::invalid_argument when the voxels are not n^3 finite numbers or the voxel size is not
/// positive.
void write_map(const std::filesystem::path& path, const Volume& volume,
               const std::vector<std::string>& labels);

}  // namespace orrery::io
