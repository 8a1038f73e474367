#include "io/hdf5_layout.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "io/hdf5_handle.hpp"

namespace orrery::io {

haddr_t lay_out(hid_t file, const std::string& name, const std::vector<std::uint64_t>& extents) {
  const std::vector<hsize_t> sizes(extents.begin(), extents.end());
  const Handle space(H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), nullptr),
                     H5Sclose, "H5Screate");
  const Handle properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "H5Pcreate");
  check(H5Pset_obj_track_times(properties, false), "H5Pset_obj_track_times");
  check(H5Pset_alloc_time(properties, H5D_ALLOC_TIME_EARLY), "H5Pset_alloc_time");
  check(H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER), "H5Pset_fill_time");
  const Handle set(
      H5Dcreate2(file, name.c_str(), H5T_IEEE_F32LE, space, H5P_DEFAULT, properties, H5P_DEFAULT),
      H5Dclose, "H5Dcreate");
  return H5Dget_offset(set);
}

void require_room(const std::filesystem::path& path, std::uint64_t bytes) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (file < 0) throw std::system_error(errno, std::generic_category());
  constexpr std::uint64_t for_descriptions = 16384;
  const int error = ::posix_fallocate(file, 0, static_cast<off_t>(bytes + for_descriptions));
  ::close(file);
  if (error == ENOSPC || error == EFBIG || error == EDQUOT)
    throw std::system_error(error, std::generic_category());
}

RawWriter::RawWriter(const std::filesystem::path& path, haddr_t at)
    : file_(::open(path.c_str(), O_WRONLY | O_CLOEXEC)), at_(static_cast<std::int64_t>(at)) {
  if (file_ < 0) throw std::system_error(errno, std::generic_category());
}
RawWriter::~RawWriter() { ::close(file_); }

void RawWriter::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto written = ::pwrite(file_, bytes.data(), bytes.size(), static_cast<off_t>(at_));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw std::system_error(errno, std::generic_category());
    at_ += written;
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

}  // namespace orrery::io
