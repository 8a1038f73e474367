#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace orrery::io {

/// The 1024-byte header of an MRC2014 file, decoded to this machine's byte order and otherwise as
/// it stands in the file: nothing has been checked.
struct MrcHeader {
  static constexpr std::size_t bytes = 1024;

  bool has_map_identifier = false;
  bool is_big_endian = false;
  std::array<std::int32_t, 3> extents;    // NX NY NZ: columns, rows, sections as stored
  std::int32_t mode;                      // MODE
  std::array<std::int32_t, 3> start;      // NXSTART ...: columns, rows, sections as stored
  std::array<std::int32_t, 3> intervals;  // MX MY MZ: voxels in a cell along x, y, z
  std::array<float, 3> cell;              // CELLA, angstrom along x, y, z
  std::array<float, 3> angles;            // CELLB, degrees
  std::array<std::int32_t, 3> axes;       // MAPC MAPR MAPS: 1, 2, 3 for x, y, z
  std::int32_t space_group;               // ISPG: 0 images, 1 and above volumes, 401 stacks
  std::int32_t extended_bytes;            // NSYMBT
  std::array<float, 3> origin;            // ORIGIN, angstrom along x, y, z
  bool mode0_is_unsigned = false;         // IMOD wrote bytes so before 2012, and says so
};

MrcHeader decode_mrc_header(std::span<const std::byte, MrcHeader::bytes> raw);

/// What a voxel of each real mode takes; 0 for modes that are no real map.
std::size_t mrc_voxel_bytes(std::int32_t mode);

/// The numbers stored in `raw`, of the header's mode and byte order.
void decode_mrc_voxels(const MrcHeader& header, std::span<const std::byte> raw,
                       std::span<float> voxels);

/// IEEE half precision (mode 12); g++ 12 has no type for it.
float float_from_half(std::uint16_t half);

/// What a written map or stack says of itself.
struct MrcDescription {
  int n = 0;                                // voxels along each side
  std::optional<std::int32_t> images = {};  // a stack of so many n x n images instead of a cube
  double voxel_size = 1;
  std::array<double, 3> origin = {};
  double minimum = 0, maximum = 0, mean = 0, rms = 0;
  std::vector<std::string> labels;
};

/// Header of a cubic map or a stack of images, mode 2, little-endian, axes x, y, z.
std::array<std::byte, MrcHeader::bytes> encode_mrc_header(const MrcDescription& map);

}  // namespace orrery::io
