#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace orrery::io {

/// An 8-bit RGB picture, row-major from the top left: width * height * 3 bytes.
struct Picture {
  int width = 0, height = 0;
  std::vector<std::uint8_t> rgb = {};
};

/// Atomic PNG. Throws InputError where the file can't be written, std::invalid_argument where the
/// picture has no pixels or not as many as it says.
void write_png(const std::filesystem::path& path, const Picture& picture);

}  // namespace orrery::io
