#include "apps/moments/image_queue.hpp"

#include <algorithm>

#include "kernels/check.hpp"

namespace orrery {

namespace {

constexpr Index block_bytes = 16 << 20;
constexpr int blocks = 3;  // one being read, one waiting, one in use

}  // namespace

void read_images(const io::ParticleImages& images, std::span<const Index> particles,
                 io::BadStacks bad, ImageBlock& block) {
  const auto count = static_cast<Index>(particles.size());
  block.particles.assign(particles.begin(), particles.end());
  block.problems.clear();
  try {
    images.read(particles, block.pixels.view().rows(0, count));
  } catch (const InputError&) {
    if (bad == io::BadStacks::refuse) throw;
    block.particles.clear();
    for (const Index particle : particles) {
      const auto row = static_cast<Index>(block.particles.size());
      try {
        images.read(std::span(&particle, 1), block.pixels.view().rows(row, 1));
        block.particles.push_back(particle);
      } catch (const InputError& error) {
        block.problems.emplace_back(error.what());
      }
    }
  }
}

ImageQueue::ImageQueue(const io::ParticleImages& images, std::vector<Index> particles, Index first,
                       Index batch, io::BadStacks bad)
    : images_(images), particles_(std::move(particles)), first_(first), batch_(batch), bad_(bad) {
  const Index size = images.size();
  const Index most = block_bytes / (size * size * static_cast<Index>(sizeof(float)));
  const Index rows = std::clamp<Index>(most, 1, batch);
  for (int i = 0; i < blocks; ++i)
    empty_.push_back({.particles = {},
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
    for (Index at = first_; at < total;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stop_ || !empty_.empty(); });
      if (stop_) return;
      ImageBlock block = std::move(empty_.front());
      empty_.pop_front();
      lock.unlock();

      const Index end_of_batch = std::min((at / batch_ + 1) * batch_, total);
      const Index count = std::min(block.pixels.extent(0), end_of_batch - at);
      read_images(images_, std::span(particles_).subspan(at, count), bad_, block);
      at += count;
      block.ends_batch = at == end_of_batch;

      lock.lock();
      full_.push_back(std::move(block));
      lock.unlock();
      changed_.notify_all();
    }
  } catch (...) {
    const std::scoped_lock lock(mutex_);
    failure_ = std::current_exception();
  }
  {
    const std::scoped_lock lock(mutex_);
    done_ = true;
  }
  changed_.notify_all();
}

bool ImageQueue::next(const std::function<void(ImageBlock&)>& use) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return done_ || !full_.empty(); });
  if (full_.empty()) {
    if (failure_) std::rethrow_exception(failure_);
    return false;
  }
  ImageBlock block = std::move(full_.front());
  full_.pop_front();
  lock.unlock();
  use(block);
  lock.lock();
  empty_.push_back(std::move(block));
  lock.unlock();
  changed_.notify_all();
  return true;
}

}  // namespace orrery
