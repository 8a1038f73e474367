#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/precision.hpp"
#include "kernels/view.hpp"

namespace orrery {

enum class Backend { cpu, cuda };

/// Whether this build contains the CUDA twins. The CPU-only build links without them.
inline constexpr bool built_with_cuda = ORRERY_WITH_CUDA;

namespace cuda {
struct Device;  // stream and library handles; defined by the CUDA runtime seam
}

/// Where work runs: first argument of every operation. Cheap to copy; copies share one device.
/// Operations on a CUDA context are queued on its stream; a function that returns a number to the
/// host waits for it.
class Context {
 public:
  /// The CPU with `threads` worker threads; 0 takes all processors this process may use.
  static Context cpu(int threads = 0);

  /// The CUDA device of that ordinal. Throws InputError when there is none that can be used now, or
  /// the build has no CUDA.
  static Context cuda(int ordinal = 0);

  /// By the name users give: "cpu", "cuda", "cuda:1", or "auto" for the first CUDA device that can
  /// be used now, and the CPU where there is none. `threads` are the CPU's, also beside a device.
  /// Throws InputError naming --device for anything else, and where no such device can be used.
  static Context named(const std::string& device, int threads);

  Backend backend() const { return device_ ? Backend::cuda : Backend::cpu; }
  int threads() const { return threads_; }
  /// Of the CUDA device; 0 on the CPU.
  int ordinal() const { return ordinal_; }

  /// The same place with another precision; see kernels/precision.hpp. New contexts have FP32.
  Context with_precision(Precision precision) const;
  Precision precision() const { return precision_; }

  /// Stream and handles; only CUDA contexts have them.
  cuda::Device& device() const { return *device_; }

  /// Waits until everything queued here is done.
  void synchronize() const;

  /// For people: "cpu (2 threads, AVX-512)" or "cuda:0 (NVIDIA H100 80GB HBM3)".
  std::string description() const;

 private:
  int threads_ = 1;
  int ordinal_ = 0;
  Precision precision_ = Precision::fp32;
  std::shared_ptr<cuda::Device> device_;
};

struct DeviceDescription {
  int ordinal = 0;
  std::string name;
};

/// CUDA devices that programs may use: empty where the build, the driver or the machine has none.
/// None of them is started, and so one that another program has for itself is among them.
std::vector<DeviceDescription> cuda_devices();

}  // namespace orrery
