#include "apps/moments/image_queue.hpp"

#include <algorithm>

#include "kernels/check.hpp"

namespace orrery {

void read_images(const io::ParticleImages& images, std::span<const Index> particles,
                 io::BadStacks bad, ImageBlock& block) {
  const auto count = static_cast<Index>(particles.size());
  block.particles.assign(particles.begin(), particles.end());
  block.problems.clear();
  try {
    images.read(particles, block.pixels.view().rows(0, count));
  } catch (const InputError&) {
    if (bad == io::BadStacks::refuse) throw;
    for (Index b = 0; b < count; ++b) {
      const auto pixels = block.pixels.view().rows(b, 1);
      try {
        images.read(particles.subspan(b, 1), pixels);
      } catch (const InputError& error) {
        block.problems.emplace_back(error.what());
        block.particles[b] = -1;
        set_zero(Context::cpu(1), pixels);
      }
    }
  }
}

ImageQueue::ImageQueue(const io::ParticleImages& images, std::vector<Index> particles, Index first,
                       Index batch, io::BadStacks bad, Blocks blocks)
    : images_(images),
      particles_(std::move(particles)),
      batch_(batch),
      bad_(bad),
      read_(first),
      given_(first),
      batch_end_(first) {
  const Index size = images.size();
  const Index most = blocks.bytes / (size * size * static_cast<Index>(sizeof(float)));
  const Index rows = std::clamp<Index>(most, 1, batch);
  for (int i = 0; i < blocks.count; ++i)
    empty_.push_back({.first = 0,
                      .particles = {},
                      .pixels = Tensor<float, 3>(Context::cpu(1), rows, size, size),
                      .problems = {}});
  reader_ = std::thread([this] { read_all(); });
}

ImageQueue::~ImageQueue() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  reader_.join();
}

void ImageQueue::read_all() {
  const auto total = static_cast<Index>(particles_.size());
  try {
    while (read_ < total) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stop_ || !empty_.empty(); });
      if (stop_) return;
      ImageBlock block = std::move(empty_.front());
      empty_.pop_front();
      lock.unlock();

      const Index left = std::min(batch_ - read_ % batch_, total - read_);
      const Index count = std::min(block.pixels.extent(0), left);
      read_images(images_, std::span(particles_).subspan(read_, count), bad_, block);
      block.first = read_ % batch_;
      read_ += count;

      lock.lock();
      full_.push_back(std::move(block));
      lock.unlock();
      changed_.notify_all();
    }
  } catch (...) {
    const std::scoped_lock lock(mutex_);
    failure_ = std::current_exception();
  }
  changed_.notify_all();
}

std::span<const Index> ImageQueue::begin_batch() {
  const std::scoped_lock lock(mutex_);
  const auto all = std::span<const Index>(particles_);
  const auto batch = all.subspan(batch_end_, std::min(batch_, std::ssize(all) - batch_end_));
  batch_end_ += std::ssize(batch);
  return batch;
}

bool ImageQueue::next(const std::function<void(ImageBlock&)>& use) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return given_ == batch_end_ || failure_ || !full_.empty(); });
  if (given_ == batch_end_) return false;
  if (full_.empty()) std::rethrow_exception(failure_);
  ImageBlock block = std::move(full_.front());
  full_.pop_front();
  given_ += std::ssize(block.particles);
  const bool last = given_ == batch_end_;
  lock.unlock();
  if (last) changed_.notify_all();  // others that wait for a block
  use(block);
  lock.lock();
  empty_.push_back(std::move(block));
  lock.unlock();
  changed_.notify_all();
  return true;
}

}  // namespace orrery
