#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
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

/// Size in bytes of a file that is about to be read. InputError when it is missing or not a regular
/// file: opening a pipe would wait forever, and a device never ends.
std::uint64_t require_regular_file(const std::filesystem::path& path);
/// The whole of a file; InputError naming it and the reason where that fails.
std::string read_text(const std::filesystem::path& path);

}  // namespace orrery::io
