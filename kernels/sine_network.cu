#include <algorithm>
#include <type_traits>
#include <vector>

#include "kernels/fast_sine.hpp"
#include "kernels/gemm.hpp"
#include "kernels/parallel_for.hpp"
#include "kernels/sine_network_fused.hpp"
#include "kernels/tensor.hpp"

// Networks of floats up to a width are fused kernels (sine_network_forward.cu and
// sine_network_backward.cu). All others work in chunks of points: matrix products by the library,
// sines by pointwise kernels between them. Chunks are large enough to fill a device and small
// enough that memory does not grow with the number of points.

namespace orrery::cuda {

namespace {

constexpr Index chunk_points = 1 << 16;

/// a = sin(frequency (a + bias)), and the slope frequency cos(...) where it is asked for.
template <class T>
struct SineWithBias {
  const T* bias;
  T frequency;
  Index width;
  T* a;
  T* slope;  // may be null
  ORRERY_HOST_DEVICE void operator()(Index i) const {
    const auto both = fast_sine_cosine(frequency * (a[i] + bias[i % width]));
    a[i] = both.sine;
    if (slope) slope[i] = frequency * both.cosine;
  }
};

template <class T>
struct AddBias {
  const T* bias;
  Index width;
  T* y;
  ORRERY_HOST_DEVICE void operator()(Index i) const { y[i] += bias[i % width]; }
};

template <class T>
struct MultiplyElements {
  const T* factor;
  T* x;
  ORRERY_HOST_DEVICE void operator()(Index i) const { x[i] *= factor[i]; }
};

template <class T>
struct Fill {
  T value;
  T* x;
  ORRERY_HOST_DEVICE void operator()(Index i) const { x[i] = value; }
};

/// Weight matrix (outputs, inputs) and bias of one layer inside a flat block.
template <class T>
struct LayerViews {
  View<T, 2> weight;
  View<T, 1> bias;
};

template <class T>
LayerViews<T> layer_of(const SineNetworkShape& shape, View<T, 1> block, Index index) {
  const auto [inputs, outputs, weight, bias] = shape.layer(index);
  return {{block.data + weight, outputs, inputs}, {block.data + bias, outputs}};
}

/// Activations of every sine layer for one chunk; slopes too where `slopes` is not null.
template <class T>
void run_sine_layers(const Context& ctx, const SineNetworkShape& shape, View<const T, 1> parameters,
                     View<const T, 2> x, const std::vector<View<T, 2>>& activations,
                     const std::vector<View<T, 2>>* slopes) {
  View<const T, 2> input = x;
  for (Index l = 0; l <= shape.hidden_layers; ++l) {
    const auto layer = layer_of<const T>(shape, parameters, l);
    const View<T, 2> output = activations[l].rows(0, x.extent(0));
    gemm<T>(ctx, Transpose::no, Transpose::yes, T(1), input, layer.weight, T(0), output);
    parallel_for(ctx, "sine network: sine", output.size(),
                 SineWithBias<T>{layer.bias.data, static_cast<T>(shape.frequency(l)), shape.width,
                                 output.data, slopes ? (*slopes)[l].data : nullptr});
    input = output;
  }
}

template <class T>
struct ChunkScratch {
  std::vector<Tensor<T, 2>> owned;
  std::vector<View<T, 2>> views;

