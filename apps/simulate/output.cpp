#include "apps/simulate/output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "apps/memory.hpp"
#include "io/files.hpp"
#include "kernels/check.hpp"

namespace orrery {

namespace fs = std::filesystem;

SimulationOutput::SimulationOutput(const SimulateOptions& options, int image_size)
    : main_(options.output), images_(!options.moments_only), joins_(options.append) {
  const std::string name = "-o " + options.output;
  const char* ending = images_ ? ".star" : ".h5";
  if (main_.extension() != ending || main_.stem().empty())
    throw InputError(fmt::format("{}: {} go to a file that ends in {}; give such a name", name,
                                 images_ ? "images" : "moments", ending));
  const fs::path parent = main_.has_parent_path() ? main_.parent_path() : fs::path(".");
  if (!fs::is_directory(parent))
    throw InputError(name + ": the folder " + parent.string() + " does not exist; make it first");
  if (fs::is_directory(main_)) throw InputError(name + ": is a folder; give another name");
  if (images_ && fs::exists(folder()) && !fs::is_directory(folder()))
    throw InputError(name + ": the stacks go to the folder " + folder().string() +
                     ", but there is a file of that name; give another name");
  if (!options.overwrite && !joins_) {
    for (const auto& path : {main_, truth(), summary()})
      if (fs::exists(path))
        throw InputError(name + ": " + path.string() +
                         " is there already; give --overwrite to replace it, or another name");
    if (images_ && !earlier_stacks().empty())
      throw InputError(name + ": " + folder().string() +
                       " holds stacks already; give --overwrite to replace them, or another name");
  }
  require_writable();
  if (images_) require_room(options, image_size);
}

SimulationOutput::~SimulationOutput() {
  if (kept_ || !began_) return;
  std::error_code ignored;
  for (const auto& path : stacks_) fs::remove(path, ignored);
  if (joins_) return;
  for (const auto& path : {main_, truth(), summary()}) fs::remove(path, ignored);
  if (made_folder_) fs::remove(folder(), ignored);  // unless something else is in it
}

/// Tries it, with files that are gone at once.
void SimulationOutput::require_writable() const {
  try {
    for (const auto& path : {main_, truth(), summary()}) io::GrowingFile{path};
    if (images_ && fs::exists(folder())) io::GrowingFile{folder() / "000001.mrcs"};
  } catch (const InputError& error) {
    throw InputError(fmt::format("-o {}: {}; give a name in a folder that can be written to",
                                 main_.string(), error.what()));
  }
}

void SimulationOutput::require_room(const SimulateOptions& options, int image_size) const {
  std::error_code unknown;
  double room = static_cast<double>(
      fs::space(main_.has_parent_path() ? main_.parent_path() : ".", unknown).available);
  if (unknown) return;
  if (!joins_)
    for (const auto& path : earlier_stacks()) room += static_cast<double>(fs::file_size(path));
  const double pixels = double(image_size) * image_size;
  const double needed = 4 * pixels * (static_cast<double>(options.images) + image_size);
  if (needed > room)
    throw InputError(
        fmt::format("-o {}: {} images of {} x {} pixels take {}, but only {} are free there; make "
                    "room, or ask for fewer --images",
                    options.output, options.images, image_size, image_size, bytes_text(needed),
                    bytes_text(room)));
}

fs::path SimulationOutput::beside(const char* ending) const {
  return main_.parent_path() / (main_.stem().string() + ending);
}

/// Six digits and .mrcs, or 0.
std::size_t SimulationOutput::number_of(const fs::path& stack) {
  const std::string stem = stack.stem().string();
  const bool ours =
      stack.extension() == ".mrcs" && stem.size() == 6 &&
      std::all_of(stem.begin(), stem.end(), [](unsigned char c) { return std::isdigit(c); });
  return ours ? std::stoul(stem) : 0;
}

std::vector<fs::path> SimulationOutput::earlier_stacks() const {
  std::vector<fs::path> found;
  if (!images_ || !fs::is_directory(folder())) return found;
  for (const auto& entry : fs::directory_iterator(folder()))
    if (number_of(entry.path()) > 0) found.push_back(entry.path());
  return found;
}

void SimulationOutput::begin() {
  std::vector<fs::path> earlier = {main_, truth(), summary()};
  for (const auto& path : earlier_stacks()) earlier.push_back(path);
  std::error_code error;
  for (const auto& path : earlier)
    if (fs::remove(path, error); error)
      throw InputError(fmt::format(
          "-o {}: {} of an earlier run cannot be removed: {}; remove it, or give another name",
          main_.string(), path.string(), error.message()));
  began_ = true;
  if (images_) make_folder();
}

void SimulationOutput::begin_after(const std::vector<fs::path>& stacks) {
  for (const auto& path : stacks) stacks_before_ = std::max(stacks_before_, number_of(path));
  began_ = true;
  make_folder();
}

void SimulationOutput::make_folder() {
  std::error_code error;
  made_folder_ = fs::create_directory(folder(), error);
  if (error)
    throw InputError(
        fmt::format("-o {}: the folder {} for the stacks cannot be made: {}; give another name",
                    main_.string(), folder().string(), error.message()));
}

fs::path SimulationOutput::next_stack() {
  stacks_.push_back(folder() / fmt::format("{:06}.mrcs", stacks_before_ + stacks_.size() + 1));
  return stacks_.back();
}

}  // namespace orrery
