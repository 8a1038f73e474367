#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "kernels/view.hpp"

namespace orrery::io {

/// A named array as it is kept in an HDF5 file: float32, float64 or int64, row-major.
struct Array {
  std::vector<std::uint64_t> extents;
  std::variant<std::vector<float>, std::vector<double>, std::vector<std::int64_t>> numbers;
};

using Attribute = std::variant<std::int64_t, double, std::string>;

/// What a file holds: data sets in the root group and attributes of the root group.
struct Hdf5File {
  std::map<std::string, Array> arrays;
  std::map<std::string, Attribute> attributes;
  std::string source;  // path, for messages

  /// The array of that name and element type; InputError naming file and field when it is absent,
  /// of another type, or not of those extents (an extent of 0 means any).
  template <class T>
  const std::vector<T>& array(const std::string& name, std::vector<std::uint64_t> extents) const;
  template <class T>
  T attribute(const std::string& name) const;
};

/// Atomic. Throws InputError naming the file on any failure.
void write_hdf5(const std::filesystem::path& path, const Hdf5File& contents);
/// Throws InputError for a missing, truncated or foreign file; sizes are checked against the file's
/// before memory is taken.
Hdf5File read_hdf5(const std::filesystem::path& path);

}  // namespace orrery::io
