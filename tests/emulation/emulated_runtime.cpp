// The CUDA runtime seam on host memory: what cuda_runtime.cu asks of the toolkit, asked of the CPU.

#include <fftw3.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/check.hpp"
#include "kernels/cuda_runtime.hpp"
#include "kernels/gemm.hpp"
#include "kernels/profiling.hpp"
#include "tests/emulation/device_memory.hpp"
#include "tests/emulation/emulation.hpp"

namespace orrery::cuda {

/// Rank, up to three extents, batch, and whether in double.
using FftShape = std::array<Index, 6>;

struct Device {
  std::mutex fft_mutex;
  std::set<FftShape> fft_plans;
};

// What a step queues, kept to be done at every replay, and the memory that it took and gave back.
// Nothing is done while a recording is made, and so whoever waits for results then is refused.
struct Recording {
  std::vector<std::function<void()>> work;
  std::set<void*> taken;
  std::vector<std::shared_ptr<void>> given_back;
  std::string problem;  // that a destructor, which must not throw, has found
};

namespace {

thread_local Recording* recording = nullptr;  // the one that this thread makes now

void queue(std::function<void()> work) {
  if (recording) return recording->work.push_back(std::move(work));
  const emulation::DeviceWorks works;
  work();
}

void refuse_in_recording(const char* what) {
  if (recording) throw std::runtime_error(std::string(what) + " cannot be recorded");
}

}  // namespace

std::vector<DeviceDescription> devices() { return {{0, "emulated CUDA device"}}; }

std::shared_ptr<Device> open_device(int ordinal) {
  if (ordinal != 0)
    throw InputError("--device cuda:" + std::to_string(ordinal) +
                     ": there is one emulated CUDA device; use --device cuda:0");
  return std::make_shared<Device>();
}

std::string description(const Device&) { return "cuda:0 (emulated CUDA device)"; }

void synchronize(Device&) { refuse_in_recording("waiting for the device"); }

std::size_t free_bytes(Device&) {
  refuse_in_recording("waiting for the device");
  return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)) *
         static_cast<std::size_t>(sysconf(_SC_AVPHYS_PAGES));
}

void* allocate(Device&, std::size_t bytes) {
  void* memory = emulation::allocate_device_memory(bytes);
  if (recording) recording->taken.insert(memory);
  // NaN, so that a number read before it is written shows.
  queue([=] { std::memset(memory, 0xff, bytes); });
  return memory;
}

void release(Device&, void* memory) {
  if (!recording) return emulation::release_device_memory(memory);
  recording->given_back.emplace_back(memory, emulation::release_device_memory);
  if (recording->taken.erase(memory) == 0)
    recording->problem = "a recorded step gave back memory that it had not taken";
}

void copy_bytes(Device&, void* to, const void* from, std::size_t bytes, CopyKind kind) {
  if (kind != CopyKind::within) refuse_in_recording("a copy from or to the host");
  queue([=] { std::memmove(to, from, bytes); });
}

void fill_zero(Device&, void* memory, std::size_t bytes) {
  queue([=] { std::memset(memory, 0, bytes); });
}

template <class T>
void gemm(Device&, bool transpose_a, bool transpose_b, Index m, Index n, Index k, T alpha,
          const T* a, Index lda, const T* b, Index ldb, T beta, T* c, Index ldc) {
  const auto op = [](bool transposed) { return transposed ? Transpose::yes : Transpose::no; };
  queue([=] {
    blas::gemm<T>(op(transpose_a), op(transpose_b), m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  });
}

namespace {

template <class T>
void do_fft(std::complex<T>* data, int rank, const std::array<int, 3>& lengths, Index batch,
            bool inverse) {
  const int size = lengths[0] * lengths[1] * lengths[2];
  const int sign = inverse ? FFTW_BACKWARD : FFTW_FORWARD;
  const auto transform = [&](auto* numbers, auto make_plan, auto execute, auto destroy) {
    static std::mutex planner;  // FFTW's planner is not thread-safe
    const std::scoped_lock lock(planner);
    const auto plan =
        make_plan(rank, lengths.data(), static_cast<int>(batch), numbers, nullptr, 1, size, numbers,
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

}  // namespace

template <class T>
void fft(Device& device, std::complex<T>* data, int rank, const Index* extents, Index batch,
         bool inverse) {
  FftShape shape{rank, 1, 1, 1, batch, std::is_same_v<T, double>};
  std::copy_n(extents, rank, shape.begin() + 1);
  {
    const std::scoped_lock lock(device.fft_mutex);
    if (device.fft_plans.insert(shape).second) refuse_in_recording("planning a transform");
  }
  std::array<int, 3> lengths = {1, 1, 1};
  std::copy_n(extents, rank, lengths.begin());
  queue([=] { do_fft(data, rank, lengths, batch, inverse); });
}

// A copy takes its numbers when it is begun, and they arrive when it is waited for.
struct Readback {
  std::vector<unsigned char> on_the_way, arrived;
};

std::shared_ptr<Readback> make_readback(Device&, std::size_t bytes) {
  refuse_in_recording("page-locked memory");
  return std::make_shared<Readback>(Readback{std::vector<unsigned char>(bytes, 0xff), {}});
}

void begin(Device&, Readback& readback, const void* from) {
  refuse_in_recording("a copy from or to the host");
  const emulation::DeviceWorks works;
  std::memcpy(readback.on_the_way.data(), from, readback.on_the_way.size());
  readback.arrived.assign(readback.on_the_way.size(), 0xff);  // NaN
}

const void* finish(Device&, Readback& readback) {
  refuse_in_recording("waiting for the device");
  readback.arrived = readback.on_the_way;
  return readback.arrived.data();
}

std::shared_ptr<Recording> record(Device&, const std::function<void()>& work) {
  refuse_in_recording("another recording");
  struct Ending {
    ~Ending() { recording = nullptr; }
  };
  auto made = std::make_shared<Recording>();
  {
    const Ending ending;
    recording = made.get();
    work();
  }
  if (!made->taken.empty()) made->problem = "a recorded step kept memory that it had taken";
  if (!made->problem.empty()) throw std::runtime_error(made->problem);
  return made;
}

void replay(Device&, const Recording& recorded) {
  refuse_in_recording("another recording");
  const emulation::DeviceWorks works;
  for (const auto& work : recorded.work) work();
}

void begin_range(const char*) {}
void end_range() {}

template void gemm(Device&, bool, bool, Index, Index, Index, float, const float*, Index,
                   const float*, Index, float, float*, Index);
template void gemm(Device&, bool, bool, Index, Index, Index, double, const double*, Index,
                   const double*, Index, double, double*, Index);
template void fft(Device&, std::complex<float>*, int, const Index*, Index, bool);
template void fft(Device&, std::complex<double>*, int, const Index*, Index, bool);

}  // namespace orrery::cuda

namespace orrery::emulation {

void launch(const char* name, dim3 grid, dim3 block, std::size_t shared_bytes,
            std::function<void()> body) {
  cuda::queue([=, name = std::string(name), body = std::move(body)] {
    run(name.c_str(), grid, block, shared_bytes, body);
  });
}

}  // namespace orrery::emulation
