#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "kernels/tensor.hpp"

namespace orrery::io {

/// A stack of square images in an MRC file, read image by image in any order. The header is checked
/// against the file's length when it is opened; nothing is kept in memory.
class ImageStack {
 public:
  /// Modes 0, 1, 2, 6 and 12, either byte order, extended headers; a volume of n x n x n is a stack
  /// of n images. Throws InputError naming file, field and remedy: missing or truncated files,
  /// images that are not square, modes that are no images, no images at all.
  explicit ImageStack(const std::filesystem::path& path);
  ~ImageStack();
  ImageStack(ImageStack&&) noexcept;
  ImageStack& operator=(ImageStack&&) noexcept;

  Index size() const;         // pixels an edge
  Index count() const;        // images
  double pixel_size() const;  // angstrom; 0 where the header says nothing
  const std::filesystem::path& path() const;

  /// images (B, size, size) = the images of those indices; neighbours are read in one go. Throws
  /// InputError naming the file and the image where it has NaN or infinite pixels or can't be read,
  /// std::invalid_argument for an index beyond count().
  void read(std::span<const Index> indices, View<float, 3> images) const;

 private:
  struct File;
  std::unique_ptr<File> file_;
};

/// Writes a stack of images (mode 2, little-endian, ISPG 0) that grows block by block: into a
/// temporary file that becomes `path` at `close`. Without `close` nothing is left behind.
class ImageStackWriter {
 public:
  ImageStackWriter(const std::filesystem::path& path, Index size, double pixel_size);
  ~ImageStackWriter();
  ImageStackWriter(ImageStackWriter&&) noexcept;

  /// Throws InputError naming the file and the reason ("No space left on device").
  void append(View<const float, 3> images);
  Index count() const;
  /// Completes the header, flushes, renames.
  void close();

 private:
  struct File;
  std::unique_ptr<File> file_;
};

}  // namespace orrery::io
