#pragma once

#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

namespace orrery::io {

/// A file read from front to back, plain or gzip: zlib finds out which. Errors are InputError
/// naming the file.
class CompressedFile {
 public:
  explicit CompressedFile(const std::filesystem::path& path);

  bool is_gzip() const { return is_gzip_; }
  /// Bytes on disk, which for gzip is not what they unpack to.
  std::uint64_t size_on_disk() const { return size_on_disk_; }
  /// The most bytes that can come out: deflate never packs better than 1032 to 1.
  double largest_content() const {
    return static_cast<double>(size_on_disk_) * (is_gzip_ ? 1032.0 : 1.0);
  }

  /// Fills as much of `bytes` as the file has left and returns how much that was.
  std::size_t read(std::span<std::byte> bytes);

 private:
  struct Close {
    void operator()(gzFile file) const { gzclose(file); }
  };
  std::filesystem::path path_;
  std::uint64_t size_on_disk_ = 0;
  bool is_gzip_ = false;
  std::unique_ptr<std::remove_pointer_t<gzFile>, Close> file_;
};

}  // namespace orrery::io
