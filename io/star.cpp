// Gemmi reads STAR too, but by a grammar library that its packages do not bring along, strictly as
// CIF where RELION is not, and without the line of a bad field.
#include "io/star.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "io/files.hpp"
#include "io/numbers.hpp"
#include "kernels/check.hpp"

namespace orrery::io {

namespace {

[[noreturn]] void fail_at(const std::filesystem::path& path, int line, const std::string& what) {
  throw InputError(fmt::format("{}: line {}: {}", path.string(), line, what));
}

struct Word {
  std::string_view text;
  int line = 0;
  std::size_t start = 0;
  bool is_quoted = false;  // then it is a value, whatever it looks like

  bool starts_with(std::string_view prefix) const {
    return !is_quoted && text.substr(0, prefix.size()) == prefix;
  }
  bool is_tag() const { return starts_with("_"); }
  bool is_loop() const { return !is_quoted && text == "loop_"; }
  /// A name with a slash is a path in a folder that happens to be called data_something.
  bool is_block() const { return starts_with("data_") && text.find('/') == text.npos; }
  bool is_value() const { return is_quoted || !(is_tag() || is_loop() || is_block()); }
};

/// The words of a STAR file one by one: blanks separate them, # starts a comment, quotes and lines
/// that start with a semicolon hold values with blanks in them.
class Words {
 public:
  Words(const std::filesystem::path& path, std::string_view text, std::size_t at, int line)
      : path_(path), text_(text), at_(at), line_(line) {
    advance();
  }
  bool at_end() const { return is_end_; }
  const Word& operator*() const { return word_; }
  const Word* operator->() const { return &word_; }
  Words& operator++() {
    advance();
    return *this;
  }

 private:
  static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

  void advance() {
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '#')
        at_ = std::min(text_.find('\n', at_), text_.size() - 1);
      else if (!is_blank(c))
        break;
      if (text_[at_] == '\n') ++line_;
    }
    is_end_ = at_ >= text_.size();
    if (is_end_) return;
    const char c = text_[at_];
    if (c == ';' && (at_ == 0 || text_[at_ - 1] == '\n'))
      take_text();
    else if (c == '"' || c == '\'')
      take_quoted(c);
    else
      take_plain();
  }

  void take_plain() {
    auto end = at_;
    while (end < text_.size() && !is_blank(text_[end])) ++end;
    take(at_, end, end, false);
  }
  /// A quote ends a value only where a blank follows it.
  void take_quoted(char quote) {
    const auto line_end = std::min(text_.find('\n', at_), text_.size());
    auto end = text_.find(quote, at_ + 1);
    while (end < line_end && end + 1 < text_.size() && !is_blank(text_[end + 1]))
      end = text_.find(quote, end + 1);
    if (end >= line_end) fail_at(path_, line_, "a quote is opened and not closed");
    take(at_ + 1, end, end + 1, true);
  }
  void take_text() {
    const auto end = text_.find("\n;", at_);
    if (end == text_.npos) fail_at(path_, line_, "the text that starts here never ends");
    take(at_ + 1, end + 1, end + 2, true);
  }
  void take(std::size_t first, std::size_t end, std::size_t next, bool is_quoted) {
    word_ = {text_.substr(first, end - first), line_, at_, is_quoted};
    if (is_quoted)
      line_ += static_cast<int>(std::count(text_.begin() + first, text_.begin() + end, '\n'));
    at_ = next;
  }

  const std::filesystem::path& path_;
  std::string_view text_;
  std::size_t at_;
  int line_;
  bool is_end_ = false;
  Word word_;
};

/// A loop, from its first word behind loop_ on.
StarTable take_loop(const std::filesystem::path& path, Words& words, int line) {
  StarTable table;
  if (!words.at_end()) {
    table.first_word = words->start;
    table.first_line = words->line;
  }
  for (; !words.at_end() && words->is_tag(); ++words)
    table.columns.emplace_back(words->text.substr(1));
  if (table.columns.empty()) fail_at(path, line, "the loop has no columns; correct it");
  Index values = 0;
  for (; !words.at_end() && words->is_value(); ++words) ++values;
  const auto columns = static_cast<Index>(table.columns.size());
  if (values % columns != 0)
    fail_at(path, line,
            fmt::format("the loop of {} columns has {} values, which is no whole number of rows; "
                        "the file is damaged or truncated",
                        columns, values));
  table.rows = values / columns;
  return table;
}

/// Items with a value each, from the first of them on.
StarTable take_items(const std::filesystem::path& path, Words& words) {
  StarTable table{.block = {}, .columns = {}, .rows = 1, .is_loop = false};
  table.first_word = words->start;
  table.first_line = words->line;
  while (!words.at_end() && words->is_tag()) {
    const auto tag = *words;
    if ((++words).at_end() || !words->is_value())
      fail_at(path, tag.line, fmt::format("{} has no value; correct it", tag.text));
    table.columns.emplace_back(tag.text.substr(1));
    ++words;
  }
  return table;
}

}  // namespace

std::optional<std::size_t> StarTable::find(std::string_view column) const {
  const auto found = std::find(columns.begin(), columns.end(), column);
  if (found == columns.end()) return std::nullopt;
  return static_cast<std::size_t>(found - columns.begin());
}

StarFile::StarFile(const std::filesystem::path& path) : path_(path), text_(read_text(path)) {
  if (text_.find('\0') != text_.npos)
    fail(1, "is not text, so this is no STAR file; check the path");
  Words words(path_, text_, 0, 1);
  if (!words.at_end() && !words->is_block())
    fail(words->line, "a STAR file starts with data_; check the path");
  std::string block;
  while (!words.at_end()) {
    if (words->is_loop()) {
      const int line = words->line;
      tables_.push_back(take_loop(path_, ++words, line));
      tables_.back().block = block;
    } else if (words->is_tag()) {
      tables_.push_back(take_items(path_, words));
      tables_.back().block = block;
    } else {
      if (words->is_block()) block = words->text.substr(5);
      ++words;
    }
  }
}

void StarFile::for_each_row(const StarTable& table,
                            const std::function<void(std::span<const StarField>)>& visit) const {
  Words words(path_, text_, table.first_word, table.first_line);
  if (table.is_loop)
    for (std::size_t column = 0; column < table.columns.size(); ++column) ++words;
  std::vector<StarField> row(table.columns.size());
  for (Index i = 0; i < table.rows; ++i) {
    for (auto& field : row) {
      if (!table.is_loop) ++words;  // its tag
      field = {words->text, words->line};
      ++words;
    }
    visit(row);
  }
}

double StarFile::number(const StarTable& table, std::span<const StarField> row,
                        std::size_t column) const {
  const auto& field = row[column];
  const auto number = parse_number(field.text);
  if (!number)
    fail(field.line, fmt::format("column _{}: \"{}\" is not a number; correct it",
                                 table.columns[column], field.text));
  return *number;
}

void StarFile::fail(int line, const std::string& what) const { fail_at(path_, line, what); }

}  // namespace orrery::io
