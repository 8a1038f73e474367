#pragma once

// Only for the sources of io that call the HDF5 library.

#include <hdf5.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace orrery::io {

/// Makes a float32 data set whose numbers are still to come, and says where in the file they
/// belong. HDF5 lays out the file and closes it before they do: a full disk then meets our own
/// writing, which cleans up, and not HDF5, which doesn't.
haddr_t lay_out(hid_t file, const std::string& name, const std::vector<std::uint64_t>& extents);

/// Throws what a full disk says unless it has room for a file of about so many bytes there. To be
/// called before HDF5 writes, whose library does not survive a disk that fills up.
void require_room(const std::filesystem::path& path, std::uint64_t bytes);

/// Writes bytes one after the other from some place in a file on.
class RawWriter {
 public:
  RawWriter(const std::filesystem::path& path, haddr_t at);
  ~RawWriter();
  RawWriter(const RawWriter&) = delete;
  RawWriter& operator=(const RawWriter&) = delete;

  void append(std::span<const std::byte> bytes);

 private:
  int file_;
  std::int64_t at_;
};

}  // namespace orrery::io
