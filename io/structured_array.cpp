#include "io/structured_array.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "io/files.hpp"
#include "io/npy_header.hpp"
#include "kernels/check.hpp"

namespace orrery::io {

namespace {

using Field = StructuredArray::Field;

/// Reads NumPy's list of fields: [('blob/path', '|S63'), ('blob/shape', '<u4', (2,)), ...].
class FieldList {
 public:
  FieldList(std::string path, std::string_view text) : path_(std::move(path)), text_(text) {}

  std::vector<Field> read() {
    std::vector<Field> fields;
    std::size_t offset = 0;
    expect('[');
    while (!skip(']')) {
      auto field = read_field();
      field.offset = offset;
      offset += field.bytes * field.count;
      fields.push_back(std::move(field));
      skip(',');
    }
    return fields;
  }

 private:
  Field read_field() {
    Field field;
    expect('(');
    field.name = read_quoted();
    expect(',');
    read_type(field);
    skip(',');
    if (skip('(')) {
      while (!skip(')')) {
        field.count *= read_count();
        if (field.count > 1 << 20) fail();
        skip(',');
      }
      skip(',');
    }
    expect(')');
    return field;
  }

  void read_type(Field& field) {
    const auto type = read_quoted();
    if (type.size() < 3) fail();
    field.swap = type[0] == '>';
    field.kind = type[1];
    const auto [end, error] =
        std::from_chars(type.data() + 2, type.data() + type.size(), field.bytes);
    if (error != std::errc() || end != type.data() + type.size() || field.bytes > 1 << 20) fail();
    if (field.kind == 'U') field.bytes *= 4;
    const auto b = field.bytes;
    const bool is_known =
        field.kind == 'S' || field.kind == 'U' || (field.kind == 'f' && (b == 4 || b == 8)) ||
        (field.is_number() && field.kind != 'f' && (b == 1 || b == 2 || b == 4 || b == 8));
    if (!is_known)
      throw InputError(fmt::format(
          "{}: field {} is of NumPy type \"{}\", which is no number and no text; leave it out",
          path_, field.name, type));
  }

  std::size_t read_count() {
    skip_blanks();
    std::size_t count = 0;
    const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), count);
    if (error != std::errc() || count > 1 << 20) fail();
    text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
    return count;
  }
  std::string read_quoted() {
    expect('\'');
    const auto end = text_.find('\'');
    if (end == text_.npos) fail();
    std::string quoted(text_.substr(0, end));
    text_.remove_prefix(end + 1);
    return quoted;
  }
  void skip_blanks() { text_.remove_prefix(std::min(text_.size(), text_.find_first_not_of(' '))); }
  bool skip(char c) {
    skip_blanks();
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!skip(c)) fail();
  }
  [[noreturn]] void fail() const {
    throw InputError(path_ +
                     ": the list of fields in the NumPy header cannot be read; save the array "
                     "again with numpy.save");
  }

  std::string path_;
  std::string_view text_;
};

template <class T>
double converted(const std::byte* at, bool swap) {
  std::array<std::byte, sizeof(T)> raw;
  std::memcpy(raw.data(), at, sizeof(T));
  if (swap) std::reverse(raw.begin(), raw.end());
  T number;
  std::memcpy(&number, raw.data(), sizeof(T));
  return static_cast<double>(number);
}

}  // namespace

StructuredArray::StructuredArray(const std::filesystem::path& path) {
  const RandomAccessFile file(path);
  const auto name = path.string();
  if (!is_npy(file))
    throw InputError(name +
                     ": is no NumPy array, as .cs files are; save the dataset in NumPy's format");
  const auto header = read_npy_header(file);
  if (!header.type.starts_with('['))
    throw InputError(
        fmt::format("{}: holds plain numbers of type {}, but a .cs file holds rows of named "
                    "fields; check the path",
                    name, header.type));
  fields_ = FieldList(name, header.type).read();
  for (const auto& field : fields_) row_bytes_ += field.bytes * field.count;
  if (header.shape.size() != 1)
    throw InputError(fmt::format(
        "{}: has {} dimensions, but a table of particles has 1; save one row a particle", name,
        header.shape.size()));
  const double wanted = static_cast<double>(header.data_offset) +
                        static_cast<double>(header.shape[0]) * static_cast<double>(row_bytes_);
  if (static_cast<double>(file.size()) != wanted)
    throw InputError(fmt::format(
        "{}: has {} bytes, but its header asks for {:.0f}: it is {}; copy the file again", name,
        file.size(), wanted, static_cast<double>(file.size()) < wanted ? "truncated" : "too long"));
  rows_ = static_cast<Index>(header.shape[0]);
  bytes_.resize(file.size() - header.data_offset);
  file.read(header.data_offset, bytes_);
}

const Field* StructuredArray::find(std::string_view name) const {
  const auto found = std::find_if(fields_.begin(), fields_.end(),
                                  [&](const Field& field) { return field.name == name; });
  return found == fields_.end() ? nullptr : &*found;
}

double StructuredArray::number(Index row, const Field& field, std::size_t entry) const {
  require(field.is_number() && entry < field.count, "StructuredArray::number",
          "the field has no such number");
  const auto* at =
      &bytes_[static_cast<std::size_t>(row) * row_bytes_ + field.offset + entry * field.bytes];
  const bool is_signed = field.kind == 'i';
  if (field.kind == 'f')
    return field.bytes == 4 ? converted<float>(at, field.swap) : converted<double>(at, field.swap);
  switch (field.bytes) {
    case 1:
      return is_signed ? converted<std::int8_t>(at, false) : converted<std::uint8_t>(at, false);
    case 2:
      return is_signed ? converted<std::int16_t>(at, field.swap)
                       : converted<std::uint16_t>(at, field.swap);
    case 4:
      return is_signed ? converted<std::int32_t>(at, field.swap)
                       : converted<std::uint32_t>(at, field.swap);
    default:
      return is_signed ? converted<std::int64_t>(at, field.swap)
                       : converted<std::uint64_t>(at, field.swap);
  }
}

std::string StructuredArray::text(Index row, const Field& field) const {
  require(!field.is_number(), "StructuredArray::text", "the field holds numbers");
  const auto* at =
      reinterpret_cast<const char*>(&bytes_[static_cast<std::size_t>(row) * row_bytes_]) +
      field.offset;
  // Unicode is stored four bytes a character; paths are taken as far as they are ASCII.
  const std::size_t step = field.kind == 'U' ? 4 : 1;
  std::string text;
  for (std::size_t i = 0; i < field.bytes; i += step) {
    const char c = field.kind == 'U' && field.swap ? at[i + 3] : at[i];
    if (c == '\0') break;
    text += c;
  }
  return text;
}

}  // namespace orrery::io
