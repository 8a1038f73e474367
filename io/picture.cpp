#include "io/picture.hpp"

#include <png.h>

#include <cstddef>
#include <span>

#include "io/files.hpp"
#include "kernels/check.hpp"

namespace orrery::io {

void write_png(const std::filesystem::path& path, const Picture& picture) {
  require(picture.width > 0 && picture.height > 0, "write_png", "the picture has no pixels");
  require(picture.rgb.size() == std::size_t(3) * picture.width * picture.height, "write_png",
          "the picture's pixels are not width x height");
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(picture.width);
  image.height = static_cast<png_uint_32>(picture.height);
  image.format = PNG_FORMAT_RGB;
  const auto encode = [&](void* into, png_alloc_size_t& size) {
    if (!png_image_write_to_memory(&image, into, &size, false, picture.rgb.data(), 0, nullptr))
      throw InputError(path.string() + ": could not be written: " + image.message);
  };
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::vector<std::byte> encoded(size);
  encode(encoded.data(), size);
  write_bytes(path, {std::span(encoded).first(size)});
}

}  // namespace orrery::io
