#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace orrery::io {

/// A named array as it is kept in an HDF5 file: float32, float64 or int64, row-major. No extents
/// mean a single number; an extent may be 0.
struct Array {
  std::vector<std::uint64_t> extents;
  std::variant<std::vector<float>, std::vector<double>, std::vector<std::int64_t>> numbers;
};

using Attribute = std::variant<std::int64_t, double, std::string>;

/// What a file holds: data sets in the root group and attributes of the root group.
struct Hdf5File {
  std::map<std::string, Array> arrays;
  std::map<std::string, Attribute> attributes;
  std::string source = {};  // path, for messages

  /// The array of that name and element type (float, double, std::int64_t); InputError naming file
  /// and field when it is absent, of another type, or not of those extents (an extent of 0 means
  /// any).
  template <class T>
  const std::vector<T>& array(const std::string& name,
                              const std::vector<std::uint64_t>& extents) const;
  /// The same, moved out of here: what is large need not be there twice.
  template <class T>
  std::vector<T> take_array(const std::string& name, const std::vector<std::uint64_t>& extents);
  /// The attribute as std::int64_t, double (an integer will do) or std::string; InputError naming
  /// file and field when it is absent or of another type.
  template <class T>
  T attribute(const std::string& name) const;
};

/// Writes float32, float64 and int64 in little-endian order and strings as variable-length UTF-8,
/// readable by every HDF5 since 1.8 and by h5py. Equal contents give equal files. Atomic; the file
/// is composed in memory first, which takes as much again as the arrays.
/// Throws InputError naming the file where it can't be written, std::invalid_argument where an
/// array does not have as many numbers as its extents say.
void write_hdf5(const std::filesystem::path& path, const Hdf5File& contents);

/// A float32 array that lies elsewhere.
struct LargeArray {
  std::string name;
  std::vector<std::uint64_t> extents;
  std::span<const float> numbers;
};
/// The same, with arrays that are too large to be had twice: these go from where they lie into the
/// file.
void write_hdf5(const std::filesystem::path& path, const Hdf5File& contents,
                const std::vector<LargeArray>& large);

/// Numbers of any byte order come as the nearest of the three types: floats of up to 4 bytes as
/// float, larger as double, integers as int64. Data sets and attributes of other types, groups and
/// links are left out. Strings may be of fixed or variable length.
/// Throws InputError for a missing, truncated or foreign file; sizes are checked against the file's
/// before memory is taken.
Hdf5File read_hdf5(const std::filesystem::path& path);

}  // namespace orrery::io
