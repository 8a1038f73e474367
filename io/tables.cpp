#include "io/tables.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "io/files.hpp"
#include "io/numbers.hpp"
#include "io/star.hpp"
#include "kernels/check.hpp"

namespace orrery::io {

namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\r";
  const auto first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t at = 0;;) {
    const auto end = text.find(separator, at);
    parts.push_back(trimmed(text.substr(at, end - at)));
    if (end == std::string_view::npos) return parts;
    at = end + 1;
  }
}

void require_table(const char* operation, const Table& table) {
  for (const auto& name : table.columns)
    require(!name.empty() && name.find_first_of(", \t\r\n#\"") == std::string::npos, operation,
            "a column's name is empty or not a plain word");
  for (const auto& row : table.rows)
    require(row.size() == table.columns.size(), operation, "a row is not as long as the header");
}

void append_row(std::string& text, const std::vector<double>& row, char separator) {
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (i > 0) text += separator;
    text += shortest(row[i]);
  }
  text += '\n';
}

std::vector<std::string> column_names(const std::filesystem::path& path,
                                      const std::vector<std::string_view>& fields) {
  std::vector<std::string> names;
  for (const auto field : fields) {
    if (parse_number(field))
      throw InputError(fmt::format(
          "{}: the first line has the number {}, but must name the columns", path.string(), field));
    if (std::find(names.begin(), names.end(), field) != names.end())
      throw InputError(
          fmt::format("{}: the column \"{}\" is there twice; rename one", path.string(), field));
    names.emplace_back(field);
  }
  return names;
}

}  // namespace

int Table::column(const std::string& name) const {
  const auto found = std::find(columns.begin(), columns.end(), name);
  if (found == columns.end())
    throw InputError(fmt::format(
        "{}: has no column \"{}\" (it has {}); add it or check that it is the right file", source,
        name, fmt::join(columns, ", ")));
  return static_cast<int>(found - columns.begin());
}

void write_csv(const std::filesystem::path& path, const Table& table) {
  require_table("write_csv", table);
  std::string text = fmt::format("{}\n", fmt::join(table.columns, ","));
  for (const auto& row : table.rows) append_row(text, row, ',');
  write_text(path, text);
}

Table read_csv(const std::filesystem::path& path) {
  const auto text = read_text(path);
  std::string_view rest = text;
  constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";  // spreadsheets write it
  if (rest.starts_with(byte_order_mark)) rest.remove_prefix(byte_order_mark.size());

  Table table{.columns = {}, .rows = {}, .source = path.string()};
  const auto lines = split(rest, '\n');
  for (std::size_t number = 1; number <= lines.size(); ++number) {
    const auto line = lines[number - 1];
    if (line.empty()) continue;
    const auto fields = split(line, ',');
    if (table.columns.empty()) {
      table.columns = column_names(path, fields);
      continue;
    }
    if (fields.size() != table.columns.size())
      throw InputError(fmt::format("{}: line {} has {} fields, but the header has {}; correct it",
                                   path.string(), number, fields.size(), table.columns.size()));
    std::vector<double> row;
    for (std::size_t i = 0; i < fields.size(); ++i) {
      const auto value = parse_number(fields[i]);
      if (!value)
        throw InputError(
            fmt::format("{}: line {}, column \"{}\": \"{}\" is not a number; correct it",
                        path.string(), number, table.columns[i], fields[i]));
      row.push_back(*value);
    }
    table.rows.push_back(std::move(row));
  }
  if (table.columns.empty())
    throw InputError(path.string() + ": is empty, but must start with a line of column names");
  return table;
}

void write_star(const std::filesystem::path& path, const std::string& block, const Table& table) {
  require_table("write_star", table);
  std::string text = fmt::format("\ndata_{}\n\nloop_\n", block);
  for (std::size_t i = 0; i < table.columns.size(); ++i)
    text += fmt::format("_{} #{}\n", table.columns[i], i + 1);
  for (const auto& row : table.rows) append_row(text, row, ' ');
  write_text(path, text + '\n');
}

Table read_star(const std::filesystem::path& path, const std::vector<std::string>& needed) {
  const StarFile file(path);
  auto missing = needed;  // in the loop that comes closest
  for (const auto& loop : file.tables()) {
    std::vector<std::string> lacking;
    std::vector<std::size_t> columns;
    for (const auto& name : needed) {
      const auto column = loop.find(name);
      if (column)
        columns.push_back(*column);
      else
        lacking.push_back(name);
    }
    if (lacking.empty()) {
      Table table{.columns = needed, .rows = {}, .source = path.string()};
      file.for_each_row(loop, [&](std::span<const StarField> fields) {
        auto& row = table.rows.emplace_back();
        for (const auto column : columns) row.push_back(file.number(loop, fields, column));
      });
      return table;
    }
    if (lacking.size() < missing.size()) missing = lacking;
  }
  const bool several = missing.size() > 1;
  throw InputError(fmt::format(
      "{}: no loop has the column{} _{}; add {} or check that it is the right file", path.string(),
      several ? "s" : "", fmt::join(missing, ", _"), several ? "them" : "it"));
}

}  // namespace orrery::io
