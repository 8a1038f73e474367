#include "apps/console.hpp"

#include <fmt/format.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>

namespace orrery {

std::string duration_text(double seconds) {
  const long whole = std::lround(seconds);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{}:{:02} min", whole / 60, whole % 60);
  return fmt::format("{}:{:02} h", whole / 3600, whole % 3600 / 60);
}

Console::Console(std::string program, bool quiet, const Processes& processes)
    : program_(std::move(program)),
      speaks_(processes.is_first()),
      quiet_(quiet || !speaks_),
      terminal_(::isatty(STDOUT_FILENO) == 1) {}

Console::~Console() { end_live(); }

void Console::log_to(const std::filesystem::path& file, bool append) {
  if (!speaks_) return;
  auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file.string(), !append);
  file_ = std::make_shared<spdlog::logger>(program_, sink);
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
  if (speaks_) warn_of_own(text);
}

void Console::warn_of_own(const std::string& text) {
  clear_live_line();
  std::fflush(stdout);
  std::fprintf(stderr, "%s: %s\n", program_.c_str(), text.c_str());
  if (file_) file_->warn("note: " + text);
}

void Console::live(bool last, const std::function<std::string()>& text) {
  const double now = stopwatch_.seconds();
  if (!last && now - shown_ < (terminal_ ? 0.25 : 10.0)) return;
  shown_ = now;

  const std::string line = text();
  if (file_) file_->info(line);
  if (quiet_) return;
  if (terminal_) {
    std::fputs(("\r\033[K" + line).c_str(), stdout);
    live_ = true;
  } else {
    std::puts(line.c_str());
  }
  std::fflush(stdout);
}

void Console::end_live() {
  if (live_) std::puts("");
  live_ = false;
}

}  // namespace orrery
