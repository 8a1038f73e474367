#include "io/npy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <fstream>
#include <span>
#include <vector>

#include "io/files.hpp"
#include "kernels/check.hpp"

namespace orrery::io {

namespace {

/// What the header says: a Python dictionary with three entries.
struct NpyHeader {
  std::string type;  // "<f4"
  bool fortran_order = false;
  std::vector<std::uint64_t> shape;
  std::uint64_t data_offset = 0;
};

/// The text after 'name': in the dictionary.
std::string_view entry(const std::string& path, std::string_view dictionary, const char* name) {
  const auto key = fmt::format("'{}':", name);
  const auto at = dictionary.find(key);
  if (at == std::string_view::npos)
    throw InputError(
        fmt::format("{}: the NPY header has no \"{}\"; save the array again with "
                    "numpy.save",
                    path, name));
  auto text = dictionary.substr(at + key.size());
  text.remove_prefix(std::min(text.size(), text.find_first_not_of(' ')));
  return text;
}

std::vector<std::uint64_t> shape_of(const std::string& path, std::string_view text) {
  std::vector<std::uint64_t> shape;
  const auto end = text.find(')');
  if (!text.starts_with('(') || end == std::string_view::npos)
    throw InputError(path +
                     ": the NPY header's shape cannot be read; save the array again with "
                     "numpy.save");
  std::uint64_t number = 0;
  bool digits = false;
  for (const char c : text.substr(1, end)) {
    if (c >= '0' && c <= '9') {
      number = 10 * number + static_cast<std::uint64_t>(c - '0');
      digits = true;
    } else if (digits) {
      shape.push_back(number);
      number = 0;
      digits = false;
    }
  }
  return shape;
}

NpyHeader read_header(const std::string& path, std::ifstream& file) {
  const auto truncated = [&] {
    return InputError(path + ": ends inside the NPY header; copy the file again");
  };
  std::array<unsigned char, 8> magic{};
  if (!file.read(reinterpret_cast<char*>(magic.data()), magic.size())) throw truncated();
  const int version = magic[6];
  if (version < 1 || version > 3)
    throw InputError(
        fmt::format("{}: is of NPY version {}, but 1 to 3 are read; save the array "
                    "again with numpy.save",
                    path, version));
  std::array<unsigned char, 4> bytes{};
  const int length_bytes = version == 1 ? 2 : 4;
  if (!file.read(reinterpret_cast<char*>(bytes.data()), length_bytes)) throw truncated();
  std::uint64_t length = 0;
  for (int i = 0; i < length_bytes; ++i) length |= std::uint64_t{bytes[i]} << (8 * i);
  if (length > 1 << 20) throw truncated();
  std::string dictionary(length, '\0');
  if (!file.read(dictionary.data(), static_cast<std::streamsize>(length))) throw truncated();

  NpyHeader header;
  header.type = entry(path, dictionary, "descr").substr(0, 5);
  header.fortran_order = entry(path, dictionary, "fortran_order").starts_with("True");
  header.shape = shape_of(path, entry(path, dictionary, "shape"));
  header.data_offset = 8 + length_bytes + length;
  return header;
}

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
  explicit NpyReader(const std::filesystem::path& path)
      : ObservationReader(path), file_(path, std::ios::binary) {
    const std::string name = path.string();
    const NpyHeader header = read_header(name, file_);
    if (header.type != "'<f4'" && header.type != "'<f8'" && header.type != "'>f4'" &&
        header.type != "'>f8'")
      throw InputError(
          fmt::format("{}: holds numbers of type {}, but should hold float32 or "
                      "float64; convert it with array.astype(numpy.float32)",
                      name, header.type));
    number_bytes_ = header.type[3] == '4' ? 4 : 8;
    swap_ = (header.type[1] == '<') != (std::endian::native == std::endian::little);
    if (header.fortran_order)
      throw InputError(name + ": is in Fortran order; save numpy.ascontiguousarray(array)");
    const auto& shape = header.shape;
    if (shape.size() != 2 && shape.size() != 3)
      throw InputError(
          fmt::format("{}: has {} dimensions, but should have 2 (observations, "
                      "length) or 3 (instances, observations, length); reshape it",
                      name, shape.size()));
    double count = 1;
    for (const auto extent : shape) count *= static_cast<double>(extent);
    if (count == 0) throw InputError(name + ": holds no numbers: an extent of its array is 0");
    const auto size = static_cast<double>(require_regular_file(path));
    const double wanted = static_cast<double>(header.data_offset) + count * number_bytes_;
    if (size != wanted)
      throw InputError(
          fmt::format("{}: has {:.0f} bytes, but its header asks for {:.0f}: it is "
                      "{}; copy the file again",
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
    if (!file_.read(bytes_.data(), static_cast<std::streamsize>(bytes_.size())))
      throw InputError(path_.string() + ": could not be read to its end");
    for (Index i = 0; i < count; ++i) {
      T number;
      std::memcpy(&number, bytes_.data() + i * sizeof(T), sizeof(T));
      to[i] = static_cast<double>(swap_ ? swapped(number) : number);
    }
  }

  std::ifstream file_;
  std::vector<char> bytes_;
  Index observations_ = 0, read_ = 0;  // of an instance, and of the current one
  int number_bytes_ = 0;
  bool swap_ = false;
};

}  // namespace

std::unique_ptr<ObservationReader> open_npy(const std::filesystem::path& path) {
  return std::make_unique<NpyReader>(path);
}

}  // namespace orrery::io
