#include "io/npy_header.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

#include "kernels/check.hpp"

namespace orrery::io {

namespace {

constexpr std::string_view magic = "\x93NUMPY";

/// The text after 'name': in the dictionary.
std::string_view entry(const std::string& path, std::string_view dictionary, const char* name) {
  const auto key = fmt::format("'{}':", name);
  const auto at = dictionary.find(key);
  if (at == std::string_view::npos)
    throw InputError(fmt::format(
        "{}: the NPY header has no \"{}\"; save the array again with numpy.save", path, name));
  auto text = dictionary.substr(at + key.size());
  text.remove_prefix(std::min(text.size(), text.find_first_not_of(' ')));
  return text;
}

/// A quoted word, or a list to the bracket that closes it.
std::string type_of(const std::string& path, std::string_view text) {
  if (text.starts_with('\'')) {
    if (const auto end = text.find('\'', 1); end != text.npos)
      return std::string(text.substr(0, end + 1));
  } else if (text.starts_with('[')) {
    int depth = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '[') ++depth;
      if (text[i] == ']' && --depth == 0) return std::string(text.substr(0, i + 1));
    }
  }
  throw InputError(path +
                   ": the NPY header's type cannot be read; save the array again with numpy.save");
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

}  // namespace

bool is_npy(const RandomAccessFile& file) {
  std::array<char, magic.size()> start{};
  file.read(0, std::as_writable_bytes(std::span(start)));
  return std::string_view(start.data(), start.size()) == magic;
}

NpyHeader read_npy_header(const RandomAccessFile& file) {
  const std::string path = file.path().string();
  std::array<unsigned char, 12> start{};
  const auto got = file.read(0, std::as_writable_bytes(std::span(start)));
  const int version = start[6];
  if (got >= 8 && (version < 1 || version > 3))
    throw InputError(fmt::format(
        "{}: is of NPY version {}, but 1 to 3 are read; save the array again with numpy.save", path,
        version));
  const int length_bytes = version == 1 ? 2 : 4;
  std::uint64_t length = 0;
  for (int i = 0; i < length_bytes; ++i) length |= std::uint64_t{start[8 + i]} << (8 * i);
  NpyHeader header;
  header.data_offset = 8 + static_cast<std::uint64_t>(length_bytes) + length;
  if (got < start.size() || length > 1 << 20 || header.data_offset > file.size())
    throw InputError(path + ": ends inside the NPY header; copy the file again");
  std::string dictionary(length, '\0');
  file.read(header.data_offset - length, std::as_writable_bytes(std::span(dictionary)));
  header.type = type_of(path, entry(path, dictionary, "descr"));
  header.fortran_order = entry(path, dictionary, "fortran_order").starts_with("True");
  header.shape = shape_of(path, entry(path, dictionary, "shape"));
  return header;
}

}  // namespace orrery::io
