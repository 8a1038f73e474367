#include "io/image_stack.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "io/files.hpp"
#include "io/mrc_header.hpp"
#include "kernels/check.hpp"

namespace orrery::io {

namespace {

/// Images are read in runs that stay in the cache until they are converted and checked.
constexpr Index run_bytes = 1 << 20;

template <class... Arguments>
[[noreturn]] void refuse(const std::filesystem::path& path, fmt::format_string<Arguments...> what,
                         Arguments&&... arguments) {
  throw InputError(path.string() + ": " + fmt::format(what, std::forward<Arguments>(arguments)...));
}

MrcHeader read_header(const RandomAccessFile& file) {
  const auto& path = file.path();
  std::array<std::byte, MrcHeader::bytes> raw;
  const auto count = file.read(0, raw);
  if (count == 0) refuse(path, "the file is empty; fetch it again");
  if (count >= 2 && raw[0] == std::byte{0x1f} && raw[1] == std::byte{0x8b})
    refuse(path, "is packed by gzip, but images are read from anywhere in a stack; unpack it");
  if (count < raw.size())
    refuse(
        path,
        "has {} bytes, but an MRC header alone has {}; the file is truncated or not an MRC stack",
        count, raw.size());
  return decode_mrc_header(raw);
}

void check_header(const RandomAccessFile& file, const MrcHeader& header) {
  const auto& path = file.path();
  const auto [nx, ny, nz] = header.extents;
  const auto voxel_bytes = mrc_voxel_bytes(header.mode);
  const double wanted = double(MrcHeader::bytes) + header.extended_bytes +
                        double(nx) * ny * nz * static_cast<double>(voxel_bytes);
  const auto size = static_cast<double>(file.size());
  // Old programs leave the identifier out; then all the rest has to fit.
  if (!header.has_map_identifier && (voxel_bytes == 0 || nx <= 0 || size != wanted))
    refuse(path,
           "is not an MRC file (byte 209 of the header does not start \"MAP\"); give a .mrcs or "
           ".mrc stack, or convert it to one");
  if (header.mode == 3 || header.mode == 4)
    refuse(path, "MODE {} holds complex numbers, transforms; give the images in real space",
           header.mode);
  if (voxel_bytes == 0)
    refuse(path, "MODE {} is not one of 0, 1, 2, 6, 12; convert the stack to MODE 2 (float32)",
           header.mode);
  if (nx <= 0 || ny <= 0 || nz < 0 || header.extended_bytes < 0)
    refuse(path,
           "the header says {} x {} x {} pixels (NX x NY x NZ) after {} bytes of extended header; "
           "the file is damaged - fetch it again",
           nx, ny, nz, header.extended_bytes);
  if (nz == 0) refuse(path, "has no images (NZ is 0); give a stack that has some");
  if (nx != ny)
    refuse(path, "its images are {} x {} pixels, but must be square; extract them again", nx, ny);
  if (size < wanted)
    refuse(
        path,
        "has {:.0f} bytes, but its header asks for {:.0f} ({} images of {} x {} in MODE {}); the "
        "file is truncated - fetch or write it again",
        size, wanted, nz, nx, ny, header.mode);
}

bool all_finite(View<const float, 2> image) {
  constexpr std::uint32_t exponent = 0x7f800000;  // all ones: infinite or NaN
  std::uint32_t bad = 0;
  const Index count = image.size();
#pragma omp simd reduction(| : bad)
  for (Index i = 0; i < count; ++i)
    bad |= (std::bit_cast<std::uint32_t>(image.data[i]) & exponent) == exponent;
  return bad == 0;
}

}  // namespace

struct ImageStack::File : RandomAccessFile {
  explicit File(const std::filesystem::path& path)
      : RandomAccessFile(path), header(read_header(*this)) {
    check_header(*this, header);
    const auto stored = mrc_voxel_bytes(header.mode);
    image_bytes = static_cast<Index>(stored) * header.extents[0] * header.extents[1];
    images_at = MrcHeader::bytes + static_cast<std::uint64_t>(header.extended_bytes);
    is_plain = header.mode == 2 && !header.is_big_endian;
    const double edge = double(header.cell[0]) / header.intervals[0];
    if (header.intervals[0] > 0 && edge > 0 && std::isfinite(edge)) pixel_size = edge;
  }

  /// images = those from `first` on, by way of `raw` where they have to be converted.
  void read_run(Index first, View<float, 3> images, std::vector<std::byte>& raw) const {
    const auto bytes = static_cast<std::size_t>(images.extent(0) * image_bytes);
    if (!is_plain) raw.resize(bytes);
    const std::span<float> pixels(images.data, static_cast<std::size_t>(images.size()));
    const std::span<std::byte> to = is_plain ? std::as_writable_bytes(pixels) : std::span(raw);
    const auto got = read(images_at + static_cast<std::uint64_t>(first * image_bytes), to);
    if (got < bytes)
      refuse(path(), "ends inside image {}: it was cut short while it was read; fetch it again",
             first + 1 + static_cast<Index>(got) / image_bytes);
    if (!is_plain) decode_mrc_voxels(header, to, pixels);
    for (Index i = 0; i < images.extent(0); ++i)
      if (!all_finite(images[i]))
        refuse(path(), "image {} has NaN or infinite pixels; leave it out or extract it again",
               first + i + 1);
  }

