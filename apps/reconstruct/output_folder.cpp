#include "apps/reconstruct/output_folder.hpp"

#include <sstream>

#include "io/files.hpp"
#include "kernels/check.hpp"

namespace orrery {

namespace {

/// The lines of config.toml that decide the numbers: not where they go, nor on how many threads.
std::string deciding_lines(const std::string& config) {
  std::istringstream lines(config);
  std::string kept, line;
  while (std::getline(lines, line)) {
    bool decides = true;
    for (const char* name : {"output=", "threads=", "device=", "checkpoint-seconds="})
      if (line.starts_with(name)) decides = false;
    if (decides) kept += line + "\n";
  }
  return kept;
}

bool holds_a_run(const std::filesystem::path& folder) {
  for (const char* name : {"config.toml", "summary.json", "checkpoint.h5", "volume.mrc"})
    if (std::filesystem::exists(folder / name)) return true;
  return false;
}

}  // namespace

OutputFolder::OutputFolder(const Options& options, const std::string& config_text)
    : path_(options.output), config_(config_text), resume_(options.resume) {
  const std::string name = "-o " + options.output;
  std::error_code error;
  if (std::filesystem::exists(path_) && !std::filesystem::is_directory(path_))
    throw InputError(name + ": is a file, not a folder; give another name");
  if (!options.overwrite && !options.resume && holds_a_run(path_))
    throw InputError(name +
                     ": the folder holds another run; give --overwrite to replace it, --resume to "
                     "continue it, or another folder");
  if (options.resume && !std::filesystem::exists(path_ / "checkpoint.h5"))
    throw InputError(name + ": there is no checkpoint.h5 to resume from; start without --resume");
  std::filesystem::create_directories(path_, error);
  if (error) throw InputError(name + ": the folder cannot be made: " + error.message());
}

void OutputFolder::begin() const {
  if (resume_) return;
  std::error_code ignored;
  // What is left of another run would contradict the new one as soon as that writes its options.
  for (const char* file :
       {"summary.json", "checkpoint.h5", "volume.mrc", "volume_mirror.mrc", "truth.mrc", "fsc.star",
        "fsc.csv", "views.csv", "moments.h5", "loss.csv", "log.txt", "picture.png"})
    std::filesystem::remove(path_ / file, ignored);
  io::write_text(path_ / "config.toml", config_);
}

void OutputFolder::write_checkpoint(io::Hdf5File state) const {
  state.attributes["options"] = deciding_lines(config_);
  io::write_hdf5(path_ / "checkpoint.h5", state);
}

io::Hdf5File OutputFolder::read_checkpoint() const {
  auto state = io::read_hdf5(path_ / "checkpoint.h5");
  if (state.attribute<std::string>("options") != deciding_lines(config_))
    throw InputError(state.source +
                     ": the checkpoint belongs to a run with other options; resume without options "
                     "of your own, or start again with --overwrite");
  return state;
}

}  // namespace orrery
