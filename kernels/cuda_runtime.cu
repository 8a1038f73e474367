#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <cufft.h>
#include <nvtx3/nvToolsExt.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <map>
#include <mutex>
#include <string>
#include <type_traits>

#include "kernels/check.hpp"
#include "kernels/cuda_runtime.hpp"
#include "kernels/profiling.hpp"

namespace orrery::cuda {
namespace {

template <auto destroy>
struct DestroyWith {
  void operator()(auto* handle) const { destroy(handle); }
};
using Stream = std::unique_ptr<CUstream_st, DestroyWith<cudaStreamDestroy>>;
using Blas = std::unique_ptr<cublasContext, DestroyWith<cublasDestroy>>;
using GraphExecutable = std::unique_ptr<CUgraphExec_st, DestroyWith<cudaGraphExecDestroy>>;

class FftPlan {
 public:
  FftPlan() = default;
  FftPlan(const FftPlan&) = delete;
  ~FftPlan() {
    if (made_) cufftDestroy(handle_);
  }
  cufftResult make(cudaStream_t stream, int rank, long long* extents, cufftType type,
                   long long batch) {
    cufftResult status = cufftCreate(&handle_);
    made_ = status == CUFFT_SUCCESS;
    long long points = 1;
    for (int d = 0; d < rank; ++d) points *= extents[d];
    std::size_t work_bytes = 0;
    if (status == CUFFT_SUCCESS)
      status = cufftMakePlanMany64(handle_, rank, extents, nullptr, 1, points, nullptr, 1, points,
                                   type, batch, &work_bytes);
    return status == CUFFT_SUCCESS ? cufftSetStream(handle_, stream) : status;
  }
  cufftHandle handle() const { return handle_; }

 private:
  cufftHandle handle_ = 0;
  bool made_ = false;
};

/// Rank, up to three extents, batch, and whether in double.
using FftShape = std::array<Index, 6>;

/// Asked whether this build holds machine code for a device.
__global__ void probe() {}

std::string name_of(int ordinal) { return "cuda:" + std::to_string(ordinal); }

std::string gibibytes(std::size_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f GiB", static_cast<double>(bytes) / (1 << 30));
  return text;
}

}  // namespace

struct Device {
  int ordinal = 0;
  std::string name;
  Stream stream;
  Blas blas;
  cudaMemPool_t pool = nullptr;
  std::mutex fft_mutex;
  std::map<FftShape, std::shared_ptr<FftPlan>> fft_plans;

  ~Device() { cudaSetDevice(ordinal); }  // the handles are given back to their own device
};

namespace {

[[noreturn]] void fail(const Device& device, const std::string& what, const std::string& reason) {
  throw std::runtime_error(name_of(device.ordinal) + ": " + what + ": " + reason);
}

void check(const Device& device, const char* what, cudaError_t status) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // forget errors that can be forgotten
  fail(device, what, cudaGetErrorString(status));
}

void check(const Device& device, const char* what, cublasStatus_t status) {
  if (status != CUBLAS_STATUS_SUCCESS) fail(device, what, cublasGetStatusString(status));
}

void check(const Device& device, const char* what, cufftResult status) {
  if (status != CUFFT_SUCCESS)
    fail(device, what,
         status == CUFFT_ALLOC_FAILED ? "not enough device memory"
                                      : "cuFFT status " + std::to_string(status));
}

/// CUDA calls go to the calling thread's current device.
void make_current(const Device& device) {
  check(device, "the device cannot be used", cudaSetDevice(device.ordinal));
}

/// Gives what was released, and stayed in the pool, back to the system. Waits for the device, which
/// has released it only then.
void trim_pool(Device& device) {
  synchronize(device);
  check(device, "its memory pool cannot be used", cudaMemPoolTrimTo(device.pool, 0));
}

}  // namespace

std::vector<DeviceDescription> devices() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {  // no driver, or none that is new enough
    cudaGetLastError();
    return {};
  }
  std::vector<DeviceDescription> found;
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    // Questions that do not start the device: that takes a moment, and memory on each.
    cudaDeviceProp properties;
    int mode = cudaComputeModeProhibited;
    if (cudaGetDeviceProperties(&properties, ordinal) == cudaSuccess &&
        cudaDeviceGetAttribute(&mode, cudaDevAttrComputeMode, ordinal) == cudaSuccess &&
        mode != cudaComputeModeProhibited)
      found.push_back({ordinal, properties.name});
    else
      cudaGetLastError();
  }
  return found;
}

