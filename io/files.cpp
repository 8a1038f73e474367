#include "io/files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "kernels/check.hpp"

namespace orrery::io {

namespace {

using Path = std::filesystem::path;

[[noreturn]] void fail_to_write(const Path& path, const std::string& reason) {
  throw InputError(path.string() + ": could not be written: " + reason);
}

[[noreturn]] void fail_to_read(const Path& path) {
  throw InputError(path.string() + ": could not be read: " + std::strerror(errno));
}

[[noreturn]] void throw_system_error() { throw std::system_error(errno, std::generic_category()); }

int open_to_write(const Path& path) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor < 0) throw_system_error();
  return descriptor;
}

void write_all(int descriptor, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_system_error();
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

/// Flushes a file, or a folder's entries, to disk.
void flush_to_disk(const Path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw_system_error();
  // Some file systems cannot flush a folder and say EINVAL.
  const int error = ::fsync(descriptor) != 0 && errno != EINVAL ? errno : 0;
  ::close(descriptor);
  if (error != 0) throw std::system_error(error, std::generic_category());
}

/// The system's own words for what went wrong, without the function that met it.
std::string reason_of(const std::exception& error) {
  if (const auto* system = dynamic_cast<const std::system_error*>(&error))
    return system->code().message();
  return error.what();
}

/// Where the file grows until it is complete.
Path temporary_for(const Path& path) {
  std::error_code ignored;
  const auto status = std::filesystem::status(path, ignored);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))
    fail_to_write(path, "it exists and is not a regular file");
  auto temporary = path;
  temporary += ".partial-" + std::to_string(::getpid());
  return temporary;
}

/// Takes a step in writing `path`; where it fails the temporary is removed.
template <class Step>
void step_or_remove(const Path& path, const Path& temporary, const Step& step) {
  std::error_code ignored;
  try {
    step();
  } catch (const InputError&) {
    std::filesystem::remove(temporary, ignored);
    throw;
  } catch (const std::exception& error) {
    std::filesystem::remove(temporary, ignored);
    fail_to_write(path, reason_of(error));
  }
}

void put_in_place(const Path& temporary, const Path& path) {
  flush_to_disk(temporary);
  std::filesystem::rename(temporary, path);
  flush_to_disk(path.has_parent_path() ? path.parent_path() : ".");
}

}  // namespace

void write_atomically(const Path& path, const std::function<void(const Path&)>& write) {
  const auto temporary = temporary_for(path);
  step_or_remove(path, temporary, [&] {
    write(temporary);
    put_in_place(temporary, path);
  });
}

void write_bytes(const Path& path, const std::vector<std::span<const std::byte>>& parts) {
  GrowingFile file(path);
  for (const auto part : parts) file.append(part);
  file.close();
}

void write_text(const Path& path, const std::string& text) {
  write_bytes(path, {std::as_bytes(std::span(text))});
}

std::uint64_t require_regular_file(const Path& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found)
    throw InputError(path.string() + ": there is no such file; check the path");
  if (std::filesystem::is_directory(status))
    throw InputError(path.string() + ": is a folder; name a file in it");
  if (error) throw InputError(path.string() + ": could not be read: " + error.message());
  if (!std::filesystem::is_regular_file(status))
    throw InputError(path.string() + ": is not a regular file; save its contents to a file first");
  const auto size = std::filesystem::file_size(path, error);
  if (error) throw InputError(path.string() + ": could not be read: " + error.message());
  return size;
}

GrowingFile::GrowingFile(const Path& path) : path_(path), temporary_(temporary_for(path)) {
  step_or_remove(path_, temporary_, [&] { descriptor_ = open_to_write(temporary_); });
}

GrowingFile::GrowingFile(GrowingFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

GrowingFile::~GrowingFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  std::error_code ignored;
  std::filesystem::remove(temporary_, ignored);
}

void GrowingFile::append(std::span<const std::byte> bytes) {
  step_or_remove(path_, temporary_, [&] { write_all(descriptor_, bytes); });
}

void GrowingFile::overwrite_front(std::span<const std::byte> bytes) {
  step_or_remove(path_, temporary_, [&] {
    if (::lseek(descriptor_, 0, SEEK_SET) < 0) throw_system_error();
    write_all(descriptor_, bytes);
    if (::lseek(descriptor_, 0, SEEK_END) < 0) throw_system_error();
  });
}

void GrowingFile::close() {
  step_or_remove(path_, temporary_, [&] {
    if (::close(std::exchange(descriptor_, -1)) != 0) throw_system_error();
    put_in_place(temporary_, path_);
  });
}

RandomAccessFile::RandomAccessFile(const Path& path)
    : path_(path), size_(require_regular_file(path)) {
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) fail_to_read(path);
}

RandomAccessFile::~RandomAccessFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::size_t RandomAccessFile::read(std::uint64_t offset, std::span<std::byte> bytes) const {
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const auto count = ::pread(descriptor_, bytes.data() + filled, bytes.size() - filled,
                               static_cast<off_t>(offset + filled));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_to_read(path_);
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
  }
  return filled;
}

std::string read_text(const Path& path) {
  const RandomAccessFile file(path);
  std::string text(file.size(), '\0');
  text.resize(file.read(0, std::as_writable_bytes(std::span(text))));
  return text;
}

}  // namespace orrery::io
