#pragma once

// CUDA on the CPU: the part of the CUDA language that our kernels use, so that g++ compiles them
// and tests run them where there is no GPU. One fiber plays one CUDA thread, blocks run one after
// another, and waiting at a barrier or a shuffle is a switch to another fiber. Made to find
// mistakes, not to be fast:
//   - device memory cannot be touched by the host (device_memory.hpp);
//   - shared memory starts every block as NaN, and writing past its end is an error;
//   - threads run in ascending order in one phase between two barriers and in descending order in
//     the next, so that a missing barrier gives wrong numbers;
//   - a shuffle from a lane that takes no part gives NaN;
//   - a vector of numbers, such as float2, that is not aligned to its size is an error (the
//     compiler's sanitizer: CMakeLists.txt);
//   - a barrier that not all threads of a block reach, and a launch that the hardware would refuse,
//     throw std::runtime_error naming the kernel.
// There is no __shared__: kernels ask dynamic_shared() for their memory.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <functional>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct uint3 {
  unsigned x = 0, y = 0, z = 0;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

// Plain globals: one emulated device runs one kernel at a time.
inline uint3 threadIdx, blockIdx;
inline dim3 blockDim, gridDim;
inline constexpr int warpSize = 32;

namespace orrery {
namespace emulation {

inline constexpr unsigned most_threads_a_block = 1024;
inline constexpr std::size_t most_shared_bytes = 227 * 1024;  // H100: what one block may ask for

/// Runs body once for every thread of the grid, with threadIdx and its fellows set. Throws
/// std::runtime_error naming the kernel on a launch beyond the hardware's limits, on threads that
/// wait for one another for ever, on writes past the end of shared memory; and whatever body
/// throws.
void run(const char* name, dim3 grid, dim3 block, std::size_t shared_bytes,
         const std::function<void()>& body);

/// Queues such a run: it is done at once, unless a recording is being made (emulated_runtime.cpp),
/// which keeps it. `body` owns all that it needs.
void launch(const char* name, dim3 grid, dim3 block, std::size_t shared_bytes,
            std::function<void()> body);

/// Waits for all threads of the block.
void wait_for_block();

/// What a lane brings to a warp-wide exchange, and finds there from its fellows.
inline constexpr std::size_t exchange_bytes = 32;
struct WarpExchange {
  unsigned present = 0;  // bit l: lane l took part
  alignas(16) unsigned char bytes[32][exchange_bytes];
};

/// Waits for all lanes named in `mask` that have not returned; gives what each of them brought.
const WarpExchange& wait_for_warp(unsigned mask, const void* value, std::size_t bytes);

/// The values that the lanes of the warp bring, NaN bytes for those that take no part. Wrappers of
/// warp-wide instructions are written with this.
template <class T>
std::array<T, 32> exchange(unsigned mask, T value) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= exchange_bytes);
  const WarpExchange& found = wait_for_warp(mask, &value, sizeof(T));
  std::array<T, 32> values;
  for (int lane = 0; lane < 32; ++lane)
    std::memcpy(static_cast<void*>(&values[lane]), found.bytes[lane], sizeof(T));
  return values;
}

/// The calling thread's place in its warp.
inline unsigned lane() {
  return (threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32;
}

void* shared_memory();

/// Throws std::runtime_error naming the kernel that runs.
[[noreturn]] void fail(const char* problem);

/// Fails unless all of the bytes lie in the block's shared memory.
void require_shared(const void* first, std::size_t bytes);

/// A copy to shared memory that is done when its thread waits for it; zeros where `from` is null.
void copy_later(void* to, const void* from, std::size_t bytes);
/// Makes the copies since the last call one group.
void commit_copies();
/// Does the copies of all groups of this thread but the latest `but`.
void wait_for_copies(unsigned but);

}  // namespace emulation

/// The block's dynamic shared memory as an array of T.
template <class T>
T* dynamic_shared() {
  return static_cast<T*>(emulation::shared_memory());
}

}  // namespace orrery

inline void __syncthreads() { orrery::emulation::wait_for_block(); }
inline void __syncwarp(unsigned mask = 0xffffffffu) {
  orrery::emulation::wait_for_warp(mask, nullptr, 0);
}
inline void __threadfence() {}

// The warp is cut into groups of `width` lanes; a source outside the group means one's own value.
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  const int lane = static_cast<int>(orrery::emulation::lane());
  return orrery::emulation::exchange(mask, value)[(lane & ~(width - 1)) | (source & (width - 1))];
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const int lane = static_cast<int>(orrery::emulation::lane());
  const int source = lane - static_cast<int>(delta);
  return orrery::emulation::exchange(mask, value)[source < (lane & ~(width - 1)) ? lane : source];
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const int lane = static_cast<int>(orrery::emulation::lane());
  const int source = lane + static_cast<int>(delta);
  return orrery::emulation::exchange(mask, value)[source > (lane | (width - 1)) ? lane : source];
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32) {
  const int lane = static_cast<int>(orrery::emulation::lane());
  const int source = lane ^ lane_mask;
  return orrery::emulation::exchange(mask, value)[source > (lane | (width - 1)) ? lane : source];
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  const auto& found = orrery::emulation::wait_for_warp(mask, &predicate, sizeof predicate);
  unsigned votes = 0;
  for (int lane = 0; lane < 32; ++lane) {
    int vote;
    std::memcpy(&vote, found.bytes[lane], sizeof vote);
    if ((found.present >> lane & 1u) && vote) votes |= 1u << lane;
  }
  return votes;
}

/// Fibers never run at the same time, so the plain sum is atomic.
template <class T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
  const T old = *address;
  *address += value;
  return old;
}

template <class T>
T __ldg(const T* address) {
  return *address;
}

// CUDA's min and max live in the global namespace, take mixed types and prefer numbers to NaN.
template <class A, class B>
requires(std::is_arithmetic_v<A>&& std::is_arithmetic_v<B>) constexpr auto min(A a, B b) {
  using T = std::common_type_t<A, B>;
  if constexpr (std::is_floating_point_v<T>)
    return std::fmin(T(a), T(b));
  else
    return T(a) < T(b) ? T(a) : T(b);
}
template <class A, class B>
requires(std::is_arithmetic_v<A>&& std::is_arithmetic_v<B>) constexpr auto max(A a, B b) {
  using T = std::common_type_t<A, B>;
  if constexpr (std::is_floating_point_v<T>)
    return std::fmax(T(a), T(b));
  else
    return T(a) < T(b) ? T(b) : T(a);
}

// The special function unit: known to a bound within half a turn, and not at all beyond.
inline float __sinf(float x) {
  return std::abs(x) <= 3.15f ? std::round(std::sin(x) * 0x1p21f) * 0x1p-21f : NAN;
}
inline float __cosf(float x) {
  return std::abs(x) <= 3.15f ? std::round(std::cos(x) * 0x1p21f) * 0x1p-21f : NAN;
}

inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) double2 {
  double x, y;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline double2 make_double2(double x, double y) { return {x, y}; }
