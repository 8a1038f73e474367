#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/view.hpp"

namespace orrery::io {

/// A NumPy structured array: rows of named fields, as in cryoSPARC's .cs files. Kept in memory.
class StructuredArray {
 public:
  /// A field of `count` equal entries.
  struct Field {
    std::string name;
    char kind = 'f';  // NumPy's: f, i, u, b numbers; S, U text
    bool swap = false;
    std::size_t bytes = 0, offset = 0, count = 1;  // of an entry; in the row

    bool is_number() const { return kind == 'f' || kind == 'i' || kind == 'u' || kind == 'b'; }
  };

  /// Throws InputError naming the file: what is no structured array, types that are no numbers or
  /// text, a file of another length than its header says.
  explicit StructuredArray(const std::filesystem::path& path);

  Index rows() const { return rows_; }
  /// Null where there is none.
  const Field* find(std::string_view name) const;

  /// An entry of a field that is_number.
  double number(Index row, const Field& field, std::size_t entry = 0) const;
  /// The text in a field that is none, without the zeros behind it.
  std::string text(Index row, const Field& field) const;

 private:
  std::vector<Field> fields_;
  Index rows_ = 0;
  std::size_t row_bytes_ = 0;
  std::vector<std::byte> bytes_;
};

}  // namespace orrery::io
