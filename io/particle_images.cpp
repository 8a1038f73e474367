#include "io/particle_images.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/check.hpp"

namespace orrery::io {

namespace {

constexpr double pixel_size_tolerance = 1e-3;  // relative; files round to four digits

bool agree(double a, double b) { return std::abs(a - b) <= pixel_size_tolerance * std::abs(b); }

}  // namespace

ParticleImages::ParticleImages(const ParticleTable& table, BadStacks bad)
    : table_(table),
      wanted_(table.stacks.size()),
      counts_(table.stacks.size()),
      image_size_of_stack_(table.stacks.size()) {
  for (const auto& particle : table.particles) {
    const auto stack = static_cast<std::size_t>(particle.stack);
    wanted_[stack] = std::max(wanted_[stack], particle.image + 1);
    image_size_of_stack_[stack] = table.groups[static_cast<std::size_t>(particle.group)].image_size;
  }
  open_stacks(bad);
  find_pixel_size();
  for (std::size_t i = 0; i < table.particles.size(); ++i)
    if (table.particles[i].image < counts_[static_cast<std::size_t>(table.particles[i].stack)])
      usable_.push_back(static_cast<Index>(i));
  if (usable_.empty())
    throw InputError(fmt::format("{}: none of its {} particles has an image that can be used; {}",
                                 table.source.string(), table.particles.size(),
                                 problems_.empty() ? "give a file that has some" : problems_[0]));
}

void ParticleImages::open_stacks(BadStacks bad) {
  for (std::size_t i = 0; i < table_.stacks.size(); ++i) {
    if (wanted_[i] == 0) continue;
    try {
      std::error_code ignored;
      const auto& path = table_.stacks[i];
      if (!std::filesystem::exists(path, ignored))
        throw InputError(fmt::format(
            "{}: names the stack {}, which is not there; say with --datadir where its paths start",
            table_.source.string(), path.string()));
      check_stack(ImageStack(path), static_cast<int>(i));
    } catch (const InputError& error) {
      if (bad == BadStacks::refuse) throw;
      problems_.emplace_back(error.what());
    }
  }
}

void ParticleImages::check_stack(const ImageStack& stack, int index) {
  const auto i = static_cast<std::size_t>(index);
  const auto name = stack.path().string();
  const int expected = image_size_of_stack_[i];
  if (expected > 0 && stack.size() != expected)
    throw InputError(fmt::format(
        "{}: its images are {} x {} pixels, but {} says {}; give the stack that belongs to it",
        name, stack.size(), stack.size(), table_.source.string(), expected));
  if (size_ == 0) {
    size_ = stack.size();
    first_stack_ = name;
    header_pixel_size_ = stack.pixel_size();
  }
  if (stack.size() != size_)
    throw InputError(fmt::format(
        "{}: its images are {} x {} pixels, but those of {} are {} x {}; extract all with one box",
        name, stack.size(), stack.size(), first_stack_, size_, size_));
  if (header_pixel_size_ > 0 && !agree(stack.pixel_size(), header_pixel_size_))
    header_pixel_size_ = 0;
  counts_[i] = stack.count();
  if (wanted_[i] > stack.count())
    throw InputError(fmt::format(
        "{}: has {} image{}, but {} asks for image {}; give the stack that belongs to it", name,
        stack.count(), stack.count() == 1 ? "" : "s", table_.source.string(), wanted_[i]));
}

void ParticleImages::find_pixel_size() {
  std::vector<bool> is_used(table_.groups.size());
  for (const auto& particle : table_.particles)
    is_used[static_cast<std::size_t>(particle.group)] = true;
  for (std::size_t i = 0; i < table_.groups.size(); ++i) {
    const auto& group = table_.groups[i];
    if (!is_used[i] || group.pixel_size <= 0) continue;
    if (pixel_size_ == 0) pixel_size_ = group.pixel_size;
    if (!agree(group.pixel_size, pixel_size_))
      throw InputError(fmt::format(
          "{}: optics groups have pixel sizes of {:g} and {:g} angstrom; rescale the images to one",
          table_.source.string(), pixel_size_, group.pixel_size));
  }
  if (pixel_size_ == 0) pixel_size_ = header_pixel_size_;
}

const ImageStack& ParticleImages::stack(int index) const {
  Slot& slot = open_[static_cast<std::size_t>(index) % open_.size()];
  if (slot.index != index) {
    slot.index = -1;
    slot.stack = std::make_unique<ImageStack>(table_.stacks[static_cast<std::size_t>(index)]);
    slot.index = index;
  }
  return *slot.stack;
}

void ParticleImages::read(std::span<const Index> particles, View<float, 3> images) const {
  const auto count = static_cast<Index>(particles.size());
  require_shape("ParticleImages::read", "images", images, {count, size_, size_});
  std::vector<Index> indices;
  for (Index done = 0; done < count;) {
    const auto particle = [&](Index i) -> const Particle& {
      return table_.particles[static_cast<std::size_t>(particles[static_cast<std::size_t>(i)])];
    };
    const int index = particle(done).stack;
    indices.clear();
    for (Index i = done; i < count && particle(i).stack == index; ++i)
      indices.push_back(particle(i).image);
    const auto run = static_cast<Index>(indices.size());
    stack(index).read(indices, images.rows(done, run));
    done += run;
  }
}

}  // namespace orrery::io
