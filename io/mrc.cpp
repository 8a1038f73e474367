// Gemmi and others read MRC too, but trust the header: a damaged one makes them take memory for
// sizes the file cannot hold, or read past its end. The format is a page long, so it is read here,
// with every field checked before it is used.
#include "io/mrc.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <new>

#include "io/compressed_file.hpp"
#include "io/files.hpp"
#include "io/mrc_header.hpp"
#include "kernels/check.hpp"

namespace orrery::io {

namespace {

using Extents = std::array<std::int64_t, 3>;
using Notes = std::vector<std::string>;

constexpr double largest_anisotropy = 0.01;
constexpr std::int64_t longest_to_shortest = 4;
constexpr std::size_t trailing_bytes_counted = 1 << 24;  // a packed stream may go on for ever

/// Throws "file: what", formatted.
template <class... Arguments>
[[noreturn]] void refuse(const std::filesystem::path& path, fmt::format_string<Arguments...> what,
                         Arguments&&... arguments) {
  throw InputError(path.string() + ": " + fmt::format(what, std::forward<Arguments>(arguments)...));
}

std::string shape(const Extents& e) { return fmt::format("{} x {} x {}", e[0], e[1], e[2]); }

Extents stored_extents(const MrcHeader& header) {
  return {header.extents[0], header.extents[1], header.extents[2]};
}

MrcHeader read_header(const std::filesystem::path& path, CompressedFile& file) {
  std::array<std::byte, MrcHeader::bytes> raw;
  const auto count = file.read(raw);
  if (count == 0) refuse(path, "the file is empty; fetch it again");
  if (count < raw.size())
    refuse(path,
           "has {} bytes, but an MRC header alone has {}; the file is truncated or not an MRC map",
           count, raw.size());
  return decode_mrc_header(raw);
}

void check_kind(const std::filesystem::path& path, const MrcHeader& header) {
  const auto& e = header.extents;
  if (!header.has_map_identifier)
    refuse(path,
           "is not an MRC/CCP4 map (byte 209 of the header does not start \"MAP\"); give a .mrc or "
           ".map file, or convert it to one");
  if (header.mode == 3 || header.mode == 4)
    refuse(path, "MODE {} holds complex numbers, a transform; give the map in real space",
           header.mode);
  if (mrc_voxel_bytes(header.mode) == 0)
    refuse(path, "MODE {} is not one of 0, 1, 2, 6, 12; convert the map to MODE 2 (float32)",
           header.mode);
  if (*std::min_element(e.begin(), e.end()) <= 0)
    refuse(path, "the header says {} voxels (NX x NY x NZ); the file is damaged - fetch it again",
           shape(stored_extents(header)));
}

/// Images and stacks, told by their space group, their depth or their name.
void check_single_volume(const std::filesystem::path& path, const MrcHeader& header, Notes& notes) {
  const auto [nx, ny, nz] = header.extents;
  const auto [mx, my, mz] = header.intervals;
  const bool is_marked_stack = header.space_group >= 401 && header.space_group <= 630;
  const bool repeats = mz > 1 && nz > mz && nz % mz == 0 && nx == mx && ny == my;
  if (is_marked_stack || repeats)
    refuse(path,
           "is a stack of volumes (ISPG {}, NZ {}, MZ {}); save the one you want to a file of its "
           "own",
           header.space_group, nz, mz);
  if (nz == 1) refuse(path, "is a single image (NZ 1); give a volume");
  const bool is_cube = nx == ny && ny == nz;
  const bool is_images = header.space_group == 0 && (mz == 1 || !is_cube);
  if (is_images || path.extension() == ".mrcs")
    refuse(path, "is a stack of {} images (ISPG {}, MZ {}); give a volume", nz, header.space_group,
           mz);
  if (header.space_group == 0)
    notes.push_back("ISPG is 0, which means images; taken as a volume because it is a cube");
  const auto [shortest, longest] = std::minmax({nx, ny, nz});
  if (longest > longest_to_shortest * shortest)
    refuse(path,
           "has {} voxels, which is a stack of images or a slab; give a volume, or crop it until "
           "its longest side is at most {} times its shortest",
           shape(stored_extents(header)), longest_to_shortest);
}

/// Where x, y, z stand among columns, rows and sections.
std::array<int, 3> stored_axes(const std::filesystem::path& path, const MrcHeader& header,
                               Notes& notes) {
  const auto& axes = header.axes;
  if (axes == std::array<std::int32_t, 3>{0, 0, 0}) {
    notes.push_back("MAPC, MAPR, MAPS are 0; taken as 1, 2, 3");
    return {0, 1, 2};
  }
  std::array<int, 3> stored = {-1, -1, -1};
  for (int i = 0; i < 3; ++i)
    if (axes[i] >= 1 && axes[i] <= 3) stored[axes[i] - 1] = i;
  if (*std::min_element(stored.begin(), stored.end()) < 0)
    refuse(path,
           "MAPC, MAPR, MAPS are {}, {}, {}, but must be 1, 2, 3 in some order; the file is "
           "damaged - fetch it again",
           axes[0], axes[1], axes[2]);
  return stored;
}

void check_angles(const std::filesystem::path& path, const MrcHeader& header) {
  // Some programs leave the angles of a single-particle map at 0.
  if (header.angles == std::array<float, 3>{0, 0, 0}) return;
  for (const float angle : header.angles)
    if (!(std::abs(angle - 90) < 0.01))
      refuse(path,
             "the cell angles are {:.4g}, {:.4g}, {:.4g} degrees, but must be 90 (a map of single "
             "particles, not of a crystal); resample it to a rectangular cell",
             header.angles[0], header.angles[1], header.angles[2]);
}

double find_voxel_size(const std::filesystem::path& path, const MrcHeader& header,
                       const MapReadOptions& options, Notes& notes) {
  if (options.voxel_size) {
    if (!(*options.voxel_size > 0) || !std::isfinite(*options.voxel_size))
      refuse(path, "--voxel-size {} is not a positive number of angstrom", *options.voxel_size);
    return *options.voxel_size;
  }
  std::array<double, 3> sizes;
  for (int i = 0; i < 3; ++i) {
    sizes[i] = header.intervals[i] > 0 ? double(header.cell[i]) / header.intervals[i] : 0.0;
    if (sizes[i] == 0)
      refuse(path,
             "the header has no voxel size (CELLA {:g} x {:g} x {:g} angstrom, MX MY MZ {} x {} x "
             "{}); give it with --voxel-size",
             header.cell[0], header.cell[1], header.cell[2], header.intervals[0],
             header.intervals[1], header.intervals[2]);
    if (!(sizes[i] > 1e-3 && sizes[i] < 1e5))
      refuse(path,
             "the header's voxel size of {:g} angstrom is impossible; give it with --voxel-size",
             sizes[i]);
  }
  const double mean = (sizes[0] + sizes[1] + sizes[2]) / 3;
  const auto [smallest, largest] = std::minmax({sizes[0], sizes[1], sizes[2]});
  const auto text = fmt::format("{:.4f} x {:.4f} x {:.4f} angstrom", sizes[0], sizes[1], sizes[2]);
  if (largest - smallest > largest_anisotropy * mean)
    refuse(path,
           "the voxels are not cubes ({}); resample the map to cubic voxels, or give --voxel-size "
           "if the header is wrong",
           text);
  if (largest - smallest > 1e-4 * mean)
    notes.push_back(fmt::format("voxels of {} taken as cubes of {:.4f}", text, mean));
  return mean;
}

/// The voxels in the order they are stored. Memory for gzip grows with what has been unpacked, so a
/// header that lies takes no more than the file really holds.
std::vector<float> read_voxels(const std::filesystem::path& path, const MrcHeader& header,
                               CompressedFile& file, Notes& notes) {
  const auto [nx, ny, nz] = stored_extents(header);
  const auto voxel_bytes = mrc_voxel_bytes(header.mode);
  // Products of three 31-bit numbers overflow integers, but not doubles.
  const double data_bytes = double(nx) * double(ny) * double(nz) * double(voxel_bytes);
  const auto refuse_truncated = [&](const std::string& found) {
    refuse(
        path,
        "the header says {} voxels (MODE {}, {} bytes), but {}; the file is damaged or truncated - "
        "fetch it again",
        shape({nx, ny, nz}), header.mode,
        data_bytes < 1e15 ? fmt::format("{:.0f}", data_bytes) : fmt::format("{:.0e}", data_bytes),
        found);
  };
  if (header.extended_bytes < 0)
    refuse(path, "NSYMBT (bytes of extended header) is {}; the file is damaged - fetch it again",
           header.extended_bytes);
  if (double(MrcHeader::bytes) + header.extended_bytes > file.largest_content())
    refuse(path,
           "NSYMBT says {} bytes of extended header, but the file has {} bytes; the file is "
           "damaged or truncated - fetch it again",
           header.extended_bytes, file.size_on_disk());
  if (double(MrcHeader::bytes) + header.extended_bytes + data_bytes > file.largest_content())
    refuse_truncated(fmt::format("the file has {}{} bytes", file.size_on_disk(),
                                 file.is_gzip() ? " (packed)" : ""));

  std::vector<std::byte> chunk(1 << 20);
  for (std::size_t left = header.extended_bytes; left > 0;) {
    const auto wanted = std::min(left, chunk.size());
    if (file.read(std::span(chunk).first(wanted)) < wanted)
      refuse(path, "ends inside its extended header (NSYMBT {}); fetch the file again",
             header.extended_bytes);
    left -= wanted;
  }

  const auto count = static_cast<std::size_t>(nx * ny * nz);
  std::vector<float> voxels;
  if (!file.is_gzip()) voxels.reserve(count);
  while (voxels.size() < count) {
    const auto first = voxels.size();
    const auto wanted = std::min(count - first, chunk.size() / voxel_bytes);
    const auto raw = std::span(chunk).first(wanted * voxel_bytes);
    const auto got = file.read(raw);
    if (got < raw.size())
      refuse_truncated(fmt::format("the data end after {} bytes", first * voxel_bytes + got));
    voxels.resize(first + wanted);
    decode_mrc_voxels(header, raw, std::span(voxels).subspan(first));
  }

  // Reading to the end also makes zlib compare the checksum.
  std::size_t trailing = 0;
  while (trailing < trailing_bytes_counted) {
    const auto got = file.read(chunk);
    if (got == 0) break;
    trailing += got;
  }
  if (trailing > 0)
    notes.push_back(fmt::format("{}{} bytes after the data were ignored",
                                trailing < trailing_bytes_counted ? "" : "at least ", trailing));
  return voxels;
}

void check_voxels(const std::filesystem::path& path, const std::vector<float>& voxels) {
  const auto bad = std::count_if(voxels.begin(), voxels.end(),
                                 [](float voxel) { return !std::isfinite(voxel); });
  if (bad > 0)
    refuse(path, "{} of {} voxels are NaN or infinite; mask or repair the map", bad, voxels.size());
  const auto [minimum, maximum] = std::minmax_element(voxels.begin(), voxels.end());
  if (*minimum == *maximum)
    refuse(path, "every voxel is {:g}: the map is empty; check that this is the right file",
           *minimum);
}

/// Voxel (x, y, z) of the map whose voxels are stored along permuted axes.
class PermutedMap {
 public:
  PermutedMap(const std::vector<float>& voxels, const Extents& stored,
              const std::array<int, 3>& stored_axis)
      : voxels_(voxels) {
    const Extents strides = {1, stored[0], stored[0] * stored[1]};
    for (int i = 0; i < 3; ++i) {
      extents[i] = stored[stored_axis[i]];
      strides_[i] = strides[stored_axis[i]];
    }
  }
  float operator()(std::int64_t x, std::int64_t y, std::int64_t z) const {
    return voxels_[x * strides_[0] + y * strides_[1] + z * strides_[2]];
  }

