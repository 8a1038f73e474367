#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/console.hpp"
#include "apps/output_folder.hpp"
#include "kernels/context.hpp"

namespace orrery {

/// What every subcommand of `mra` can be told.
struct CommandOptions {
  std::string output;  // folder
  std::string device = "auto";
  int threads = 0;
  std::uint64_t seed = 1;
  bool overwrite = false;
  bool quiet = false;
};

/// Adds a subcommand whose work is `run`, which gives the exit code.
CLI::App& add_command(CLI::App& app, const std::string& name, const std::string& description,
                      std::function<int(const CLI::App& command)> run);

/// Adds -o, --overwrite, --device, --threads, --seed and --quiet, bound to `options`, which must
/// live as long as the command.
void add_command_options(CLI::App& command, CommandOptions& options);

/// "1 instance", "20 instances".
std::string counted(Index count, const std::string& thing);

/// One run of a subcommand: the device, the console, the folder of its results, and the time.
class CommandRun {
 public:
  /// `results` are the files that such a run may leave behind, config.toml, log.txt and
  /// summary.json aside. Makes the folder, and nothing in it. Throws InputError naming --device or
  /// -o when they can't be used.
  CommandRun(const CLI::App& command, const CommandOptions& options,
             std::vector<std::string> results, bool resume = false);

  Context ctx;
  Console console;
  OutputFolder folder;

  /// Clears an earlier run's results away, writes config.toml and starts log.txt: to be called once
  /// the input has proved usable.
  void begin();

  double seconds() const;

  /// Writes summary.json: these figures, and after them what every run records. To be called last:
  /// where summary.json stands, the run is complete.
  void finish(nlohmann::ordered_json figures) const;

 private:
  std::string name_;
  std::uint64_t seed_;
  bool resume_;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace orrery
