#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/command_line.hpp"
#include "apps/console.hpp"
#include "apps/output_folder.hpp"
#include "apps/stopwatch.hpp"
#include "kernels/context.hpp"

namespace orrery {

/// What every subcommand of `mra` can be told.
struct CommandOptions : RunOptions {
  std::string output;  // folder
};

/// Adds a subcommand whose work is `run`, which gives the exit code.
CLI::App& add_command(CLI::App& app, const std::string& name, const std::string& description,
                      std::function<int(const CLI::App& command)> run);

/// Adds -o and what every program can be told (apps/command_line.hpp), bound to `options`, which
/// must live as long as the command.
void add_command_options(CLI::App& command, CommandOptions& options,
                         const std::string& random = "everything random");

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

  double seconds() const { return stopwatch_.seconds(); }

  /// Writes summary.json: these figures, and after them what every run records. To be called last:
  /// where summary.json stands, the run is complete.
  void finish(nlohmann::ordered_json figures) const;

 private:
  std::string name_;
  std::uint64_t seed_;
  bool resume_;
  Stopwatch stopwatch_;
};

}  // namespace orrery
