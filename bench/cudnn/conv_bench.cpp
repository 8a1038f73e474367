#include <cudnn.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include "bench/support/bench.hpp"
#include "kernels/cuda_runtime.hpp"

// What kernels/conv.cu is held against: cuDNN's fastest algorithms for the same arithmetic, with
// zeros beyond the edges, which cost what circular windows do. A program of its own, so that the
// others run where there is no cuDNN.

namespace orrery::bench {
namespace {

void check(cudnnStatus_t status) {
  if (status != CUDNN_STATUS_SUCCESS)
    throw std::runtime_error(std::string("a call of cuDNN failed: ") + cudnnGetErrorString(status));
}

cudnnTensorDescriptor_t describe(View<const float, 4> tensor) {
  cudnnTensorDescriptor_t description;
  check(cudnnCreateTensorDescriptor(&description));
  const auto extent = [&](int i) { return static_cast<int>(tensor.extent(i)); };
  check(cudnnSetTensor4dDescriptor(description, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, extent(0),
                                   extent(1), extent(2), extent(3)));
  return description;
}

constexpr float one = 1, zero = 0;

/// A convolution's tensors and how cuDNN would have it; what it makes of them lives as long as the
/// program.
struct Convolution {
  Tensor<float, 4> x, weight, y, dx, dweight;
  cudnnHandle_t handle;
  cudnnTensorDescriptor_t images, results;
  cudnnFilterDescriptor_t filter;
  cudnnConvolutionDescriptor_t description;
  cudnnConvolutionFwdAlgoPerf_t forward;
  cudnnConvolutionBwdDataAlgoPerf_t to_images;
  cudnnConvolutionBwdFilterAlgoPerf_t to_weights;
  Tensor<float, 1> workspace;
  double flop;

  Convolution(const Context& ctx, Shape s)
      : x(random_tensor<float>(ctx, s["batch"], s["in"], s["n"], s["n"])),
        weight(random_tensor<float>(ctx, s["out"], s["in"], s["window"], s["window"])),
        y(random_tensor<float>(ctx, s["batch"], s["out"], s["n"], s["n"])),
        dx(ctx, s["batch"], s["in"], s["n"], s["n"]),
        dweight(Tensor<float, 4>::zeros(ctx, s["out"], s["in"], s["window"], s["window"])),
        images(describe(x)),
        results(describe(y)),
        flop(2.0 * y.size() * s["in"] * s["window"] * s["window"]) {
    const int window = static_cast<int>(s["window"]);
    check(cudnnCreate(&handle));
    check(cudnnSetStream(handle, cuda::stream_of(ctx.device())));
    check(cudnnCreateFilterDescriptor(&filter));
    check(cudnnSetFilter4dDescriptor(filter, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NCHW,
                                     static_cast<int>(s["out"]), static_cast<int>(s["in"]), window,
                                     window));
    check(cudnnCreateConvolutionDescriptor(&description));
    check(cudnnSetConvolution2dDescriptor(description, window / 2, window / 2, 1, 1, 1, 1,
                                          CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
    check(cudnnSetConvolutionMathType(description, CUDNN_FMA_MATH));
    int found;
    check(cudnnFindConvolutionForwardAlgorithm(handle, images, filter, description, results, 1,
                                               &found, &forward));
    check(cudnnFindConvolutionBackwardDataAlgorithm(handle, filter, results, description, images, 1,
                                                    &found, &to_images));
    check(cudnnFindConvolutionBackwardFilterAlgorithm(handle, images, results, description, filter,
                                                      1, &found, &to_weights));
    const auto bytes = std::max({forward.memory, to_images.memory, to_weights.memory});
    workspace = Tensor<float, 1>(ctx, static_cast<Index>(bytes / sizeof(float) + 1));
    ctx.synchronize();
  }

  void run_forward() {
    check(cudnnConvolutionForward(handle, &one, images, x.data(), filter, weight.data(),
                                  description, forward.algo, workspace.data(), forward.memory,
                                  &zero, results, y.data()));
  }

  void run_backward() {
    check(cudnnConvolutionBackwardData(handle, &one, filter, weight.data(), results, y.data(),
                                       description, to_images.algo, workspace.data(),
                                       to_images.memory, &zero, images, dx.data()));
    check(cudnnConvolutionBackwardFilter(handle, &one, images, x.data(), results, y.data(),
                                         description, to_weights.algo, workspace.data(),
                                         to_weights.memory, &one, filter, dweight.data()));
  }

  double bytes() const { return 4.0 * double(x.size() + weight.size() + y.size()); }
};

const bool forward = measure(
    "library_conv2d_forward", "conv2d",
    [](const Context& ctx, const Shape& shape) {
      Convolution c(ctx, shape);
      const double flop = c.flop, bytes = c.bytes();
      return Work{flop, bytes, [c = std::move(c)]() mutable { c.run_forward(); }};
    },
    Backend::cuda);

const bool backward = measure(
    "library_conv2d_backward", "conv2d",
    [](const Context& ctx, const Shape& shape) {
      Convolution c(ctx, shape);
      const double flop = 2 * c.flop, bytes = 2 * c.bytes();
      return Work{flop, bytes, [c = std::move(c)]() mutable { c.run_backward(); }};
    },
    Backend::cuda);

}  // namespace
}  // namespace orrery::bench
