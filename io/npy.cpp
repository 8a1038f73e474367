#include "io/npy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <vector>

#include "io/files.hpp"
#include "io/npy_header.hpp"
#include "kernels/check.hpp"

namespace orrery::io {

namespace {

template <class T>
T swapped(T number) {
  std::array<unsigned char, sizeof(T)> bytes;
  std::memcpy(bytes.data(), &number, sizeof(T));
  std::reverse(bytes.begin(), bytes.end());
  std::memcpy(&number, bytes.data(), sizeof(T));
  return number;
}

class NpyReader : public ObservationReader {
 public:
  explicit NpyReader(const std::filesystem::path& path) : ObservationReader(path), file_(path) {
    const std::string name = path.string();
    const NpyHeader header = read_npy_header(file_);
    at_ = header.data_offset;
    if (header.type != "'<f4'" && header.type != "'<f8'" && header.type != "'>f4'" &&
        header.type != "'>f8'")
      throw InputError(
          fmt::format("{}: holds numbers of type {}, but should hold float32 or float64; convert "
                      "it with array.astype(numpy.float32)",
                      name, header.type));
    number_bytes_ = header.type[3] == '4' ? 4 : 8;
    swap_ = (header.type[1] == '<') != (std::endian::native == std::endian::little);
    if (header.fortran_order)
      throw InputError(name + ": is in Fortran order; save numpy.ascontiguousarray(array)");
    const auto& shape = header.shape;
    if (shape.size() != 2 && shape.size() != 3)
      throw InputError(
          fmt::format("{}: has {} dimensions, but should have 2 (observations, length) or 3 "
                      "(instances, observations, length); reshape it",
                      name, shape.size()));
    double count = 1;
    for (const auto extent : shape) count *= static_cast<double>(extent);
    if (count == 0) throw InputError(name + ": holds no numbers: an extent of its array is 0");
    const auto size = static_cast<double>(file_.size());
    const double wanted = static_cast<double>(header.data_offset) + count * number_bytes_;
    if (size != wanted)
      throw InputError(fmt::format(
          "{}: has {:.0f} bytes, but its header asks for {:.0f}: it is {}; copy the file again",
          name, size, wanted, size < wanted ? "truncated" : "too long"));
    length_ = static_cast<Index>(shape.back());
    observations_ = static_cast<Index>(shape[shape.size() - 2]);
    instances_ = shape.size() == 3 ? static_cast<Index>(shape[0]) : 1;
  }

 protected:
  Index read_rows(Index, View<double, 2> rows) override {
    const Index count = std::min(rows.extent(0), observations_ - read_);
    read_ = count == 0 ? 0 : read_ + count;
    if (number_bytes_ == 4)
      read_numbers<float>(rows.data, count * length_);
    else
      read_numbers<double>(rows.data, count * length_);
    return count;
  }

 private:
  template <class T>
  void read_numbers(double* to, Index count) {
    bytes_.resize(static_cast<std::size_t>(count) * sizeof(T));
    if (file_.read(at_, bytes_) < bytes_.size())
      throw InputError(path_.string() + ": could not be read to its end");
    at_ += bytes_.size();
    for (Index i = 0; i < count; ++i) {
      T number;
      std::memcpy(&number, bytes_.data() + i * sizeof(T), sizeof(T));
      to[i] = static_cast<double>(swap_ ? swapped(number) : number);
    }
  }

  RandomAccessFile file_;
  std::uint64_t at_ = 0;
  std::vector<std::byte> bytes_;
  Index observations_ = 0, read_ = 0;  // of an instance, and of the current one
  int number_bytes_ = 0;
  bool swap_ = false;
};

}  // namespace

std::unique_ptr<ObservationReader> open_npy(const std::filesystem::path& path) {
  return std::make_unique<NpyReader>(path);
}

}  // namespace orrery::io
