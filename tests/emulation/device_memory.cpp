#include "tests/emulation/device_memory.hpp"

#include <sys/mman.h>

#include <cstdlib>
#include <map>
#include <mutex>
#include <new>

namespace orrery::emulation {

#if defined(__SANITIZE_ADDRESS__)

void* allocate_device_memory(std::size_t bytes) {
  constexpr std::size_t alignment = 256;
  void* memory = std::aligned_alloc(alignment, (bytes / alignment + 1) * alignment);
  if (!memory) throw std::bad_alloc();
  return memory;
}
void release_device_memory(void* memory) { std::free(memory); }
DeviceWorks::DeviceWorks() {}
DeviceWorks::~DeviceWorks() {}

#else

namespace {

/// One range of addresses, so that a single call of the system opens or closes all that is in use.
class Pages {
 public:
  Pages() {
    void* range =
        mmap(nullptr, most_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) throw std::bad_alloc();
    begin_ = end_ = static_cast<unsigned char*>(range);
  }

  void* allocate(std::size_t bytes) {
    const std::scoped_lock lock(mutex_);
    constexpr std::size_t page = 4096;
    const std::size_t size = (bytes / page + 1) * page;
    void* memory;
    if (const auto found = released_.find(size); found != released_.end()) {
      memory = found->second;
      released_.erase(found);
    } else {
      memory = end_;
      end_ += size;
      if (end_ > begin_ + most_bytes) throw std::bad_alloc();
      if (works_ > 0) protect(PROT_READ | PROT_WRITE);
    }
    sizes_[memory] = size;
    return memory;
  }

  void release(void* memory) {
    const std::scoped_lock lock(mutex_);
    const auto found = sizes_.find(memory);
    madvise(memory, found->second, MADV_DONTNEED);
    released_.emplace(found->second, memory);
    sizes_.erase(found);
  }

  void begin_work() {
    const std::scoped_lock lock(mutex_);
    if (works_++ == 0) protect(PROT_READ | PROT_WRITE);
  }
  void end_work() {
    const std::scoped_lock lock(mutex_);
    if (--works_ == 0) protect(PROT_NONE);
  }

 private:
  static constexpr std::size_t most_bytes = std::size_t{1} << 40;  // of addresses, not of memory

  void protect(int how) { mprotect(begin_, static_cast<std::size_t>(end_ - begin_), how); }

  std::mutex mutex_;
  unsigned char *begin_, *end_;
  int works_ = 0;
  std::map<void*, std::size_t> sizes_;
  std::multimap<std::size_t, void*> released_;
};

Pages& pages() {
  static Pages& all = *new Pages;  // tensors of static lifetime give theirs back later
  return all;
}

}  // namespace

void* allocate_device_memory(std::size_t bytes) { return pages().allocate(bytes); }
void release_device_memory(void* memory) { pages().release(memory); }
DeviceWorks::DeviceWorks() { pages().begin_work(); }
DeviceWorks::~DeviceWorks() { pages().end_work(); }

#endif

}  // namespace orrery::emulation
