#pragma once

#include <complex>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "kernels/context.hpp"

struct CUstream_st;  // what the toolkit's cudaStream_t points to

/// The seam between the engine and the CUDA toolkit: memory, copies and library calls. It includes
/// no CUDA header. Two implementations: `cuda_runtime.cu` (the toolkit) and
/// `tests/emulation/emulated_runtime.cpp` (host memory, CPU libraries), so that everything above it
/// can be tested where there is no GPU.
namespace orrery::cuda {

/// Those that programs may use, as far as can be told without starting any of them.
std::vector<DeviceDescription> devices();
/// Throws InputError where there is no such device, the build has no code for it, or another
/// program has it for itself.
std::shared_ptr<Device> open_device(int ordinal);
std::string description(const Device&);
void synchronize(Device&);

/// Stream-ordered memory. The contents are undefined (the emulation fills them with NaN).
void* allocate(Device&, std::size_t bytes);
void release(Device&, void* memory);
/// What could be allocated now; waits for the device, and gives what was released back to the
/// system.
std::size_t free_bytes(Device&);

enum class CopyKind { upload, download, within };
/// Copies bytes in stream order; uploads and downloads have finished when it returns.
void copy_bytes(Device&, void* to, const void* from, std::size_t bytes, CopyKind kind);
void fill_zero(Device&, void* memory, std::size_t bytes);

/// Row-major C (m, n) = alpha op(A) op(B) + beta C, with lda, ldb, ldc the row strides.
template <class T>
void gemm(Device&, bool transpose_a, bool transpose_b, Index m, Index n, Index k, T alpha,
          const T* a, Index lda, const T* b, Index ldb, T beta, T* c, Index ldc);

/// `batch` unnormalised complex FFTs of rank 1 to 3 over contiguous row-major data, in place.
template <class T>
void fft(Device&, std::complex<T>* data, int rank, const Index* extents, Index batch, bool inverse);

/// A copy to the host that nobody waits for before its numbers are wanted, over and over through
/// the same page-locked memory.
struct Readback;
std::shared_ptr<Readback> make_readback(Device&, std::size_t bytes);
/// Queues the copy. What it brought before is lost.
void begin(Device&, Readback&, const void* from);
/// Waits for the copy begun last, and for nothing queued after it.
const void* finish(Device&, Readback&);

/// What `work` queued on the device's stream, which was not done but recorded. Throws
/// std::runtime_error when it waited for the device. Waits for it once itself, so that what was
/// released before is there for the recording, which has memory of its own as long as it lives.
struct Recording;
std::shared_ptr<Recording> record(Device&, const std::function<void()>& work);
/// Queues it all again.
void replay(Device&, const Recording&);

/// For launches, and for libraries that only the toolkit's device has: its stream, the device being
/// the current one afterwards.
CUstream_st* stream_of(Device&);

}  // namespace orrery::cuda
