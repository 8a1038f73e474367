// The CUDA runtime seam on host memory: what cuda_runtime.cu asks of the toolkit, asked of the CPU.

#include <fftw3.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include "kernels/check.hpp"
#include "kernels/cuda_runtime.hpp"
#include "kernels/gemm.hpp"
#include "kernels/profiling.hpp"

namespace orrery::cuda {

struct Device {
  int ordinal = 0;
};

std::vector<DeviceDescription> devices() {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return {{0, "emulated CUDA device", page * static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)),
           page * static_cast<std::size_t>(sysconf(_SC_AVPHYS_PAGES))}};
}

std::shared_ptr<Device> open_device(int ordinal) {
  if (ordinal != 0)
    throw InputError("--device cuda:" + std::to_string(ordinal) +
                     ": there is one emulated CUDA device; use --device cuda:0");
  return std::make_shared<Device>();
}

std::string description(const Device&) { return "cuda:0 (emulated CUDA device)"; }

void synchronize(Device&) {}

void* allocate(Device&, std::size_t bytes) {
  constexpr std::size_t alignment = 256;
  void* memory = std::aligned_alloc(alignment, (bytes / alignment + 1) * alignment);
  if (!memory) throw std::bad_alloc();
  std::memset(memory, 0xff, bytes);  // NaN, so that a number read before it is written shows
  return memory;
}

void release(Device&, void* memory) { std::free(memory); }

void copy_bytes(Device&, void* to, const void* from, std::size_t bytes, CopyKind) {
  std::memmove(to, from, bytes);
}

void fill_zero(Device&, void* memory, std::size_t bytes) { std::memset(memory, 0, bytes); }

template <class T>
void gemm(Device&, bool transpose_a, bool transpose_b, Index m, Index n, Index k, T alpha,
          const T* a, Index lda, const T* b, Index ldb, T beta, T* c, Index ldc) {
  const auto op = [](bool transposed) { return transposed ? Transpose::yes : Transpose::no; };
  blas::gemm<T>(op(transpose_a), op(transpose_b), m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

template <class T>
void fft(Device&, std::complex<T>* data, int rank, const Index* extents, Index batch,
         bool inverse) {
  int lengths[3] = {1, 1, 1}, size = 1;
  for (int d = 0; d < rank; ++d) size *= lengths[d] = static_cast<int>(extents[d]);
  const int sign = inverse ? FFTW_BACKWARD : FFTW_FORWARD;
  const auto transform = [&](auto* numbers, auto make_plan, auto execute, auto destroy) {
    static std::mutex planner;  // FFTW's planner is not thread-safe
    const std::scoped_lock lock(planner);
    const auto plan =
        make_plan(rank, lengths, static_cast<int>(batch), numbers, nullptr, 1, size, numbers,
                  nullptr, 1, size, sign, static_cast<unsigned>(FFTW_ESTIMATE));
    if (!plan) throw std::runtime_error("FFTW cannot plan this transform");
    execute(plan);
    destroy(plan);
  };
  if constexpr (std::is_same_v<T, float>)
    transform(reinterpret_cast<fftwf_complex*>(data), fftwf_plan_many_dft, fftwf_execute,
              fftwf_destroy_plan);
  else
    transform(reinterpret_cast<fftw_complex*>(data), fftw_plan_many_dft, fftw_execute,
              fftw_destroy_plan);
}

// A copy takes its numbers when it is begun, and they arrive when it is waited for.
struct Readback {
  std::vector<unsigned char> on_the_way, arrived;
};

std::shared_ptr<Readback> make_readback(Device&, std::size_t bytes) {
  return std::make_shared<Readback>(Readback{std::vector<unsigned char>(bytes, 0xff), {}});
}

void begin(Device&, Readback& readback, const void* from) {
  std::memcpy(readback.on_the_way.data(), from, readback.on_the_way.size());
  readback.arrived.assign(readback.on_the_way.size(), 0xff);  // NaN
}

const void* finish(Device&, Readback& readback) {
  readback.arrived = readback.on_the_way;
  return readback.arrived.data();
}

// Nothing here can be recorded without being done: the work is kept and done when it is replayed.
struct Recording {
  std::function<void()> work;
};

std::shared_ptr<Recording> record(Device&, const std::function<void()>& work) {
  return std::make_shared<Recording>(Recording{work});
}

void replay(Device&, const Recording& recording) { recording.work(); }

void begin_range(const char*) {}
void end_range() {}

template void gemm(Device&, bool, bool, Index, Index, Index, float, const float*, Index,
                   const float*, Index, float, float*, Index);
template void gemm(Device&, bool, bool, Index, Index, Index, double, const double*, Index,
                   const double*, Index, double, double*, Index);
template void fft(Device&, std::complex<float>*, int, const Index*, Index, bool);
template void fft(Device&, std::complex<double>*, int, const Index*, Index, bool);

}  // namespace orrery::cuda
