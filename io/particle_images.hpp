#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/image_stack.hpp"
#include "io/particles.hpp"

namespace orrery::io {

enum class BadStacks { refuse, skip };

/// The images of a table's particles, read from all of its stacks in any order. The table has to
/// outlive it. Not for several threads at once.
class ParticleImages {
 public:
  /// Opens each stack once and checks that it is there and whole, that it has every image the table
  /// asks of it, that all images have one size, which is the optics group's where that gives one,
  /// and one pixel size. Throws InputError for the first that is not so, naming the stack and the
  /// remedy; with BadStacks::skip such particles are left out and the reasons kept in `problems`.
  explicit ParticleImages(const ParticleTable& table, BadStacks bad = BadStacks::refuse);

  Index size() const { return size_; }  // pixels an edge
  /// Angstrom: the optics groups', the stacks' own where those say nothing, else 0.
  double pixel_size() const { return pixel_size_; }
  /// The particles that have an image: indices into the table, ascending.
  const std::vector<Index>& usable() const { return usable_; }
  /// One sentence for each stack that is skipped, or of which images are.
  const std::vector<std::string>& problems() const { return problems_; }

  /// images (B,size,size) of those particles. Neighbours in a stack are read in one go. Throws
  /// InputError as ImageStack::read does.
  void read(std::span<const Index> particles, View<float, 3> images) const;

 private:
  void open_stacks(BadStacks bad);
  void check_stack(const ImageStack& stack, int index);
  void find_pixel_size();
  const ImageStack& stack(int index) const;

  const ParticleTable& table_;
  Index size_ = 0;
  double pixel_size_ = 0;
  std::string first_stack_;  // whose size all have to have
  std::vector<Index> usable_;
  std::vector<std::string> problems_;
  std::vector<Index> wanted_, counts_;    // images asked of each stack, and how many it has
  std::vector<int> image_size_of_stack_;  // as the optics groups say; 0: they don't
  double header_pixel_size_ = 0;          // of the stacks, where they agree

  /// Stacks that are open: one in each slot, so that a table over thousands of them needs few file
  /// descriptors.
  struct Slot {
    int index = -1;
    std::unique_ptr<ImageStack> stack;
  };
  mutable std::array<Slot, 64> open_;
};

}  // namespace orrery::io
