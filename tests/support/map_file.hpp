#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <string>

namespace orrery::test {

/// An MRC file made byte by byte, independently of the reader: change a field, then take `bytes`.
struct MapFile {
  std::int32_t nx = 4, ny = 4, nz = 4, mode = 2;
  std::array<std::int32_t, 3> start = {0, 0, 0}, intervals = {4, 4, 4}, axes = {1, 2, 3};
  std::array<float, 3> cell = {8, 8, 8}, angles = {90, 90, 90}, origin = {0, 0, 0};
  std::int32_t space_group = 1, extended = 0;
  std::string map = "MAP ", stamp = "\x44\x44";
  bool big_endian = false;
  std::string extended_bytes = "", data = "", trailing = "";

  template <class T>
  void put(std::string& into, std::size_t at, T number) const {
    auto raw = std::bit_cast<std::array<char, sizeof(T)>>(number);
    if (big_endian) std::reverse(raw.begin(), raw.end());
    if (into.size() < at + sizeof(T)) into.resize(at + sizeof(T));
    std::copy(raw.begin(), raw.end(), into.begin() + static_cast<std::ptrdiff_t>(at));
  }
  template <class T>
  void add(T number) {
    put(data, data.size(), number);
  }
  /// Voxel i of the file holds f(i), as type T.
  template <class T>
  MapFile& fill(auto f) {
    for (int i = 0; i < nx * ny * nz; ++i) add(static_cast<T>(f(i)));
    return *this;
  }
  std::string bytes() const {
    std::string all(1024, '\0');
    for (int i = 0; i < 3; ++i) {
      put(all, 0 + 4 * i, std::array{nx, ny, nz}[i]);
      put(all, 16 + 4 * i, start[i]);
      put(all, 28 + 4 * i, intervals[i]);
      put(all, 40 + 4 * i, cell[i]);
      put(all, 52 + 4 * i, angles[i]);
      put(all, 64 + 4 * i, axes[i]);
      put(all, 196 + 4 * i, origin[i]);
    }
    put(all, 12, mode);
    put(all, 88, space_group);
    put(all, 92, extended);
    all.replace(208, map.size(), map);
    all.replace(212, stamp.size(), stamp);
    return all + extended_bytes + data + trailing;
  }
};

}  // namespace orrery::test
