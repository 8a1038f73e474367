#pragma once

#include <filesystem>
#include <string>

#include "apps/reconstruct/options.hpp"
#include "io/hdf5.hpp"

namespace orrery {

/// The folder a run writes to. A folder that holds another run is refused, unless it is to be
/// overwritten or resumed.
class OutputFolder {
 public:
  /// Makes the folder and changes nothing in it. Throws InputError naming -o when it can't be used.
  OutputFolder(const Options& options, const std::string& config_text);

  /// Clears another run's results away and writes config.toml: to be called once the input has
  /// proved usable. A resumed run keeps what is there.
  void begin() const;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

  /// checkpoint.h5, with the options it belongs to.
  void write_checkpoint(io::Hdf5File state) const;
  /// Throws InputError when there is none, or when it belongs to other options.
  io::Hdf5File read_checkpoint() const;

 private:
  std::filesystem::path path_;
  std::string config_;
  bool resume_;
};

}  // namespace orrery
