#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "kernels/view.hpp"

namespace orrery::io {

/// Observations of one length, in one or more instances, read block by block from a file that may
/// be larger than memory.
class ObservationReader {
 public:
  virtual ~ObservationReader() = default;

  /// Samples an observation.
  Index length() const { return length_; }
  /// 1 unless the file's array has three dimensions: (instances, observations, length).
  Index instances() const { return instances_; }
  /// Fills up to rows.extent(0) rows with the current instance's next observations and gives their
  /// number. 0 says that the instance is at its end; the next call is about the next one. Throws
  /// InputError naming the file and the place for numbers that are NaN or infinite.
  Index read(View<double, 2> rows);

 protected:
  explicit ObservationReader(std::filesystem::path path) : path_(std::move(path)) {}
  /// As `read`, without looking at the numbers.
  virtual Index read_rows(Index instance, View<double, 2> rows) = 0;

  std::filesystem::path path_;
  Index length_ = 0, instances_ = 1;

 private:
  Index instance_ = 0, row_ = 0;  // of the next observation
};

/// Opens a file of observations, told apart by its first bytes:
/// - HDF5: `dataset`, or where that is empty the one called `usual_name`, or the only one there is.
/// - NPY of version 1 to 3: float32 or float64 of either byte order, in C order.
/// - CSV: an observation a line, with or without a line of column names.
/// Arrays have the extents (observations, length) or (instances, observations, length). Throws
/// InputError naming the file, what is wrong and the remedy.
std::unique_ptr<ObservationReader> open_observations(const std::filesystem::path& path,
                                                     const std::string& dataset,
                                                     const std::string& usual_name);

}  // namespace orrery::io
