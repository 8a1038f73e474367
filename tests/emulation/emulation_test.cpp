#include "tests/emulation/emulation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <complex>
#include <csignal>
#include <numeric>
#include <vector>

#include "kernels/cuda_runtime.hpp"
#include "kernels/launch.hpp"
#include "kernels/parallel_for.hpp"
#include "kernels/tensor.hpp"

namespace orrery {
namespace {

using testing::HasSubstr;

const Context& device() {
  static const Context ctx = Context::cuda();
  return ctx;
}

std::string failure(const std::function<void()>& f) {
  try {
    f();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

__global__ void place_kernel(unsigned* place) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  place[block * blockDim.x * blockDim.y * blockDim.z + thread] += 1000 * block + thread;
}

TEST(Emulation, RunsEveryThreadOfEveryBlockOnce) {
  std::vector<unsigned> place(2 * 3 * 2 * 5 * 7 * 2, 0);
  launch(device(), "place", place_kernel, dim3(2, 3, 2), dim3(5, 7, 2), 0, place.data());
  for (unsigned i = 0; i < place.size(); ++i) EXPECT_EQ(place[i], i / 70 * 1000 + i % 70);
}

// Sum over a block by a tree in shared memory.
__global__ void block_sum_kernel(const float* x, float* sums) {
  float* partial = dynamic_shared<float>();
  partial[threadIdx.x] = x[blockIdx.x * blockDim.x + threadIdx.x];
  __syncthreads();
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) sums[blockIdx.x] = partial[0];
}

TEST(Emulation, SharedMemoryAndBarriers) {
  std::vector<float> x(3 * 1024), sums(3);
  std::iota(x.begin(), x.end(), 0.0f);
  launch(device(), "block sum", block_sum_kernel, dim3(3), dim3(1024), 1024 * sizeof(float),
         x.data(), sums.data());
  for (int b = 0; b < 3; ++b) EXPECT_EQ(sums[b], 1024 * (1024 * b) + 1023 * 1024 / 2);
}

// Each thread reads the slot after and the slot before its own; the barrier between is missing.
__global__ void forgotten_barrier_kernel(int step, float* y) {
  float* shared = dynamic_shared<float>();
  const int i = static_cast<int>(threadIdx.x), n = static_cast<int>(blockDim.x);
  shared[i] = static_cast<float>(i);
  y[blockIdx.x * blockDim.x + i] = shared[(i + step + n) % n];
}

TEST(Emulation, ForgottenBarrierGivesNaN) {
  for (int step : {1, -1}) {
    std::vector<float> y(2 * 64);
    launch(device(), "forgotten barrier", forgotten_barrier_kernel, dim3(2), dim3(64), 256, step,
           y.data());
    EXPECT_TRUE(std::any_of(y.begin() + 1, y.begin() + 63, [](float v) { return std::isnan(v); }) ||
                std::any_of(y.begin() + 65, y.end() - 1, [](float v) { return std::isnan(v); }));
  }
}

__global__ void read_unwritten_kernel(float* y) { *y = dynamic_shared<float>()[0]; }

TEST(Emulation, SharedAndDeviceMemoryStartAsNaN) {
  const auto fresh = download(device(), Tensor<float, 1>(device(), 100));
  for (float v : fresh.view()) EXPECT_TRUE(std::isnan(v));
  float y = 0;
  launch(device(), "read unwritten", read_unwritten_kernel, dim3(1), dim3(1), 4, &y);
  EXPECT_TRUE(std::isnan(y));
}

template <class T>
__global__ void shuffle_kernel(T* y) {  // y (6, 32)
  const int lane = static_cast<int>(threadIdx.x);
  const T mine = static_cast<T>(lane);
  y[0 * 32 + lane] = __shfl_sync(~0u, mine, 5);
  y[1 * 32 + lane] = __shfl_sync(~0u, mine, 3, 8);
  y[2 * 32 + lane] = __shfl_up_sync(~0u, mine, 2);
  y[3 * 32 + lane] = __shfl_down_sync(~0u, mine, 2, 16);
  y[4 * 32 + lane] = __shfl_xor_sync(~0u, mine, 7);
  y[5 * 32 + lane] = static_cast<T>(__ballot_sync(~0u, lane % 3 == 0) == 0x49249249u);
}

template <class T>
class EmulatedShuffle : public testing::Test {};
using ShuffledTypes = testing::Types<float, double, int, unsigned>;
TYPED_TEST_SUITE(EmulatedShuffle, ShuffledTypes);

TYPED_TEST(EmulatedShuffle, FollowsTheHardware) {
  std::vector<TypeParam> y(6 * 32);
  launch(device(), "shuffle", shuffle_kernel<TypeParam>, dim3(1), dim3(32), 0, y.data());
  for (int lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(y[0 * 32 + lane], TypeParam(5));
    EXPECT_EQ(y[1 * 32 + lane], TypeParam(lane / 8 * 8 + 3));
    EXPECT_EQ(y[2 * 32 + lane], TypeParam(lane < 2 ? lane : lane - 2));
    EXPECT_EQ(y[3 * 32 + lane], TypeParam(lane % 16 >= 14 ? lane : lane + 2));
    EXPECT_EQ(y[4 * 32 + lane], TypeParam(lane ^ 7));
    EXPECT_EQ(y[5 * 32 + lane], TypeParam(1));
  }
}

// Half warps that go separate ways, then meet again; lanes 40 .. 63 do not exist.
__global__ void diverging_kernel(float* y) {
  const unsigned lane = threadIdx.x % 32;
  float sum = 1;
  if (lane < 16) {
    for (int m = 8; m > 0; m /= 2) sum += __shfl_xor_sync(0x0000ffffu, sum, m);
  } else {
    sum += __shfl_xor_sync(0xffff0000u, sum, 1);
  }
  __syncwarp();
  y[threadIdx.x] = threadIdx.x < 32 ? __shfl_sync(~0u, sum, 31 - lane) : sum;
}

TEST(Emulation, HalfWarpsMayDiverge) {
  std::vector<float> y(40);
  launch(device(), "diverging", diverging_kernel, dim3(1), dim3(40), 0, y.data());
  for (int i = 0; i < 32; ++i) EXPECT_EQ(y[i], i < 16 ? 2 : 16) << i;
  for (int i = 32; i < 40; ++i) EXPECT_TRUE(std::isnan(y[i])) << i;  // its tree meets missing lanes
}

__global__ void barrier_for_some_kernel() {
  if (threadIdx.x < 7) __syncthreads();
}
__global__ void barrier_against_shuffle_kernel(float* y) {
  if (threadIdx.x == 3) __syncthreads();
  *y = __shfl_xor_sync(~0u, 1.0f, 1);
}
__global__ void nothing_kernel() {}
__global__ void overrun_kernel() { dynamic_shared<float>()[4] = 1; }

TEST(Emulation, ThreadsThatWaitForEverAreReported) {
  const std::string some =
      failure([] { launch(device(), "some", barrier_for_some_kernel, dim3(1), dim3(40), 0); });
  EXPECT_THAT(some, HasSubstr("kernel 'some'"));
  EXPECT_THAT(some, HasSubstr("7 wait at __syncthreads"));
  EXPECT_THAT(some, HasSubstr("33 have returned"));
  float y;
  const std::string mixed = failure(
      [&] { launch(device(), "mixed", barrier_against_shuffle_kernel, dim3(1), dim3(32), 0, &y); });
  EXPECT_THAT(mixed, HasSubstr("31 wait for lanes"));
  // The machine is in order afterwards.
  launch(device(), "nothing", nothing_kernel, dim3(2), dim3(64), 0);
}

TEST(Emulation, WritesPastSharedMemoryAreReported) {
  EXPECT_THAT(failure([] { launch(device(), "overrun", overrun_kernel, dim3(1), dim3(1), 16); }),
              HasSubstr("kernel 'overrun': it wrote past the 16 bytes"));
  EXPECT_THAT(failure([] { launch(device(), "none", overrun_kernel, dim3(1), dim3(1), 0); }),
              HasSubstr("without any"));
}

TEST(Emulation, RefusesWhatTheHardwareRefuses) {
  const auto refused = [](dim3 grid, dim3 block, std::size_t bytes) {
    return failure([&] { launch(device(), "nothing", nothing_kernel, grid, block, bytes); });
  };
  EXPECT_EQ(refused(dim3(1), dim3(1024), 227 * 1024), "");
  for (const auto& message :
       {refused(dim3(0), dim3(1), 0), refused(dim3(1, 65536), dim3(1), 0),
        refused(dim3(1), dim3(1025), 0), refused(dim3(1), dim3(32, 33), 0),
        refused(dim3(1), dim3(1, 1, 65), 0), refused(dim3(1), dim3(1), 227 * 1024 + 1)})
    EXPECT_THAT(message, HasSubstr("kernel 'nothing': could not be launched"));
}

__global__ void count_kernel(int* count) { atomicAdd(count, 1); }

TEST(Emulation, AtomicAdd) {
  int count = 0;
  launch(device(), "count", count_kernel, dim3(10), dim3(100), 0, &count);
  EXPECT_EQ(count, 1000);
}

struct Square {
  View<double, 1> x;
  ORRERY_HOST_DEVICE void operator()(Index i) const { x(i) = static_cast<double>(i * i); }
};

TEST(Emulation, ParallelForCoversALongRange) {
  Tensor<double, 1> x(device(), 1'000'003);
  parallel_for(device(), "square", x.size(), Square{x});
  const auto found = download(device(), x);
  for (Index i = 0; i < x.size(); ++i) ASSERT_EQ(found(i), static_cast<double>(i * i));
}

TEST(EmulatedRuntime, FourierTransformIsUnnormalised) {
  // sum_x exp(-+ 2 pi i k x / 3) v[x] of v = (1, 0, 0) and (0, 1, 0)
  std::vector<std::complex<double>> v = {1, 0, 0, 0, 1, 0};
  const Index extents[] = {3};
  cuda::fft(device().device(), v.data(), 1, extents, 2, false);
  const auto w = std::polar(1.0, -2 * M_PI / 3);
  const std::complex<double> expected[] = {1, 1, 1, 1, w, w * w};
  for (int i = 0; i < 6; ++i) EXPECT_LT(std::abs(v[i] - expected[i]), 1e-15);
  cuda::fft(device().device(), v.data(), 1, extents, 2, true);
  EXPECT_LT(std::abs(v[0] - 3.0) + std::abs(v[1]) + std::abs(v[4] - 3.0), 1e-14);
}

TEST(EmulatedRuntime, OneDevice) {
  ASSERT_EQ(cuda_devices().size(), 1u);
  EXPECT_EQ(cuda_devices()[0].name, "emulated CUDA device");
  EXPECT_GT(cuda::free_bytes(device().device()), 0u);
  EXPECT_EQ(device().backend(), Backend::cuda);
  EXPECT_ANY_THROW(Context::cuda(1));
}

TEST(EmulatedRuntime, RecordsWhatIsDoneLater) {
  auto x = Tensor<double, 1>::zeros(device(), 3);
  const auto recording = cuda::record(device().device(), [&] {
    Tensor<double, 1> scratch(device(), 3);
    parallel_for(device(), "square", 3, Square{scratch});
    copy<double, 1>(device(), scratch, x);
  });
  EXPECT_EQ(download(device(), x)(2), 0);
  cuda::replay(device().device(), *recording);
  EXPECT_EQ(download(device(), x)(2), 4);
}

#if !defined(__SANITIZE_ADDRESS__)
TEST(EmulatedRuntime, HostCannotTouchDeviceMemory) {
  auto x = Tensor<double, 1>::zeros(device(), 3);
  EXPECT_EXIT(x(0) = 1, testing::KilledBySignal(SIGSEGV), "");
}
#endif

TEST(EmulatedRuntime, RefusesToRecordWhatNeedsMemoryOfBeforeOrAfter) {
  Tensor<double, 1> kept(device(), 3);
  const auto problem_with = [&](const std::function<void()>& work) {
    return failure([&] { cuda::record(device().device(), work); });
  };
  EXPECT_THAT(problem_with([&] { kept = {}; }), HasSubstr("had not taken"));
  EXPECT_THAT(problem_with([&] { kept = Tensor<double, 1>(device(), 3); }), HasSubstr("kept"));
  // Plans of transforms take memory too.
  Tensor<std::complex<double>, 1> data(device(), 7);
  const Index extents[] = {7};
  const auto fft = [&] { cuda::fft(device().device(), data.data(), 1, extents, 1, false); };
  EXPECT_THAT(problem_with(fft), HasSubstr("planning"));
  fft();
  cuda::record(device().device(), fft);
}

}  // namespace
}  // namespace orrery
