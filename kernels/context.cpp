#include "kernels/context.hpp"

#include <sched.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>

#include "kernels/check.hpp"
#include "kernels/cuda_runtime.hpp"
#include "kernels/matrix_tiles.hpp"
#include "kernels/tensor.hpp"

namespace orrery {

static int usable_processors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return CPU_COUNT(&set);
}

Context Context::cpu(int threads) {
  Context ctx;
  ctx.threads_ = threads > 0 ? threads : usable_processors();
  return ctx;
}

Context Context::cuda(int ordinal) {
  Context ctx = cpu();
  if constexpr (built_with_cuda) {
    ctx.device_ = orrery::cuda::open_device(ordinal);
    ctx.ordinal_ = ordinal;
    return ctx;
  }
  throw InputError("--device cuda:" + std::to_string(ordinal) +
                   ": this build has no CUDA; build where nvcc is installed, or use --device cpu");
}

Context Context::named(const std::string& device, int threads) {
  const auto on_device = [&](int ordinal) {
    Context ctx = cuda(ordinal);
    if (threads > 0) ctx.threads_ = threads;
    return ctx;
  };
  if (device == "auto") {
    std::exception_ptr failure;  // of the last: there are devices, but none to be had
    for (const auto& found : cuda_devices()) {
      try {
        return on_device(found.ordinal);
      } catch (const std::runtime_error&) {
        failure = std::current_exception();
      }
    }
    if (failure) std::rethrow_exception(failure);
  }
  if (device == "cpu" || device == "auto") return cpu(threads);

  int ordinal = 0;
  if (device.starts_with("cuda:")) {
    const std::string number = device.substr(5);
    const auto [end, error] =
        std::from_chars(number.data(), number.data() + number.size(), ordinal);
    if (error != std::errc() || end != number.data() + number.size() || ordinal < 0) ordinal = -1;
  } else if (device != "cuda") {
    ordinal = -1;
  }
  if (ordinal < 0)
    throw InputError("--device " + device + ": there is no such kind of device; use auto, cpu, " +
                     "cuda or cuda:1");
  return on_device(ordinal);
}

Context Context::with_precision(Precision precision) const {
  Context same = *this;
  same.precision_ = precision;
  return same;
}

void Context::synchronize() const {
  if constexpr (built_with_cuda)
    if (device_) orrery::cuda::synchronize(*device_);
}

static const char* instructions() {
#if defined(__x86_64__)
  if (tiles::available()) return ", AVX-512 and AMX";
  if (__builtin_cpu_supports("avx512f")) return ", AVX-512";
  if (__builtin_cpu_supports("avx2")) return ", AVX2";
#endif
  return "";
}

std::string Context::description() const {
  if constexpr (built_with_cuda)
    if (device_) return orrery::cuda::description(*device_);
  return "cpu (" + std::to_string(threads_) + (threads_ == 1 ? " thread" : " threads") +
         instructions() + ")";
}

std::vector<DeviceDescription> cuda_devices() {
  if constexpr (built_with_cuda) return orrery::cuda::devices();
  return {};
}

namespace detail {

std::shared_ptr<void> allocate(const Context& ctx, std::size_t bytes) {
  if constexpr (built_with_cuda) {
    if (ctx.backend() == Backend::cuda) {
      void* memory = orrery::cuda::allocate(ctx.device(), bytes);
      return {memory, [ctx](void* p) { orrery::cuda::release(ctx.device(), p); }};
    }
  }
  constexpr std::size_t alignment = 64;
  const std::size_t rounded = (bytes / alignment + 1) * alignment;
  void* memory = std::aligned_alloc(alignment, rounded);
  if (!memory) throw std::bad_alloc();
  return {memory, std::free};
}

void fill_zero(const Context& ctx, void* memory, std::size_t bytes) {
  if (bytes == 0) return;
  if constexpr (built_with_cuda)
    if (ctx.backend() == Backend::cuda) return orrery::cuda::fill_zero(ctx.device(), memory, bytes);
  std::memset(memory, 0, bytes);
}

static void copy(const Context& ctx, void* to, const void* from, std::size_t bytes,
                 orrery::cuda::CopyKind kind) {
  if (bytes == 0) return;
  if constexpr (built_with_cuda)
    if (ctx.backend() == Backend::cuda)
      return orrery::cuda::copy_bytes(ctx.device(), to, from, bytes, kind);
  std::memcpy(to, from, bytes);
}

void copy_within(const Context& ctx, void* to, const void* from, std::size_t bytes) {
  copy(ctx, to, from, bytes, orrery::cuda::CopyKind::within);
}
void copy_upload(const Context& ctx, void* to, const void* from, std::size_t bytes) {
  copy(ctx, to, from, bytes, orrery::cuda::CopyKind::upload);
}
void copy_download(const Context& ctx, void* to, const void* from, std::size_t bytes) {
  copy(ctx, to, from, bytes, orrery::cuda::CopyKind::download);
}

}  // namespace detail
}  // namespace orrery
