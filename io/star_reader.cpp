// The STAR half of tables.hpp. Gemmi reads STAR too, but by a grammar library that its packages do
// not bring along, strictly as CIF where RELION is not, and without the line of a bad field.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

#include "io/files.hpp"
#include "io/numbers.hpp"
#include "io/tables.hpp"
#include "kernels/check.hpp"

namespace orrery::io {

namespace {

struct Word {
  std::string_view text;
  int line = 0;
  bool is_quoted = false;  // then it is a value, whatever it looks like

  bool starts_with(std::string_view prefix) const {
    return !is_quoted && text.substr(0, prefix.size()) == prefix;
  }
  bool is_tag() const { return starts_with("_"); }
  bool is_loop() const { return !is_quoted && text == "loop_"; }
  bool is_value() const { return is_quoted || !(is_tag() || is_loop() || starts_with("data_")); }
};

[[noreturn]] void fail(const std::filesystem::path& path, int line, const std::string& what) {
  throw InputError(fmt::format("{}: line {}: {}", path.string(), line, what));
}

/// Splits a STAR file into words: blanks separate them, # starts a comment, quotes and lines that
/// start with a semicolon hold values with blanks in them.
std::vector<Word> words_of(const std::filesystem::path& path, std::string_view text) {
  constexpr std::string_view blanks = " \t\r\n";
  if (const auto zero = text.find('\0'); zero != std::string_view::npos)
    fail(path, 1, "is not text, so this is no STAR file; check the path");
  std::vector<Word> words;
  int line = 1;
  std::size_t at = 0;
  const auto take = [&](std::size_t first, std::size_t end, std::size_t next, bool is_quoted) {
    words.push_back({text.substr(first, end - first), line, is_quoted});
    line += static_cast<int>(std::count(text.begin() + first, text.begin() + end, '\n'));
    at = next;
  };
  while (at < text.size()) {
    const char c = text[at];
    if (c == '\n') ++line;
    if (blanks.find(c) != std::string_view::npos) {
      ++at;
    } else if (c == '#') {
      at = std::min(text.find('\n', at), text.size());
    } else if (c == ';' && (at == 0 || text[at - 1] == '\n')) {
      const auto end = text.find("\n;", at);
      if (end == std::string_view::npos) fail(path, line, "the text that starts here never ends");
      take(at + 1, end + 1, end + 2, true);
    } else if (c == '"' || c == '\'') {
      // A quote ends a value only where a blank follows it.
      auto end = text.find(c, at + 1);
      while (end < text.size() - 1 && blanks.find(text[end + 1]) == std::string_view::npos)
        end = text.find(c, end + 1);
      if (end >= std::min(text.find('\n', at), text.size()))
        fail(path, line, "a quote is opened and not closed");
      take(at + 1, end, end + 1, true);
    } else {
      const auto end = std::min(text.find_first_of(blanks, at), text.size());
      take(at, end, end, false);
    }
  }
  return words;
}

struct Loop {
  std::vector<std::string_view> tags;  // with the underscore
  std::vector<Word> values;            // row by row
};

std::vector<Loop> loops_of(const std::filesystem::path& path, const std::vector<Word>& words) {
  std::vector<Loop> loops;
  const auto end = words.end();
  auto word = words.begin();
  const auto first_data =
      std::find_if(word, end, [](const Word& candidate) { return candidate.starts_with("data_"); });
  if (first_data != word)
    fail(path, words.empty() ? 1 : word->line, "a STAR file starts with data_; check the path");
  while (word != end) {
    if (!word->is_loop()) {
      ++word;
      continue;
    }
    Loop loop;
    const int line = word->line;
    for (++word; word != end && word->is_tag(); ++word) loop.tags.push_back(word->text);
    for (; word != end && word->is_value(); ++word) loop.values.push_back(*word);
    if (loop.tags.empty()) fail(path, line, "the loop has no columns; correct it");
    if (loop.values.size() % loop.tags.size() != 0)
      fail(
          path, line,
          fmt::format("the loop of {} columns has {} values, which is no whole number of rows; the "
                      "file is damaged or truncated",
                      loop.tags.size(), loop.values.size()));
    loops.push_back(std::move(loop));
  }
  return loops;
}

/// Where the loop has the needed columns; names of those it lacks go to `missing`.
std::vector<std::size_t> find_columns(const Loop& loop, const std::vector<std::string>& needed,
                                      std::vector<std::string>& missing) {
  std::vector<std::size_t> columns;
  for (const auto& name : needed) {
    const auto found = std::find(loop.tags.begin(), loop.tags.end(), "_" + name);
    if (found == loop.tags.end())
      missing.push_back(name);
    else
      columns.push_back(static_cast<std::size_t>(found - loop.tags.begin()));
  }
  return columns;
}

Table take_columns(const std::filesystem::path& path, const Loop& loop,
                   const std::vector<std::size_t>& columns,
                   const std::vector<std::string>& needed) {
  Table table{.columns = needed, .rows = {}, .source = path.string()};
  for (std::size_t row = 0; row < loop.values.size(); row += loop.tags.size()) {
    auto& numbers = table.rows.emplace_back();
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const auto& field = loop.values[row + columns[i]];
      const auto number = parse_number(field.text);
      if (!number)
        fail(path, field.line,
             fmt::format("column _{}: \"{}\" is not a number; correct it", needed[i], field.text));
      numbers.push_back(*number);
    }
  }
  return table;
}

}  // namespace

Table read_star(const std::filesystem::path& path, const std::vector<std::string>& needed) {
  const auto text = read_text(path);
  auto missing = needed;  // in the loop that comes closest
  for (const auto& loop : loops_of(path, words_of(path, text))) {
    std::vector<std::string> lacking;
    const auto columns = find_columns(loop, needed, lacking);
    if (lacking.empty()) return take_columns(path, loop, columns, needed);
    if (lacking.size() < missing.size()) missing = lacking;
  }
  const bool several = missing.size() > 1;
  throw InputError(fmt::format(
      "{}: no loop has the column{} _{}; add {} or check that it is the "
      "right file",
      path.string(), several ? "s" : "", fmt::join(missing, ", _"), several ? "them" : "it"));
}

}  // namespace orrery::io