  MrcHeader header;
  Index image_bytes = 0;
  std::uint64_t images_at = 0;
  bool is_plain = false;  // stored as this machine keeps floats
  double pixel_size = 0;
};

ImageStack::ImageStack(const std::filesystem::path& path) : file_(std::make_unique<File>(path)) {}
ImageStack::~ImageStack() = default;
ImageStack::ImageStack(ImageStack&&) noexcept = default;
ImageStack& ImageStack::operator=(ImageStack&&) noexcept = default;

Index ImageStack::size() const { return file_->header.extents[0]; }
Index ImageStack::count() const { return file_->header.extents[2]; }
double ImageStack::pixel_size() const { return file_->pixel_size; }
const std::filesystem::path& ImageStack::path() const { return file_->path(); }

void ImageStack::read(std::span<const Index> indices, View<float, 3> images) const {
  const auto wanted = static_cast<Index>(indices.size());
  require_shape("ImageStack::read", "images", images, {wanted, size(), size()});
  require(
      std::all_of(indices.begin(), indices.end(), [&](Index i) { return i >= 0 && i < count(); }),
      "ImageStack::read", "an index is beyond the stack's images");
  const Index longest = std::max<Index>(1, run_bytes / file_->image_bytes);
  std::vector<std::byte> raw;
  for (Index done = 0, run = 0; done < wanted; done += run) {
    const Index first = indices[done];
    const Index most = std::min(longest, wanted - done);
    for (run = 1; run < most && indices[done + run] == first + run;) ++run;
    file_->read_run(first, images.rows(done, run), raw);
  }
}

struct ImageStackWriter::File : GrowingFile {
  File(const std::filesystem::path& path, Index n, double pixel) : GrowingFile(path), size(n) {
    header.n = static_cast<int>(n);
    header.voxel_size = pixel;
    header.labels = {"Orrery: particle images"};
  }

  Index size, count = 0;
  MrcDescription header;
  double sum = 0, squares = 0;
  float minimum = std::numeric_limits<float>::infinity(), maximum = -minimum;
};

ImageStackWriter::ImageStackWriter(const std::filesystem::path& path, Index size,
                                   double pixel_size) {
  require(size > 0 && pixel_size > 0 && std::isfinite(pixel_size), "ImageStackWriter",
          "the images' size and pixel size must be positive");
  file_ = std::make_unique<File>(path, size, pixel_size);
  file_->append(std::array<std::byte, MrcHeader::bytes>{});
}
ImageStackWriter::~ImageStackWriter() = default;
ImageStackWriter::ImageStackWriter(ImageStackWriter&&) noexcept = default;

Index ImageStackWriter::count() const { return file_->count; }

void ImageStackWriter::append(View<const float, 3> images) {
  File& file = *file_;
  require_shape("ImageStackWriter::append", "images", images,
                {images.extent(0), file.size, file.size});
  double sum = 0, squares = 0;
  float minimum = file.minimum, maximum = file.maximum;
  const Index pixels = images.size();
#pragma omp simd reduction(+ : sum, squares) reduction(min : minimum) reduction(max : maximum)
  for (Index i = 0; i < pixels; ++i) {
    const float pixel = images.data[i];
    sum += pixel;
    squares += double(pixel) * pixel;
    minimum = pixel < minimum ? pixel : minimum;
    maximum = pixel > maximum ? pixel : maximum;
  }
  require(std::isfinite(squares), "ImageStackWriter::append", "pixels are NaN or infinite");
  file.append(std::as_bytes(std::span(images.data, static_cast<std::size_t>(pixels))));
  file.sum += sum;
  file.squares += squares;
  file.minimum = minimum;
  file.maximum = maximum;
  file.count += images.extent(0);
}

void ImageStackWriter::close() {
  File& file = *file_;
  require(file.count > 0, "ImageStackWriter::close", "a stack has at least one image");
  const double pixels = double(file.count) * double(file.size * file.size);
  auto& header = file.header;
  header.images = static_cast<std::int32_t>(file.count);
  header.minimum = file.minimum;
  header.maximum = file.maximum;
  header.mean = file.sum / pixels;
  header.rms = std::sqrt(std::max(0.0, file.squares / pixels - header.mean * header.mean));
  file.overwrite_front(encode_mrc_header(header));
  static_cast<GrowingFile&>(file).close();
}

}  // namespace orrery::io