std::shared_ptr<Device> open_device(int ordinal) {
  const std::string option = "--device " + name_of(ordinal) + ": ";
  int count = 0;
  const cudaError_t counted = cudaGetDeviceCount(&count);
  if (counted != cudaSuccess || count == 0)
    throw InputError(option + "no CUDA device can be used here (" +
                     cudaGetErrorString(counted != cudaSuccess ? counted : cudaErrorNoDevice) +
                     "); use --device cpu");
  if (ordinal < 0 || ordinal >= count)
    throw InputError(option + "there is no such device; choose from cuda:0 to " +
                     name_of(count - 1));

  auto device = std::make_shared<Device>();
  device->ordinal = ordinal;
  if (const cudaError_t started = cudaSetDevice(ordinal); started != cudaSuccess) {
    cudaGetLastError();
    throw InputError(option + "the device cannot be used now (" + cudaGetErrorString(started) +
                     "); choose another, or use --device cpu");
  }
  cudaDeviceProp properties;
  check(*device, "its properties cannot be read", cudaGetDeviceProperties(&properties, ordinal));
  device->name = properties.name;
  cudaFuncAttributes attributes;
  if (cudaFuncGetAttributes(&attributes, probe) != cudaSuccess) {
    cudaGetLastError();
    const std::string capability = std::to_string(properties.major * 10 + properties.minor);
    throw InputError(option + "this build has no code for the " + device->name +
                     "; rebuild with -DORRERY_CUDA_ARCHITECTURES=" + capability);
  }

  cudaStream_t stream;
  check(*device, "no stream could be made",
        cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  device->stream.reset(stream);
  cublasHandle_t blas;
  check(*device, "cuBLAS could not be started", cublasCreate(&blas));
  device->blas.reset(blas);
  check(*device, "cuBLAS could not be started", cublasSetStream(blas, stream));

  // Released memory stays in the pool for the next tensor instead of going back to the system.
  check(*device, "its memory pool cannot be used",
        cudaDeviceGetDefaultMemPool(&device->pool, ordinal));
  std::uint64_t kept = UINT64_MAX;
  check(*device, "its memory pool cannot be used",
        cudaMemPoolSetAttribute(device->pool, cudaMemPoolAttrReleaseThreshold, &kept));
  return device;
}

std::string description(const Device& device) {
  return name_of(device.ordinal) + " (" + device.name + ")";
}

void synchronize(Device& device) {
  make_current(device);
  check(device, "the work queued there failed", cudaStreamSynchronize(device.stream.get()));
}

void* allocate(Device& device, std::size_t bytes) {
  make_current(device);
  void* memory = nullptr;
  const cudaError_t status =
      cudaMallocAsync(&memory, std::max<std::size_t>(bytes, 1), device.stream.get());
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    std::size_t free_bytes = 0, total_bytes = 0;
    cudaMemGetInfo(&free_bytes, &total_bytes);
    fail(device, gibibytes(bytes) + " could not be allocated",
         gibibytes(free_bytes) + " of " + gibibytes(total_bytes) +
             " are free; take smaller batches or a larger device");
  }
  check(device, "memory could not be allocated", status);
  return memory;
}

void release(Device& device, void* memory) {
  // Called by destructors: what fails here has failed, and been reported, before.
  cudaSetDevice(device.ordinal);
  cudaFreeAsync(memory, device.stream.get());
}

std::size_t free_bytes(Device& device) {
  trim_pool(device);
  std::size_t free = 0, total = 0;
  check(device, "its free memory cannot be read", cudaMemGetInfo(&free, &total));
  return free;
}

void copy_bytes(Device& device, void* to, const void* from, std::size_t bytes, CopyKind kind) {
  if (bytes == 0) return;
  make_current(device);
  const cudaMemcpyKind direction = kind == CopyKind::upload     ? cudaMemcpyHostToDevice
                                   : kind == CopyKind::download ? cudaMemcpyDeviceToHost
                                                                : cudaMemcpyDeviceToDevice;
  check(device, "a copy failed", cudaMemcpyAsync(to, from, bytes, direction, device.stream.get()));
  if (kind != CopyKind::within) synchronize(device);
}

void fill_zero(Device& device, void* memory, std::size_t bytes) {
  if (bytes == 0) return;
  make_current(device);
  check(device, "memory could not be set to zero",
        cudaMemsetAsync(memory, 0, bytes, device.stream.get()));
}

template <class T>
void gemm(Device& device, bool transpose_a, bool transpose_b, Index m, Index n, Index k, T alpha,
          const T* a, Index lda, const T* b, Index ldb, T beta, T* c, Index ldc) {
  make_current(device);
  // To cuBLAS, which counts by columns, a row-major matrix is its transpose: it is asked for
  // C^T = op(B)^T op(A)^T, and every operand is already that.
  const auto op = [](bool transpose) { return transpose ? CUBLAS_OP_T : CUBLAS_OP_N; };
  const auto stride = [](Index count) { return std::max<Index>(count, 1); };
  const auto multiply = [&](auto* library_gemm) {
    return library_gemm(device.blas.get(), op(transpose_b), op(transpose_a), n, m, k, &alpha, b,
                        stride(ldb), a, stride(lda), &beta, c, stride(ldc));
  };
  if constexpr (std::is_same_v<T, float>)
    check(device, "a matrix product failed", multiply(cublasSgemm_64));
  else
    check(device, "a matrix product failed", multiply(cublasDgemm_64));
}

