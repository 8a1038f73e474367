#include "apps/reconstruct/console.hpp"

#include <fmt/format.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace orrery {

namespace {

std::string duration_text(double seconds) {
  const long whole = std::lround(seconds);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{}:{:02} min", whole / 60, whole % 60);
  return fmt::format("{}:{:02} h", whole / 3600, whole % 3600 / 60);
}

}  // namespace

Console::Console(bool quiet) : quiet_(quiet), terminal_(::isatty(STDOUT_FILENO) == 1) {}

Console::~Console() { end_progress(); }

void Console::log_to(const std::filesystem::path& file, bool append) {
  auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file.string(), !append);
  file_ = std::make_shared<spdlog::logger>("reconstruct", sink);
  file_->set_pattern("%Y-%m-%d %H:%M:%S  %v");
  file_->flush_on(spdlog::level::info);
  // On a full disk the results' own message says what is wrong.
  file_->set_error_handler([](const std::string&) {});
}

void Console::clear_live_line() {
  if (live_) std::fputs("\r\033[K", stdout);
  live_ = false;
}

void Console::say(const std::string& text) {
  clear_live_line();
  if (!quiet_) {
    std::puts(text.c_str());
    std::fflush(stdout);
  }
  if (file_) file_->info(text);
}

void Console::warn(const std::string& text) {
  clear_live_line();
  std::fflush(stdout);
  std::fprintf(stderr, "reconstruct: %s\n", text.c_str());
  if (file_) file_->warn("note: " + text);
}

void Console::progress(const ProgressLine& line, int restarts) {
  const auto now = Clock::now();
  const int phase = 2 * line.restart + line.finishing;
  if (phase != phase_) {
    phase_ = phase;
    started_ = now;
    shown_ = {};
    steps_since_start_ = 0;
    return;
  }
  ++steps_since_start_;
  const double since_shown = std::chrono::duration<double>(now - shown_).count();
  const bool last = line.step >= line.steps;
  if (!last && since_shown < (terminal_ ? 0.25 : 10.0)) return;
  shown_ = now;

  const double per_step =
      std::chrono::duration<double>(now - started_).count() / steps_since_start_;
  std::string text = fmt::format(
      "{}{} {:>6}/{}   first moment {:.5f}   second moment {:.5f}   {:.3f} s/step   {} left",
      restarts > 1 ? fmt::format("start {}/{}, ", line.restart + 1, restarts) : "",
      line.finishing ? "L-BFGS" : "Adam", line.step, line.steps, line.value.errors.first,
      line.value.errors.second, per_step,
      duration_text(per_step * double(std::max<Index>(0, line.steps - line.step))));
  if (file_) file_->info(text);
  if (quiet_) return;
  if (terminal_) {
    std::fputs(("\r\033[K" + text).c_str(), stdout);
    live_ = true;
  } else {
    std::puts(text.c_str());
  }
  std::fflush(stdout);
}

void Console::end_progress() {
  if (live_) std::puts("");
  live_ = false;
}

}  // namespace orrery
