#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "io/particle_images.hpp"
#include "kernels/tensor.hpp"

namespace orrery {

/// Some images, read together.
struct ImageBlock {
  std::vector<Index> particles;       // indices into the table
  Tensor<float, 3> pixels;            // (capacity,m,m): of the first particles.size() rows
  std::vector<std::string> problems;  // of images left out
  bool ends_batch = false;

  View<float, 3> images() { return pixels.view().rows(0, static_cast<Index>(particles.size())); }
};

/// Reads images on a thread of its own, ahead of who uses them, into a few blocks that go round:
/// memory does not depend on how many images there are.
class ImageQueue {
 public:
  /// Will give the images of `particles` from position `first` on, in their order, in blocks that
  /// do not reach over a batch. `images` has to outlive the queue and is the thread's alone.
  ImageQueue(const io::ParticleImages& images, std::vector<Index> particles, Index first,
             Index batch, io::BadStacks bad);
  ~ImageQueue();
  ImageQueue(const ImageQueue&) = delete;
  ImageQueue& operator=(const ImageQueue&) = delete;

  /// Calls use(block) for the next block; false when there is none. Throws what reading threw.
  bool next(const std::function<void(ImageBlock&)>& use);

 private:
  void read_all();

  const io::ParticleImages& images_;
  std::vector<Index> particles_;
  Index first_, batch_;
  io::BadStacks bad_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<ImageBlock> full_, empty_;
  std::exception_ptr failure_;
  bool done_ = false, stop_ = false;
  std::thread reader_;
};

/// Images that are read one by one where they can't be together: those that can be read are kept in
/// `block`, the others become problems, or the first of them an InputError.
void read_images(const io::ParticleImages& images, std::span<const Index> particles,
                 io::BadStacks bad, ImageBlock& block);

}  // namespace orrery
