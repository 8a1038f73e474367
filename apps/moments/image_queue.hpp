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
  Index first = 0;                    // of them, its place in the batch
  std::vector<Index> particles;       // indices into the table; -1: an image that can't be used
  Tensor<float, 3> pixels;            // (capacity,m,m): of the first particles.size() rows
  std::vector<std::string> problems;  // of images left out

  View<float, 3> images() { return pixels.view().rows(0, static_cast<Index>(particles.size())); }
};

/// Reads images on a thread of its own, ahead of who uses them, into a few blocks that go round:
/// memory does not depend on how many images there are.
class ImageQueue {
 public:
  struct Blocks {
    Index bytes;  // of a block
    int count;    // more than there are threads that use them
  };
  /// Will give the images of `particles` from position `first` on, where a batch begins, in their
  /// order, in blocks that do not reach over a batch. `images` has to outlive the queue and is the
  /// thread's alone.
  ImageQueue(const io::ParticleImages& images, std::vector<Index> particles, Index first,
             Index batch, io::BadStacks bad, Blocks blocks);
  ~ImageQueue();
  ImageQueue(const ImageQueue&) = delete;
  ImageQueue& operator=(const ImageQueue&) = delete;

  /// The particles of the next batch, whose blocks `next` gives from now on.
  std::span<const Index> begin_batch();
  /// Calls use(block) for the next block of the batch; false when there is none. Several threads
  /// may ask at a time. Throws what reading threw, once all that was read before it has been given.
  bool next(const std::function<void(ImageBlock&)>& use);

 private:
  void read_all();

  const io::ParticleImages& images_;
  std::vector<Index> particles_;
  Index batch_;
  io::BadStacks bad_;
  Index read_ = 0;                   // positions: up to where images are read,
  Index given_ = 0, batch_end_ = 0;  // given, and may be given

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<ImageBlock> full_, empty_;
  std::exception_ptr failure_;
  bool stop_ = false;
  std::thread reader_;
};

/// The images of these particles. Those that can't be read become problems, and their particles -1,
/// or the first of them is an InputError.
void read_images(const io::ParticleImages& images, std::span<const Index> particles,
                 io::BadStacks bad, ImageBlock& block);

}  // namespace orrery