template <class T>
void fft(Device& device, std::complex<T>* data, int rank, const Index* extents, Index batch,
         bool inverse) {
  constexpr bool is_double = std::is_same_v<T, double>;
  make_current(device);
  FftShape shape{rank, 1, 1, 1, batch, is_double};
  std::copy_n(extents, rank, shape.begin() + 1);

  const std::scoped_lock lock(device.fft_mutex);
  auto found = device.fft_plans.find(shape);
  if (found == device.fft_plans.end()) {
    // Plans keep device memory: a program that walks through many shapes must not pile them up.
    constexpr std::size_t most_plans = 16;
    if (device.fft_plans.size() >= most_plans) device.fft_plans.clear();
    const auto made = std::make_shared<FftPlan>();
    long long lengths[3] = {1, 1, 1};
    std::copy_n(extents, rank, lengths);
    check(device, "a Fourier transform could not be planned",
          made->make(device.stream.get(), rank, lengths, is_double ? CUFFT_Z2Z : CUFFT_C2C, batch));
    found = device.fft_plans.emplace(shape, made).first;
  }
  const cufftHandle plan = found->second->handle();
  const int direction = inverse ? CUFFT_INVERSE : CUFFT_FORWARD;
  cufftResult status;
  if constexpr (is_double) {
    auto* numbers = reinterpret_cast<cufftDoubleComplex*>(data);
    status = cufftExecZ2Z(plan, numbers, numbers, direction);
  } else {
    auto* numbers = reinterpret_cast<cufftComplex*>(data);
    status = cufftExecC2C(plan, numbers, numbers, direction);
  }
  check(device, "a Fourier transform failed", status);
}

struct Readback {
  std::size_t bytes = 0;
  std::unique_ptr<void, DestroyWith<cudaFreeHost>> memory;
  std::unique_ptr<CUevent_st, DestroyWith<cudaEventDestroy>> arrived;
};

std::shared_ptr<Readback> make_readback(Device& device, std::size_t bytes) {
  make_current(device);
  auto readback = std::make_shared<Readback>();
  readback->bytes = bytes;
  void* memory = nullptr;
  check(device, "page-locked memory could not be allocated", cudaMallocHost(&memory, bytes));
  readback->memory.reset(memory);
  cudaEvent_t event;
  check(device, "an event could not be made",
        cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  readback->arrived.reset(event);
  return readback;
}

void begin(Device& device, Readback& readback, const void* from) {
  make_current(device);
  const cudaStream_t stream = device.stream.get();
  check(
      device, "a copy failed",
      cudaMemcpyAsync(readback.memory.get(), from, readback.bytes, cudaMemcpyDeviceToHost, stream));
  check(device, "a copy failed", cudaEventRecord(readback.arrived.get(), stream));
}

const void* finish(Device& device, Readback& readback) {
  make_current(device);
  check(device, "the work queued there failed", cudaEventSynchronize(readback.arrived.get()));
  return readback.memory.get();
}

struct Recording {
  Device& device;
  std::map<FftShape, std::shared_ptr<FftPlan>> fft_plans;  // of which it uses some
  GraphExecutable graph;

  ~Recording() {
    // Graphs have memory of their own, which goes back to the system only when told to. What fails
    // here has failed, and been reported, before.
    cudaSetDevice(device.ordinal);
    cudaStreamSynchronize(device.stream.get());
    graph.reset();
    cudaDeviceGraphMemTrim(device.ordinal);
  }
};

std::shared_ptr<Recording> record(Device& device, const std::function<void()>& work) {
  trim_pool(device);
  const cudaStream_t stream = device.stream.get();
  check(device, "a step could not be recorded",
        cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  cudaGraph_t captured = nullptr;
  try {
    work();
  } catch (...) {
    // The stream must leave its recording whatever happened.
    if (cudaStreamEndCapture(stream, &captured) == cudaSuccess) cudaGraphDestroy(captured);
    cudaGetLastError();
    throw;
  }
  check(device, "a step could not be recorded", cudaStreamEndCapture(stream, &captured));
  const std::unique_ptr<CUgraph_st, DestroyWith<cudaGraphDestroy>> graph(captured);
  cudaGraphExec_t executable = nullptr;
  check(device, "a recorded step could not be prepared",
        cudaGraphInstantiate(&executable, graph.get(), 0));
  return std::shared_ptr<Recording>(
      new Recording{device, device.fft_plans, GraphExecutable(executable)});
}

void replay(Device& device, const Recording& recording) {
  make_current(device);
  check(device, "a recorded step could not be queued",
        cudaGraphLaunch(recording.graph.get(), device.stream.get()));
}

cudaStream_t stream_of(Device& device) {
  make_current(device);
  return device.stream.get();
}

void begin_range(const char* name) { nvtxRangePushA(name); }
void end_range() { nvtxRangePop(); }

template void gemm(Device&, bool, bool, Index, Index, Index, float, const float*, Index,
                   const float*, Index, float, float*, Index);
template void gemm(Device&, bool, bool, Index, Index, Index, double, const double*, Index,
                   const double*, Index, double, double*, Index);
template void fft(Device&, std::complex<float>*, int, const Index*, Index, bool);
template void fft(Device&, std::complex<double>*, int, const Index*, Index, bool);

}  // namespace orrery::cuda
