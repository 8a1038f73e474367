#pragma once

#include <filesystem>
#include <functional>
#include <string>

namespace orrery::io {

/// Writes a file so that it is either whole or absent: `write` fills a temporary file beside
/// `path`, which is flushed to disk and renamed. On any failure the temporary is removed and
/// InputError names the file and the reason ("no space left on device").
void write_atomically(const std::filesystem::path& path,
                      const std::function<void(const std::filesystem::path& temporary)>& write);
void write_text(const std::filesystem::path& path, const std::string& text);

}  // namespace orrery::io
