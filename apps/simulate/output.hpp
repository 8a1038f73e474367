#pragma once

#include <filesystem>
#include <vector>

#include "apps/simulate/options.hpp"
#include "apps/view_moments_file.hpp"

namespace orrery {

/// What a run writes: -o NAME.star or NAME.h5; beside it NAME_truth.mrc, and NAME.json and the
/// folder NAME with the stacks, or NAME.h5.json. What a run that does not come to its end has
/// written is removed again; a data set that it was to join stays as it was.
class SimulationOutput {
 public:
  /// Changes nothing. Throws InputError naming -o: a name that does not suit, a folder that is not
  /// there or cannot be written to, results that --overwrite has not given up, a disk with too
  /// little room for the images.
  SimulationOutput(const SimulateOptions& options, int image_size);
  ~SimulationOutput();
  SimulationOutput(const SimulationOutput&) = delete;

  const std::filesystem::path& main() const { return main_; }
  std::filesystem::path truth() const { return beside("_truth.mrc"); }
  std::filesystem::path summary() const {
    return images_ ? beside(".json") : summary_beside(main_);
  }

  /// Removes all that an earlier run wrote, and makes the folder: the main file first, so that it
  /// never speaks of other images than those that are there. From here on this run's files are what
  /// stands under these names, the main one written last.
  void begin();
  /// The same for images that join a data set with these stacks: nothing is removed, and the new
  /// stacks are numbered on.
  void begin_after(const std::vector<std::filesystem::path>& stacks);
  /// The next stack's path.
  std::filesystem::path next_stack();
  const std::vector<std::filesystem::path>& stacks() const { return stacks_; }
  /// All is written, and stays.
  void keep() { kept_ = true; }

 private:
  std::filesystem::path beside(const char* ending) const;
  std::filesystem::path folder() const { return beside(""); }
  static std::size_t number_of(const std::filesystem::path& stack);
  std::vector<std::filesystem::path> earlier_stacks() const;
  void make_folder();
  void require_writable() const;
  void require_room(const SimulateOptions& options, int image_size) const;

  std::filesystem::path main_;
  bool images_ = false, joins_ = false, began_ = false, made_folder_ = false, kept_ = false;
  std::size_t stacks_before_ = 0;  // the highest number of a stack that is there already
  std::vector<std::filesystem::path> stacks_;
};

}  // namespace orrery
