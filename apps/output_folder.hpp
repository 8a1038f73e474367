#pragma once

#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "io/hdf5.hpp"
#include "kernels/processes.hpp"

namespace orrery {

/// Where a run writes to, as the user gave it.
struct OutputChoice {
  std::filesystem::path path;
  bool overwrite = false;
  bool resume = false;
  /// Names of what such a run may leave behind, config.toml aside.
  std::vector<std::string> results = {};
};

/// The lines of options as TOML that decide the numbers: not where results go, nor what computes
/// them, nor these options besides.
std::string deciding_lines(const std::string& config_text,
                           std::initializer_list<std::string_view> besides = {});

/// The folder a run writes to. A folder that holds another run is refused, unless it is to be
/// overwritten or resumed. Of several processes the first looks after it and writes, all read.
class OutputFolder {
 public:
  /// Makes the folder and changes nothing in it. `config_text` is the run's options as TOML, empty
  /// where none are kept. Throws InputError naming -o when the folder can't be used.
  OutputFolder(OutputChoice choice, std::string config_text,
               const Processes& processes = Processes::alone());

  /// Clears another run's results away and writes config.toml: to be called once the input has
  /// proved usable. A resumed run keeps what is there.
  void begin() const;

  const std::filesystem::path& path() const { return choice_.path; }
  std::filesystem::path operator/(const std::string& name) const { return path() / name; }

  /// The lines of config.toml that decide the numbers.
  std::string deciding_options() const { return deciding_lines(config_); }

  /// checkpoint.h5, with the options it belongs to; a run of several parts has more of them.
  void write_checkpoint(io::Hdf5File state, const std::string& name = "checkpoint.h5") const;
  /// Throws InputError when there is none, or when it belongs to other options.
  io::Hdf5File read_checkpoint(const std::string& name = "checkpoint.h5") const;

 private:
  void make() const;

  OutputChoice choice_;
  std::string config_;
  bool is_ours_;
};

}  // namespace orrery
