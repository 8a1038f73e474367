#include "io/observations.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <optional>
#include <string_view>
#include <vector>

#include "io/files.hpp"
#include "io/hdf5_blocks.hpp"
#include "io/npy.hpp"
#include "io/numbers.hpp"
#include "kernels/check.hpp"

namespace orrery::io {

namespace {

/// A field as it can be shown in a message: not a whole binary file that is no CSV.
std::string shown(std::string_view field) {
  std::string text;
  for (const char c : field.substr(0, 20)) text += c >= ' ' && c <= '~' ? c : '?';
  return field.size() > 20 ? text + "..." : text;
}

class CsvReader : public ObservationReader {
 public:
  explicit CsvReader(const std::filesystem::path& path) : ObservationReader(path) {
    buffer_.resize(1 << 20);
    file_.rdbuf()->pubsetbuf(buffer_.data(), static_cast<std::streamsize>(buffer_.size()));
    file_.open(path, std::ios::binary);
    if (!file_) throw InputError(path.string() + ": could not be opened; check its permissions");
    if (!next_line()) throw InputError(path.string() + ": has no observations; give one a line");
    // A line of column names is told by its first field.
    if (!parse_number(next_field(line_)) && !next_line())
      throw InputError(path.string() + ": has no observations after the line of column names");
    length_ = count_fields();
    pending_ = true;
  }

 protected:
  Index read_rows(Index, View<double, 2> rows) override {
    Index count = 0;
    for (; count < rows.extent(0) && (pending_ || next_line()); ++count) {
      pending_ = false;
      parse(rows[count]);
    }
    return count;
  }

 private:
  /// The next line that is not blank.
  bool next_line() {
    while (std::getline(file_, text_)) {
      ++number_;
      line_ = text_;
      if (number_ == 1 && line_.starts_with("\xEF\xBB\xBF")) line_.remove_prefix(3);
      const auto last = line_.find_last_not_of(" \t\r");
      if (last == std::string_view::npos) continue;
      line_ = line_.substr(0, last + 1);
      return true;
    }
    if (file_.bad()) throw InputError(path_.string() + ": could not be read to its end");
    return false;
  }

  /// The text before the next comma, without blanks; `rest` goes on after it.
  static std::string_view next_field(std::string_view rest) {
    auto field = rest.substr(0, rest.find(','));
    const auto first = field.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return field.substr(first, field.find_last_not_of(" \t") - first + 1);
  }

  Index count_fields() const {
    return 1 + static_cast<Index>(std::count(line_.begin(), line_.end(), ','));
  }

  void parse(View<double, 1> row) {
    if (const Index fields = count_fields(); fields != length_)
      throw InputError(fmt::format("{}: line {} has {} numbers, but the first has {}; correct it",
                                   path_.string(), number_, fields, length_));
    auto rest = line_;
    for (double& x : row) {
      const auto field = next_field(rest);
      const auto value = parse_number(field);
      if (!value)
        throw InputError(fmt::format("{}: line {}: \"{}\" is not a number; correct it",
                                     path_.string(), number_, shown(field)));
      x = *value;
      rest.remove_prefix(std::min(rest.size(), rest.find(',') + 1));
    }
  }

  std::vector<char> buffer_;
  std::ifstream file_;
  std::string text_;
  std::string_view line_;
  Index number_ = 0;
  bool pending_ = false;  // line_ has been read, but not given out
};

}  // namespace

Index ObservationReader::read(View<double, 2> rows) {
  require_shape("ObservationReader::read", "rows", rows, {rows.extent(0), length_});
  if (instance_ >= instances_) return 0;
  const Index count = read_rows(instance_, rows);
  for (Index i = 0; i < count * length_; ++i)
    if (!std::isfinite(rows.data[i]))
      throw InputError(fmt::format(
          "{}: observation {}{}, sample {} is {}; correct it or leave the observation out",
          path_.string(), row_ + i / length_ + 1,
          instances_ > 1 ? fmt::format(" of instance {}", instance_ + 1) : "", i % length_ + 1,
          rows.data[i]));
  row_ += count;
  if (count == 0) {
    ++instance_;
    row_ = 0;
  }
  return count;
}

std::unique_ptr<ObservationReader> open_observations(const std::filesystem::path& path,
                                                     const std::string& dataset,
                                                     const std::string& usual_name) {
  if (require_regular_file(path) == 0) throw InputError(path.string() + ": is empty");
  std::array<char, 8> start{};
  std::ifstream(path, std::ios::binary).read(start.data(), start.size());
  const std::string_view bytes(start.data(), start.size());
  const bool is_hdf5 = bytes == "\x89HDF\r\n\x1a\n";
  if (is_hdf5) return open_hdf5_observations(path, dataset, usual_name);
  if (!dataset.empty())
    throw InputError(path.string() + ": --dataset is for HDF5 files, which this is not; leave it");
  if (bytes.starts_with("\x93NUMPY")) return open_npy(path);
  return std::make_unique<CsvReader>(path);
}

}  // namespace orrery::io
