#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/observations.hpp"

namespace orrery::io {

/// Writes one float32 data set, of that name in the root group, that may be larger than memory:
/// `fill` is given a function that appends numbers in row-major order, as many as the extents say.
/// Atomic. Throws InputError naming the file where it can't be written.
using AppendNumbers = std::function<void(std::span<const float>)>;
void write_hdf5_blocks(const std::filesystem::path& path, const std::string& name,
                       const std::vector<std::uint64_t>& extents,
                       const std::function<void(const AppendNumbers&)>& fill);

/// Observations from a data set of an HDF5 file: see open_observations. Numbers of any size and
/// byte order will do, packed or not, and the data set may lie in a group ("run 3/observations").
std::unique_ptr<ObservationReader> open_hdf5_observations(const std::filesystem::path& path,
                                                          const std::string& dataset,
                                                          const std::string& usual_name);

}  // namespace orrery::io
