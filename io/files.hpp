#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::io {

/// Writes a file so that it is either whole or absent: `write` fills a temporary file beside
/// `path`, which is flushed to disk and renamed. On any failure the temporary is removed and
/// InputError names the file and the reason ("No space left on device"). A device, a pipe or a
/// folder in the file's place is left alone and refused.
void write_atomically(const std::filesystem::path& path,
                      const std::function<void(const std::filesystem::path& temporary)>& write);
/// The parts one after the other, atomically.
void write_bytes(const std::filesystem::path& path,
                 const std::vector<std::span<const std::byte>>& parts);
void write_text(const std::filesystem::path& path, const std::string& text);

/// A file that is written piece by piece: a temporary beside `path` until `close` flushes it to
/// disk and renames it. Without `close` nothing is left behind. Errors as write_atomically, after
/// which the file is gone.
class GrowingFile {
 public:
  explicit GrowingFile(const std::filesystem::path& path);
  ~GrowingFile();
  GrowingFile(GrowingFile&& other) noexcept;

  void append(std::span<const std::byte> bytes);
  void append(std::string_view text) { append(std::as_bytes(std::span(text))); }
  /// Replaces the first bytes, already written: headers are known last.
  void overwrite_front(std::span<const std::byte> bytes);
  void close();

 private:
  std::filesystem::path path_, temporary_;
  int descriptor_ = -1;
};

/// Size in bytes of a file that is about to be read. InputError when it is missing or not a regular
/// file: opening a pipe would wait forever, and a device never ends.
std::uint64_t require_regular_file(const std::filesystem::path& path);

/// A file open for reading at any place, from several threads at once if need be. InputError naming
/// it and the reason where it can't be opened or read.
class RandomAccessFile {
 public:
  explicit RandomAccessFile(const std::filesystem::path& path);
  ~RandomAccessFile();
  RandomAccessFile(const RandomAccessFile&) = delete;
  RandomAccessFile& operator=(const RandomAccessFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// In bytes, as it was opened.
  std::uint64_t size() const { return size_; }
  /// Fills `bytes` from that offset on as far as the file goes, and returns how many it had.
  std::size_t read(std::uint64_t offset, std::span<std::byte> bytes) const;

 private:
  std::filesystem::path path_;
  std::uint64_t size_ = 0;
  int descriptor_ = -1;
};

/// The whole of a file; InputError naming it and the reason where that fails.
std::string read_text(const std::filesystem::path& path);

}  // namespace orrery::io