  Extents extents;

 private:
  const std::vector<float>& voxels_;
  Extents strides_;
};

/// What the map fades to: the mean over its six faces.
float mean_of_faces(const PermutedMap& map) {
  const auto [nx, ny, nz] = map.extents;
  double total = 0;
  std::int64_t count = 0;
  for (std::int64_t z = 0; z < nz; ++z)
    for (std::int64_t y = 0; y < ny; ++y) {
      const bool is_face = z == 0 || z == nz - 1 || y == 0 || y == ny - 1;
      const std::int64_t step = is_face ? 1 : std::max<std::int64_t>(nx - 1, 1);
      for (std::int64_t x = 0; x < nx; x += step, ++count) total += map(x, y, z);
    }
  return static_cast<float>(total / double(count));
}

/// The map in a cube, its centre (voxel e/2 of each side) on the cube's centre.
std::vector<float> padded_to_cube(const PermutedMap& map, std::int64_t n, const Extents& before) {
  const auto [nx, ny, nz] = map.extents;
  std::vector<float> cube(n * n * n, mean_of_faces(map));
  for (std::int64_t z = 0; z < nz; ++z)
    for (std::int64_t y = 0; y < ny; ++y) {
      float* row = &cube[((z + before[2]) * n + y + before[1]) * n + before[0]];
      for (std::int64_t x = 0; x < nx; ++x) row[x] = map(x, y, z);
    }
  return cube;
}

}  // namespace

MapRead read_map(const std::filesystem::path& path, const MapReadOptions& options) try {
  CompressedFile file(path);
  const auto header = read_header(path, file);
  MapRead map;
  check_kind(path, header);
  check_single_volume(path, header, map.notes);
  const auto stored_axis = stored_axes(path, header, map.notes);
  check_angles(path, header);
  auto& volume = map.volume;
  volume.voxel_size = find_voxel_size(path, header, options, map.notes);
  auto voxels = read_voxels(path, header, file, map.notes);
  check_voxels(path, voxels);

  const PermutedMap permuted(voxels, stored_extents(header), stored_axis);
  const auto& e = permuted.extents;
  volume.n = static_cast<int>(*std::max_element(e.begin(), e.end()));
  const bool has_origin = std::any_of(header.origin.begin(), header.origin.end(),
                                      [](float x) { return std::isfinite(x) && x != 0; });
  Extents before;
  for (int i = 0; i < 3; ++i) {
    before[i] = volume.n / 2 - e[i] / 2;
    const double start =
        has_origin ? double(header.origin[i]) : header.start[stored_axis[i]] * volume.voxel_size;
    volume.origin[i] = (std::isfinite(start) ? start : 0) - double(before[i]) * volume.voxel_size;
  }
  const bool is_cube = e[0] == e[1] && e[1] == e[2];
  const bool is_in_order = stored_axis == std::array{0, 1, 2};
  volume.voxels =
      is_cube && is_in_order ? std::move(voxels) : padded_to_cube(permuted, volume.n, before);
  if (!is_cube)
    map.notes.push_back(fmt::format("padded from {} voxels to a cube of {}", shape(e), volume.n));
  return map;
} catch (const std::bad_alloc&) {
  refuse(path, "does not fit into memory; bin or crop the map first");
}

void write_map(const std::filesystem::path& path, const Volume& volume,
               const std::vector<std::string>& labels) {
  const auto& voxels = volume.voxels;
  require(volume.n > 0 && voxels.size() == std::size_t(volume.n) * volume.n * volume.n, "write_map",
          "the volume does not hold n^3 voxels");
  require(volume.voxel_size > 0 && std::isfinite(volume.voxel_size), "write_map",
          "the voxel size is not a positive number");
  double sum = 0, squares = 0;
  for (const float voxel : voxels) sum += voxel;
  require(std::isfinite(sum), "write_map", "voxels are NaN or infinite");
  const double mean = sum / double(voxels.size());
  for (const float voxel : voxels) squares += (voxel - mean) * (voxel - mean);
  const auto [minimum, maximum] = std::minmax_element(voxels.begin(), voxels.end());
  const auto header = encode_mrc_header({.n = volume.n,
                                         .voxel_size = volume.voxel_size,
                                         .origin = volume.origin,
                                         .minimum = *minimum,
                                         .maximum = *maximum,
                                         .mean = mean,
                                         .rms = std::sqrt(squares / double(voxels.size())),
                                         .labels = labels});
  write_bytes(path, {std::as_bytes(std::span(header)), std::as_bytes(std::span(voxels))});
}

}  // namespace orrery::io
