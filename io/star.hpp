#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/view.hpp"

namespace orrery::io {

/// A field of a STAR file as it stands there, without its quotes.
struct StarField {
  std::string_view text;
  int line = 0;
};

/// A loop of a STAR file, or the single items of one of its blocks as a table of one row.
struct StarTable {
  std::string block;                 // what follows data_
  std::vector<std::string> columns;  // without the underscore
  Index rows = 0;
  bool is_loop = true;
  std::size_t first_word = 0;  // where its columns start in the text
  int first_line = 0;

  std::optional<std::size_t> find(std::string_view column) const;
};

/// A STAR file, read into memory; its fields are only looked up, not kept, so that a table of
/// millions of rows costs no more than its text.
class StarFile {
 public:
  /// Throws InputError naming the line of a mistake: what is no text, quotes that never end, loops
  /// without columns or with a broken row.
  explicit StarFile(const std::filesystem::path& path);
  StarFile(const StarFile&) = delete;  // fields point into the text
  StarFile& operator=(const StarFile&) = delete;

  const std::vector<StarTable>& tables() const { return tables_; }
  void for_each_row(const StarTable& table,
                    const std::function<void(std::span<const StarField>)>& visit) const;

  /// The number in a row's column; InputError naming line and column where there is none.
  double number(const StarTable& table, std::span<const StarField> row, std::size_t column) const;

  /// Throws InputError "file: line: what".
  [[noreturn]] void fail(int line, const std::string& what) const;

 private:
  std::filesystem::path path_;
  std::string text_;
  std::vector<StarTable> tables_;
};

}  // namespace orrery::io
