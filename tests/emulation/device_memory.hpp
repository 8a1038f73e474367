#pragma once

#include <cstddef>

namespace orrery::emulation {

/// Memory of the emulated device: pages that can be touched only while the device works. A host
/// that reads or writes them otherwise is ended by SIGSEGV, as it would be beside a GPU. Under the
/// address sanitizer, which watches memory in its own way, they are ordinary memory.
void* allocate_device_memory(std::size_t bytes);
void release_device_memory(void* memory);

/// The device works as long as one of these lives.
class DeviceWorks {
 public:
  DeviceWorks();
  ~DeviceWorks();
  DeviceWorks(const DeviceWorks&) = delete;
};

}  // namespace orrery::emulation
