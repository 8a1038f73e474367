#pragma once

#include <cmath>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "apps/stopwatch.hpp"
#include "kernels/processes.hpp"

namespace spdlog {
class logger;
}

namespace orrery {

/// "8 s", "2:05 min", "1:30 h": to the second, and from an hour on to the minute.
std::string duration_text(double seconds);

/// What the user sees of a program and what its log.txt keeps.
class Console {
 public:
  /// `program` is the name that warnings start with. A quiet console prints warnings only; its log
  /// keeps everything. Of several processes the first speaks for all.
  Console(std::string program, bool quiet, const Processes& processes = Processes::alone());
  ~Console();

  /// From here on everything said also goes to this file.
  void log_to(const std::filesystem::path& file, bool append);

  void say(const std::string& text);
  void warn(const std::string& text);
  /// Of what this process alone has met, be it the first or not.
  void warn_of_own(const std::string& text);

  /// A loop's one live line, for calling after each step: on a terminal it is rewritten at most
  /// four times a second, elsewhere it is a plain line every ten seconds, and `last` shows it in
  /// any case. `text` is asked for only when it is shown.
  void live(bool last, const std::function<std::string()>& text);
  /// Another loop begins: its first line is due at once.
  void begin_live() { shown_ = -HUGE_VAL; }
  /// Leaves the live line standing.
  void end_live();

 private:
  void clear_live_line();

  std::string program_;
  bool speaks_, quiet_, terminal_, live_ = false;
  std::shared_ptr<spdlog::logger> file_;
  Stopwatch stopwatch_;
  double shown_ = 0;  // when the live line last was; a loop that is over at once shows none
};

}  // namespace orrery
