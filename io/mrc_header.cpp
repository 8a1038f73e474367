#include "io/mrc_header.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace orrery::io {

namespace {

// Byte offsets of the header's fields: four times (word number - 1) of the MRC2014 paper.
constexpr std::size_t at_extents = 0, at_mode = 12, at_start = 16, at_intervals = 28, at_cell = 40,
                      at_angles = 52, at_axes = 64, at_statistics = 76, at_space_group = 88,
                      at_extended_bytes = 92, at_version = 108, at_imod_stamp = 152,
                      at_imod_flags = 156, at_origin = 196, at_map = 208, at_machine_stamp = 212,
                      at_rms = 216, at_label_count = 220, at_labels = 224;
constexpr std::size_t label_bytes = 80, label_count = 10;
constexpr std::int32_t imod_stamp = 1146047817;  // "IMOD"

/// In this machine's byte order. The bytes are reversed by instructions that vectorise.
template <class T, bool swap>
T load(const std::byte* at) {
  T number;
  std::memcpy(&number, at, sizeof(T));
  if constexpr (swap && sizeof(T) == 2)
    number = std::bit_cast<T>(__builtin_bswap16(std::bit_cast<std::uint16_t>(number)));
  if constexpr (swap && sizeof(T) == 4)
    number = std::bit_cast<T>(__builtin_bswap32(std::bit_cast<std::uint32_t>(number)));
  return number;
}

template <class T>
T load(const std::byte* at, bool is_big_endian) {
  return is_big_endian ? load<T, true>(at) : load<T, false>(at);
}

template <class T>
std::array<T, 3> load3(const std::byte* at, bool is_big_endian) {
  return {load<T>(at, is_big_endian), load<T>(at + 4, is_big_endian),
          load<T>(at + 8, is_big_endian)};
}

bool is_plausible(const std::byte* raw, bool is_big_endian) {
  const auto mode = load<std::int32_t>(raw + at_mode, is_big_endian);
  constexpr std::array known = {0, 1, 2, 3, 4, 6, 12, 101};
  if (std::find(known.begin(), known.end(), mode) == known.end()) return false;
  const auto extents = load3<std::int32_t>(raw + at_extents, is_big_endian);
  return std::all_of(extents.begin(), extents.end(),
                     [](std::int32_t extent) { return extent > 0 && extent < 65536; });
}

/// The machine stamp decides, unless the header makes sense only in the other order: programs that
/// leave the stamp empty or wrong are common.
bool find_big_endian(const std::byte* raw) {
  const bool stamp_says_big = raw[at_machine_stamp] == std::byte{0x11};
  if (is_plausible(raw, stamp_says_big) || !is_plausible(raw, !stamp_says_big))
    return stamp_says_big;
  return !stamp_says_big;
}

template <class Stored, bool swap, class Convert>
void decode(std::span<const std::byte> raw, std::span<float> voxels, Convert convert) {
  const auto count = voxels.size();
  const std::byte* const from = raw.data();
  float* const to = voxels.data();
#pragma omp simd
  for (std::size_t i = 0; i < count; ++i)
    to[i] = convert(load<Stored, swap>(from + i * sizeof(Stored)));
}

template <class Stored, class Convert>
void decode(std::span<const std::byte> raw, bool is_big_endian, std::span<float> voxels,
            Convert convert) {
  return is_big_endian ? decode<Stored, true>(raw, voxels, convert)
                       : decode<Stored, false>(raw, voxels, convert);
}

}  // namespace

MrcHeader decode_mrc_header(std::span<const std::byte, MrcHeader::bytes> raw) {
  const std::byte* at = raw.data();
  MrcHeader header;
  header.has_map_identifier = std::memcmp(at + at_map, "MAP", 3) == 0;
  const bool big = header.is_big_endian = find_big_endian(at);
  header.extents = load3<std::int32_t>(at + at_extents, big);
  header.mode = load<std::int32_t>(at + at_mode, big);
  header.start = load3<std::int32_t>(at + at_start, big);
  header.intervals = load3<std::int32_t>(at + at_intervals, big);
  header.cell = load3<float>(at + at_cell, big);
  header.angles = load3<float>(at + at_angles, big);
  header.axes = load3<std::int32_t>(at + at_axes, big);
  header.space_group = load<std::int32_t>(at + at_space_group, big);
  header.extended_bytes = load<std::int32_t>(at + at_extended_bytes, big);
  header.origin = load3<float>(at + at_origin, big);
  const bool from_imod = load<std::int32_t>(at + at_imod_stamp, big) == imod_stamp;
  header.mode0_is_unsigned = from_imod && (load<std::int32_t>(at + at_imod_flags, big) & 1) == 0;
  return header;
}

