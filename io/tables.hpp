#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace orrery::io {

/// A table of numbers with named columns.
struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<double>> rows;
  std::string source = {};  // path, for messages

  /// Index of the column; throws InputError naming file and column when it is missing.
  int column(const std::string& name) const;
};

/// Comma-separated values: one header line, numbers printed in as few digits as read back exactly.
/// Atomic. Throws InputError naming the file where it can't be written, std::invalid_argument for
/// rows of another length than the header.
void write_csv(const std::filesystem::path& path, const Table& table);
/// Throws InputError for a missing or empty file, a first line of numbers, columns named twice,
/// ragged rows, or fields that are no numbers (line named). Blank lines, blanks around fields and
/// DOS line ends are passed over.
Table read_csv(const std::filesystem::path& path);

/// One STAR data block with one loop; columns are written as _name #i. Atomic. Errors as write_csv.
void write_star(const std::filesystem::path& path, const std::string& block, const Table& table);
/// First loop of a STAR file that has all of `needed` columns (names without the underscore); only
/// those columns are returned, in that order. Throws InputError naming what is missing, the row and
/// column of a field that is no number, or the line of a mistake in the file.
Table read_star(const std::filesystem::path& path, const std::vector<std::string>& needed);

}  // namespace orrery::io