  ChunkScratch(const Context& ctx, Index layers, Index distinct, Index rows, Index width) {
    for (Index i = 0; i < distinct; ++i) owned.emplace_back(ctx, rows, width);
    for (Index l = 0; l < layers; ++l) views.push_back(owned[l % distinct].view());
  }
};

}  // namespace

template <class T>
void sine_network_forward(const Context& ctx, const SineNetworkShape& shape,
                          View<const T, 1> parameters, View<const T, 2> x, View<T, 2> y) {
  if constexpr (std::is_same_v<T, float>)
    if (shape.width <= widest_fused_network)
      return fused_sine_network_forward(ctx, shape, parameters, x, y);

  const Index points = x.extent(0);
  const Index chunk = std::min(points, chunk_points);
  const Index layers = shape.hidden_layers + 1;
  ChunkScratch<T> activations(ctx, layers, std::min<Index>(layers, 2), chunk, shape.width);
  const auto head = layer_of<const T>(shape, parameters, layers);
  for (Index first = 0; first < points; first += chunk) {
    const Index count = std::min(chunk, points - first);
    run_sine_layers<T>(ctx, shape, parameters, x.rows(first, count), activations.views, nullptr);
    const View<T, 2> out = y.rows(first, count);
    gemm<T>(ctx, Transpose::no, Transpose::yes, T(1), activations.views[layers - 1].rows(0, count),
            head.weight, T(0), out);
    parallel_for(ctx, "sine network: bias", out.size(),
                 AddBias<T>{head.bias.data, shape.outputs, out.data});
  }
}

template <class T>
void sine_network_backward(const Context& ctx, const SineNetworkShape& shape,
                           View<const T, 1> parameters, View<const T, 2> x, View<const T, 2> dy,
                           View<T, 1> dparameters) {
  if constexpr (std::is_same_v<T, float>)
    if (shape.width <= widest_fused_network)
      return fused_sine_network_backward(ctx, shape, parameters, x, dy, dparameters);

  const Index points = x.extent(0);
  const Index chunk = std::min(points, chunk_points);
  const Index layers = shape.hidden_layers + 1;
  ChunkScratch<T> activations(ctx, layers, layers, chunk, shape.width);
  ChunkScratch<T> slopes(ctx, layers, layers, chunk, shape.width);
  ChunkScratch<T> descending(ctx, 2, 2, chunk, shape.width);
  Tensor<T, 2> ones(ctx, Index{1}, chunk);
  parallel_for(ctx, "sine network: ones", chunk, Fill<T>{T(1), ones.data()});

  for (Index first = 0; first < points; first += chunk) {
    const Index count = std::min(chunk, points - first);
    const View<const T, 2> x_chunk = x.rows(first, count);
    const View<const T, 2> ones_chunk(ones.data(), 1, count);
    run_sine_layers<T>(ctx, shape, parameters, x_chunk, activations.views, &slopes.views);

    // dW += dpre^T a and db += 1^T dpre, from the head down.
    View<const T, 2> dpre = dy.rows(first, count);
    for (Index l = layers; l >= 0; --l) {
      const auto gradient = layer_of<T>(shape, dparameters, l);
      const View<const T, 2> input =
          l == 0 ? x_chunk : View<const T, 2>(activations.views[l - 1].rows(0, count));
      gemm<T>(ctx, Transpose::yes, Transpose::no, T(1), dpre, input, T(1), gradient.weight);
      gemm<T>(ctx, Transpose::no, Transpose::no, T(1), ones_chunk, dpre, T(1),
              gradient.bias.reshaped(Index{1}, gradient.bias.size()));
      if (l == 0) break;
      const auto layer = layer_of<const T>(shape, parameters, l);
      const View<T, 2> below = descending.views[l % 2].rows(0, count);
      gemm<T>(ctx, Transpose::no, Transpose::no, T(1), dpre, layer.weight, T(0), below);
      parallel_for(ctx, "sine network: slope", below.size(),
                   MultiplyElements<T>{slopes.views[l - 1].data, below.data});
      dpre = below;
    }
  }
}

#define ORRERY_INSTANTIATE(T)                                                                      \
  template void sine_network_forward<T>(const Context&, const SineNetworkShape&, View<const T, 1>, \
                                        View<const T, 2>, View<T, 2>);                             \
  template void sine_network_backward<T>(const Context&, const SineNetworkShape&,                  \
                                         View<const T, 1>, View<const T, 2>, View<const T, 2>,     \
                                         View<T, 1>);
ORRERY_INSTANTIATE(float)
ORRERY_INSTANTIATE(double)
#undef ORRERY_INSTANTIATE

}  // namespace orrery::cuda
