#include "io/compressed_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "io/files.hpp"
#include "kernels/check.hpp"

namespace orrery::io {

CompressedFile::CompressedFile(const std::filesystem::path& path)
    : path_(path), size_on_disk_(require_regular_file(path)), file_(gzopen(path.c_str(), "rb")) {
  if (!file_) throw InputError(path.string() + ": could not be opened: " + std::strerror(errno));
  gzbuffer(file_.get(), 1 << 18);
  is_gzip_ = gzdirect(file_.get()) == 0;
}

std::size_t CompressedFile::read(std::span<std::byte> bytes) {
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const auto wanted = std::min<std::size_t>(bytes.size() - filled, 1 << 24);
    const int count = gzread(file_.get(), bytes.data() + filled, static_cast<unsigned>(wanted));
    int status = Z_OK;
    const char* reason = gzerror(file_.get(), &status);
    if (status == Z_BUF_ERROR)
      throw InputError(path_.string() +
                       ": the gzip stream is cut off before its end; fetch the file again");
    if (status == Z_DATA_ERROR)
      throw InputError(path_.string() + ": the gzip stream is damaged; fetch the file again");
    if (count < 0)
      throw InputError(path_.string() + ": could not be read: " +
                       (status == Z_ERRNO ? std::strerror(errno) : reason));
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
  }
  return filled;
}

}  // namespace orrery::io