std::size_t mrc_voxel_bytes(std::int32_t mode) {
  switch (mode) {
    case 0:
      return 1;
    case 1:
    case 6:
    case 12:
      return 2;
    case 2:
      return 4;
    default:
      return 0;
  }
}

float float_from_half(std::uint16_t half) {
  // The same exponent and fraction in a float's fields make a number too small by 2^(127 - 15); the
  // product also puts right halves below the normal ones. Infinity and NaN keep their exponent of
  // ones instead. No branches: this vectorises.
  constexpr std::uint32_t infinity = 0x7c00u << 13;
  const auto magnitude = static_cast<std::uint32_t>(half & 0x7fff) << 13;
  const auto scaled = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) * 0x1p112f);
  const auto sign = static_cast<std::uint32_t>(half & 0x8000) << 16;
  return std::bit_cast<float>(sign | (magnitude >= infinity ? magnitude | 0x7f800000u : scaled));
}

void decode_mrc_voxels(const MrcHeader& header, std::span<const std::byte> raw,
                       std::span<float> voxels) {
  const bool big = header.is_big_endian;
  const auto as_float = [](auto stored) { return static_cast<float>(stored); };
  const auto half_as_float = [](std::uint16_t stored) { return float_from_half(stored); };
  switch (header.mode) {
    case 0:
      return header.mode0_is_unsigned ? decode<std::uint8_t>(raw, big, voxels, as_float)
                                      : decode<std::int8_t>(raw, big, voxels, as_float);
    case 1:
      return decode<std::int16_t>(raw, big, voxels, as_float);
    case 2:
      return decode<float>(raw, big, voxels, as_float);
    case 6:
      return decode<std::uint16_t>(raw, big, voxels, as_float);
    case 12:
      return decode<std::uint16_t>(raw, big, voxels, half_as_float);
    default:
      return;
  }
}

std::array<std::byte, MrcHeader::bytes> encode_mrc_header(const MrcDescription& map) {
  static_assert(std::endian::native == std::endian::little,
                "numbers are written in this machine's order, under the little-endian stamp");
  std::array<std::byte, MrcHeader::bytes> raw = {};
  const auto put = [&](std::size_t at, auto... numbers) {
    ((std::memcpy(raw.data() + at, &numbers, sizeof(numbers)), at += sizeof(numbers)), ...);
  };
  const std::int32_t n = map.n, sections = map.images.value_or(n);
  const std::int32_t depth = map.images ? 1 : n;  // of the cell: a stack is as deep as an image
  const auto length = static_cast<float>(map.n * map.voxel_size);
  const auto labels = std::min(map.labels.size(), label_count);
  put(at_extents, n, n, sections);
  put(at_mode, std::int32_t{2});
  put(at_intervals, n, n, depth);
  put(at_cell, length, length, static_cast<float>(depth * map.voxel_size));
  put(at_angles, 90.f, 90.f, 90.f);
  put(at_axes, std::int32_t{1}, std::int32_t{2}, std::int32_t{3});
  put(at_statistics, static_cast<float>(map.minimum), static_cast<float>(map.maximum),
      static_cast<float>(map.mean));
  put(at_space_group, std::int32_t{map.images ? 0 : 1});
  put(at_version, std::int32_t{20141});
  put(at_origin, static_cast<float>(map.origin[0]), static_cast<float>(map.origin[1]),
      static_cast<float>(map.origin[2]));
  put(at_map, 'M', 'A', 'P', ' ');
  put(at_machine_stamp, '\x44', '\x44');
  put(at_rms, static_cast<float>(map.rms));
  put(at_label_count, static_cast<std::int32_t>(labels));
  for (std::size_t i = 0; i < labels; ++i) {
    std::string label = map.labels[i].substr(0, label_bytes);
    label.resize(label_bytes, ' ');  // the format pads labels with blanks
    for (char& c : label)
      if (c < ' ' || c > '~') c = '?';
    std::memcpy(raw.data() + at_labels + i * label_bytes, label.data(), label_bytes);
  }
  return raw;
}

}  // namespace orrery::io
