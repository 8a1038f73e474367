#include "io/files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "kernels/check.hpp"

namespace orrery::io {

namespace {

using Path = std::filesystem::path;

[[noreturn]] void fail_to_write(const Path& path, const std::string& reason) {
  throw InputError(path.string() + ": could not be written: " + reason);
}

/// An open file descriptor, closed with its owner.
class Descriptor {
 public:
  Descriptor(const Path& path, int flags)
      : number_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  bool is_open() const { return number_ >= 0; }
  int number() const { return number_; }

 private:
  int number_;
};

/// Flushes a file, or a folder's entries, to disk.
void flush_to_disk(const Path& path) {
  const Descriptor file(path, O_RDONLY);
  // Some file systems cannot flush a folder and say EINVAL.
  if (!file.is_open() || (::fsync(file.number()) != 0 && errno != EINVAL))
    throw std::system_error(errno, std::generic_category());
}

void write_all(int descriptor, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw std::system_error(errno, std::generic_category());
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

/// The system's own words for what went wrong, without the function that met it.
std::string reason_of(const std::exception& error) {
  if (const auto* system = dynamic_cast<const std::system_error*>(&error))
    return system->code().message();
  return error.what();
}

}  // namespace

void write_atomically(const Path& path, const std::function<void(const Path&)>& write) {
  std::error_code ignored;
  const auto status = std::filesystem::status(path, ignored);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))
    fail_to_write(path, "it exists and is not a regular file");
  auto temporary = path;
  temporary += ".partial-" + std::to_string(::getpid());
  try {
    write(temporary);
    flush_to_disk(temporary);
    std::filesystem::rename(temporary, path);
    flush_to_disk(path.has_parent_path() ? path.parent_path() : ".");
  } catch (const InputError&) {
    std::filesystem::remove(temporary, ignored);
    throw;
  } catch (const std::exception& error) {
    std::filesystem::remove(temporary, ignored);
    fail_to_write(path, reason_of(error));
  }
}

void write_bytes(const Path& path, const std::vector<std::span<const std::byte>>& parts) {
  write_atomically(path, [&](const Path& temporary) {
    const Descriptor file(temporary, O_WRONLY | O_CREAT | O_TRUNC);
    if (!file.is_open()) throw std::system_error(errno, std::generic_category());
    for (const auto part : parts) write_all(file.number(), part);
  });
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

std::string read_text(const Path& path) {
  std::string text(require_regular_file(path), '\0');
  const Descriptor file(path, O_RDONLY);
  std::size_t filled = 0;
  while (file.is_open() && filled < text.size()) {
    const auto count = ::read(file.number(), text.data() + filled, text.size() - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw InputError(path.string() + ": could not be read: " + std::strerror(errno));
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
  }
  if (!file.is_open())
    throw InputError(path.string() + ": could not be read: " + std::strerror(errno));
  text.resize(filled);
  return text;
}

}  // namespace orrery::io
