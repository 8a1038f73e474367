#include "io/files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "kernels/check.hpp"

namespace orrery::io {

namespace {

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& reason) {
  throw InputError(path.string() + ": could not be written: " + reason);
}

/// Flushes a file, or a folder's entries, to disk.
void flush_to_disk(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY);
  if (descriptor < 0) return fail(path, std::strerror(errno));
  const int status = ::fsync(descriptor);
  const int error = errno;
  ::close(descriptor);
  if (status != 0 && error != EINVAL) fail(path, std::strerror(error));
}

}  // namespace

void write_atomically(const std::filesystem::path& path,
                      const std::function<void(const std::filesystem::path& temporary)>& write) {
  auto temporary = path;
  temporary += ".partial-" + std::to_string(::getpid());
  try {
    write(temporary);
    flush_to_disk(temporary);
    std::filesystem::rename(temporary, path);
    flush_to_disk(path.has_parent_path() ? path.parent_path() : ".");
  } catch (const InputError&) {
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    throw;
  } catch (const std::exception& error) {
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    fail(path, error.what());
  }
}

void write_text(const std::filesystem::path& path, const std::string& text) {
  write_atomically(path, [&](const std::filesystem::path& temporary) {
    std::ofstream file(temporary, std::ios::binary);
    file.write(text.data(), static_cast<std::streamsize>(text.size()));
    file.flush();
    if (!file) fail(path, std::strerror(errno));
  });
}

}  // namespace orrery::io
