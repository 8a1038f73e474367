#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "apps/reconstruct/reconstruction.hpp"

namespace spdlog {
class logger;
}

namespace orrery {

/// What the user sees and what log.txt keeps. On a terminal the loop is one live line with step,
/// both moment errors, rate and time left; elsewhere a plain line now and then.
class Console {
 public:
  explicit Console(bool quiet);
  ~Console();

  /// From here on everything said also goes to this file.
  void log_to(const std::filesystem::path& file, bool append);

  void say(const std::string& text);
  void warn(const std::string& text);

  /// Called after each step; shows at most four lines a second on a terminal.
  void progress(const ProgressLine& line, int restarts);
  /// Ends the live line.
  void end_progress();

 private:
  void clear_live_line();

  bool quiet_, terminal_, live_ = false;
  std::shared_ptr<spdlog::logger> file_;
  using Clock = std::chrono::steady_clock;
  Clock::time_point shown_{}, started_{};
  Index steps_since_start_ = 0;
  int phase_ = -1;
};

}  // namespace orrery
