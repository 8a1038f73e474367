#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace orrery::io {

/// A table of numbers with named columns.
struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<double>> rows;

  /// Index of the column; throws InputError naming file and column when it is missing.
  int column(const std::string& name) const;
  std::string source;  // file name, for messages
};

/// Comma-separated values: one header line, numbers printed so that they read back exactly. Atomic.
void write_csv(const std::filesystem::path& path, const Table& table);
/// Throws InputError for a missing file, ragged rows, or fields that are no numbers (line named).
Table read_csv(const std::filesystem::path& path);

/// One STAR data block with one loop; columns are written as _name #i. Atomic.
void write_star(const std::filesystem::path& path, const std::string& block, const Table& table);
/// First loop of a STAR file that has all of `needed` columns (names without the underscore); only
/// those columns are returned, in that order. Throws InputError naming what is missing.
Table read_star(const std::filesystem::path& path, const std::vector<std::string>& needed);

}  // namespace orrery::io
