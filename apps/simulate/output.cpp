#include "apps/simulate/output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "kernels/check.hpp"

namespace orrery {

namespace fs = std::filesystem;

SimulationOutput::SimulationOutput(const SimulateOptions& options, int image_size)
    : main_(options.output), images_(!options.moments_only) {
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
  if (!options.overwrite) {
    for (const auto& path : {main_, truth(), summary()})
      if (fs::exists(path))
        throw InputError(name + ": " + path.string() +
                         " is there already; give --overwrite to replace it, or another name");
    if (images_ && !earlier_stacks().empty())
      throw InputError(name + ": " + folder().string() +
                       " holds stacks already; give --overwrite to replace them, or another name");
  }
  if (!images_) return;
  std::error_code unknown;
  double room = static_cast<double>(fs::space(parent, unknown).available);
  if (unknown) return;
  for (const auto& path : earlier_stacks()) room += static_cast<double>(fs::file_size(path));
  const double needed = 4.0 * image_size * image_size * static_cast<double>(options.images);
  if (needed > room)
    throw InputError(
        fmt::format("{}: {} images of {} x {} pixels take {:.1f} GB, but only {:.1f} "
                    "GB are free there; make room, or ask for fewer --images",
                    name, options.images, image_size, image_size, needed / 1e9, room / 1e9));
}

SimulationOutput::~SimulationOutput() {
  if (kept_) return;
  std::error_code ignored;
  for (const auto& path : stacks_) fs::remove(path, ignored);
  if (made_folder_) fs::remove(folder(), ignored);  // unless something else is in it
}

fs::path SimulationOutput::beside(const char* ending) const {
  return main_.parent_path() / (main_.stem().string() + ending);
}

/// Six digits and .mrcs.
std::vector<fs::path> SimulationOutput::earlier_stacks() const {
  std::vector<fs::path> found;
  if (!images_ || !fs::is_directory(folder())) return found;
  for (const auto& entry : fs::directory_iterator(folder())) {
    const std::string stem = entry.path().stem().string();
    if (entry.path().extension() == ".mrcs" && stem.size() == 6 &&
        std::all_of(stem.begin(), stem.end(), [](unsigned char c) { return std::isdigit(c); }))
      found.push_back(entry.path());
  }
  return found;
}

void SimulationOutput::begin() {
  if (!images_) return;
  std::error_code error;
  fs::remove(main_, error);
  for (const auto& path : earlier_stacks()) fs::remove(path, error);
  made_folder_ = fs::create_directory(folder(), error);
  if (error)
    throw InputError("-o " + main_.string() + ": the folder " + folder().string() +
                     " for the stacks cannot be made: " + error.message());
}

fs::path SimulationOutput::next_stack() {
  stacks_.push_back(folder() / fmt::format("{:06}.mrcs", stacks_.size() + 1));
  return stacks_.back();
}

}  // namespace orrery
