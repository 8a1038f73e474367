#include "apps/output_folder.hpp"

#include <algorithm>
#include <sstream>

#include "io/files.hpp"
#include "kernels/check.hpp"

namespace orrery {

namespace {

bool holds_a_run(const OutputChoice& choice) {
  if (std::filesystem::exists(choice.path / "config.toml")) return true;
  for (const auto& name : choice.results)
    if (std::filesystem::exists(choice.path / name)) return true;
  return false;
}

bool can_resume(const OutputChoice& choice) {
  return std::find(choice.results.begin(), choice.results.end(), "checkpoint.h5") !=
         choice.results.end();
}

}  // namespace

std::string deciding_lines(const std::string& config_text,
                           std::initializer_list<std::string_view> besides) {
  std::vector<std::string_view> exceptions = {"output", "threads", "device", "checkpoint-seconds"};
  exceptions.insert(exceptions.end(), besides);
  std::istringstream lines(config_text);
  std::string kept, line;
  while (std::getline(lines, line))
    if (std::ranges::find(exceptions, line.substr(0, line.find('='))) == exceptions.end())
      kept += line + "\n";
  return kept;
}

OutputFolder::OutputFolder(OutputChoice choice, std::string config_text, const Processes& processes)
    : choice_(std::move(choice)), config_(std::move(config_text)), is_ours_(processes.is_first()) {
  if (is_ours_) make();
  processes.meet();
}

void OutputFolder::make() const {
  const std::string name = "-o " + path().string();
  std::error_code error;
  if (std::filesystem::exists(path()) && !std::filesystem::is_directory(path()))
    throw InputError(name + ": is a file, not a folder; give another name");
  if (!choice_.overwrite && !choice_.resume && holds_a_run(choice_))
    throw InputError(name + ": the folder holds another run; give --overwrite to replace it, " +
                     (can_resume(choice_) ? "--resume to continue it, " : "") +
                     "or another folder");
  if (choice_.resume && !std::filesystem::exists(path() / "checkpoint.h5"))
    throw InputError(name + ": there is no checkpoint.h5 to resume from; start without --resume");
  std::filesystem::create_directories(path(), error);
  if (error) throw InputError(name + ": the folder cannot be made: " + error.message());
}

void OutputFolder::begin() const {
  if (choice_.resume || !is_ours_) return;
  std::error_code ignored;
  // What is left of another run would contradict the new one as soon as that writes its options.
  for (const auto& file : choice_.results) std::filesystem::remove(path() / file, ignored);
  if (!config_.empty()) io::write_text(path() / "config.toml", config_);
}

void OutputFolder::write_checkpoint(io::Hdf5File state, const std::string& name) const {
  if (!is_ours_) return;
  state.attributes["options"] = deciding_options();
  io::write_hdf5(path() / name, state);
}

io::Hdf5File OutputFolder::read_checkpoint(const std::string& name) const {
  auto state = io::read_hdf5(path() / name);
  if (state.attribute<std::string>("options") != deciding_options())
    throw InputError(state.source +
                     ": the checkpoint belongs to a run with other options; resume without options "
                     "of your own, or start again with --overwrite");
  return state;
}

}  // namespace orrery
