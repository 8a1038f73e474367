#include "nn/density_encoder.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/check.hpp"
#include "kernels/conv.hpp"
#include "kernels/dense.hpp"
#include "kernels/pointwise.hpp"
#include "kernels/random.hpp"
#include "kernels/reduce.hpp"

namespace orrery {
namespace {

constexpr double leaky_slope = 0.02;
constexpr double output_layer_scale = 0.1;
// The activations that every encoder has, by index.
constexpr Index first_moment = 0, second_moment = 1, stacked = 2;

/// `channels` pictures as a batch of one.
template <class T>
View<T, 4> pictures(View<T, 1> numbers, Index channels, Index n) {
  return numbers.reshaped(Index{1}, channels, n, n);
}
template <class T>
View<T, 2> row(View<T, 1> numbers) {
  return numbers.reshaped(Index{1}, numbers.size());
}

/// A copy of root mean square 1, so that the encoder sees the same numbers whatever a map's scale.
template <class T>
Tensor<T, 1> scaled_to_unit(const Context& ctx, View<const T, 1> numbers) {
  const double mean_square = squared_norm<T>(ctx, numbers) / static_cast<double>(numbers.size());
  require(mean_square > 0 && std::isfinite(mean_square), "DensityEncoder::forward",
          "a moment is zero or not finite");
  auto scaled = tensor_like<T>(ctx, numbers);
  copy<T, 1>(ctx, numbers, scaled);
  scale<T>(ctx, static_cast<T>(1 / std::sqrt(mean_square)), scaled);
  return scaled;
}

}  // namespace

template <class T>
DensityEncoder<T>::DensityEncoder(const DensityEncoderSettings& settings, Parameters<T>& parameters,
                                  const std::string& name)
    : settings_(settings) {
  const char* here = "DensityEncoder";
  auto positive = [](const std::vector<Index>& counts) {
    return std::all_of(counts.begin(), counts.end(), [](Index count) { return count >= 1; });
  };
  require(!settings.first_branch.empty() && !settings.second_branch.empty(), here,
          "each branch needs a convolution");
  require(settings.outputs >= 1 && positive(settings.first_branch) &&
              positive(settings.second_branch) && positive(settings.joint) &&
              positive(settings.dense),
          here, "channels and layer widths must be at least 1");
  require(settings.window >= 1 && settings.window % 2 == 1 && settings.window <= settings.n, here,
          "the window must be odd and at most n");

  const Index pixels = Index{settings.n} * settings.n;
  const Index first_channels = settings.first_branch.back();
  Index channels = first_channels + settings.second_branch.back();
  add_activation(pixels);             // first_moment
  add_activation(pixels * pixels);    // second_moment
  add_activation(channels * pixels);  // stacked
  add_branch(settings.first_branch, 1, first_moment, stacked, 0);
  add_branch(settings.second_branch, pixels, second_moment, stacked, first_channels * pixels);

  Index input = stacked;
  for (const Index outputs : settings.joint) {
    const Index output = add_activation(outputs * pixels);
    add_layer(true, channels, outputs, input, output, 0);
    input = output;
    channels = outputs;
  }
  std::vector<Index> dense = settings.dense;
  dense.push_back(settings.outputs);
  Index inputs = channels * pixels;
  for (const Index outputs : dense) {
    const Index output = add_activation(outputs);
    add_layer(false, inputs, outputs, input, output, 0);
    input = output;
    inputs = outputs;
  }
  part_ = parameters.add(name, parameter_count_);
}

template <class T>
Index DensityEncoder<T>::add_activation(Index count) {
  activation_counts_.push_back(count);
  return static_cast<Index>(activation_counts_.size()) - 1;
}

template <class T>
void DensityEncoder<T>::add_layer(bool convolves, Index inputs, Index outputs, Index input,
                                  Index output, Index first) {
  layers_.push_back({convolves, inputs, outputs, input, output, first, parameter_count_});
  parameter_count_ += weight_count(layers_.back()) + outputs;
}

/// Convolutions one after another; the last writes where the branches are stacked.
template <class T>
void DensityEncoder<T>::add_branch(const std::vector<Index>& channels, Index inputs, Index input,
                                   Index output, Index first) {
  const Index pixels = Index{settings_.n} * settings_.n;
  for (std::size_t i = 0; i + 1 < channels.size(); ++i) {
    const Index between = add_activation(channels[i] * pixels);
    add_layer(true, inputs, channels[i], input, between, 0);
    input = between;
    inputs = channels[i];
  }
  add_layer(true, inputs, channels.back(), input, output, first);
}

template <class T>
Index DensityEncoder<T>::weight_count(const Layer& layer) const {
  const Index taps = layer.convolves ? Index{settings_.window} * settings_.window : 1;
  return layer.outputs * layer.inputs * taps;
}

template <class T>
template <class U>
View<U, 1> DensityEncoder<T>::weight_of(const Layer& layer, View<U, 1> part) const {
  return part.rows(layer.weight, weight_count(layer));
}

template <class T>
template <class U>
View<U, 1> DensityEncoder<T>::bias_of(const Layer& layer, View<U, 1> part) const {
  return part.rows(layer.weight + weight_count(layer), layer.outputs);
}

template <class T>
template <class U>
View<U, 1> DensityEncoder<T>::output_of(const Layer& layer, View<U, 1> activation) const {
  const Index pixels = layer.convolves ? Index{settings_.n} * settings_.n : 1;
  return activation.rows(layer.first, layer.outputs * pixels);
}

template <class T>
void DensityEncoder<T>::initialise(Parameters<T>& parameters, std::uint64_t seed) const {
  const Context& ctx = parameters.context();
  const View<T, 1> part = parameters.values(part_);
  set_zero<T, 1>(ctx, part);
  for (const Layer& layer : layers_) {
    const double fan_in = static_cast<double>(weight_count(layer) / layer.outputs);
    const double reach = std::sqrt(6 / fan_in) * (is_last(layer) ? output_layer_scale : 1.0);
    // Every layer draws from a stream of its own, the one of its place in the part.
    const auto stream = static_cast<std::uint64_t>(layer.weight);
    fill_uniform<T>(ctx, seed, stream, static_cast<T>(-reach), static_cast<T>(reach),
                    weight_of(layer, part));
  }
}

template <class T>
typename DensityEncoder<T>::Saved DensityEncoder<T>::forward(const Context& ctx,
                                                             const Parameters<T>& parameters,
                                                             View<const T, 1> m1,
                                                             View<const T, 2> m2,
                                                             View<T, 1> logits) const {
  const Index n = settings_.n, window = settings_.window, pixels = n * n;
  require_shape("DensityEncoder::forward", "m1", m1, {pixels});
  require_shape("DensityEncoder::forward", "m2", m2, {pixels, pixels});
  require_shape("DensityEncoder::forward", "logits", logits, {settings_.outputs});

  Saved saved;
  saved.activations.push_back(scaled_to_unit<T>(ctx, m1));
  saved.activations.push_back(scaled_to_unit<T>(ctx, m2.flat()));
  for (std::size_t i = stacked; i < activation_counts_.size(); ++i)
    saved.activations.emplace_back(ctx, activation_counts_[i]);

  const View<const T, 1> part = parameters.values(part_);
  for (const Layer& layer : layers_) {
    const View<const T, 1> x = std::as_const(saved.activations[layer.input]);
    const View<const T, 1> weight = weight_of(layer, part), bias = bias_of(layer, part);
    const View<T, 1> y = output_of(layer, saved.activations[layer.output].view());
    if (layer.convolves)
      conv2d_forward<T>(ctx, pictures(x, layer.inputs, n),
                        weight.reshaped(layer.outputs, layer.inputs, window, window), bias,
                        pictures(y, layer.outputs, n));
    else
      dense_forward<T>(ctx, row(x), weight.reshaped(layer.outputs, layer.inputs), bias, row(y));
    if (!is_last(layer)) leaky_relu_forward<T>(ctx, static_cast<T>(leaky_slope), y, y);
  }
  copy<T, 1>(ctx, saved.activations.back(), logits);
  return saved;
}

template <class T>
void DensityEncoder<T>::backward(const Context& ctx, Parameters<T>& parameters, const Saved& saved,
                                 View<const T, 1> dlogits) const {
  const Index n = settings_.n, window = settings_.window;
  require_shape("DensityEncoder::backward", "dlogits", dlogits, {settings_.outputs});
  require(saved.activations.size() == activation_counts_.size(), "DensityEncoder::backward",
          "what forward saved belongs to another encoder");

  // One gradient an activation; the moments, the first two, have none.
  std::vector<Tensor<T, 1>> gradients(stacked);
  for (std::size_t i = stacked; i < activation_counts_.size(); ++i)
    gradients.emplace_back(ctx, activation_counts_[i]);
  copy<T, 1>(ctx, dlogits, gradients.back());

  const View<const T, 1> part = std::as_const(parameters).values(part_);
  const View<T, 1> dpart = parameters.gradients(part_);
  for (auto it = layers_.rbegin(); it != layers_.rend(); ++it) {
    const Layer& layer = *it;
    const View<const T, 1> x = saved.activations[layer.input];
    const View<const T, 1> y = output_of(layer, saved.activations[layer.output].view());
    const View<T, 1> dy = output_of(layer, gradients[layer.output].view());
    const View<T, 1> dx = gradients[layer.input];
    const View<const T, 1> weight = weight_of(layer, part);
    const View<T, 1> dweight = weight_of(layer, dpart), dbias = bias_of(layer, dpart);
    // The slope is positive: y has the sign of what it was made from.
    if (!is_last(layer)) leaky_relu_backward<T>(ctx, static_cast<T>(leaky_slope), y, dy, dy);
    if (layer.convolves)
      conv2d_backward<T>(ctx, pictures(x, layer.inputs, n),
                         weight.reshaped(layer.outputs, layer.inputs, window, window),
                         pictures<const T>(dy, layer.outputs, n),
                         dx.data ? pictures(dx, layer.inputs, n) : View<T, 4>(),
                         dweight.reshaped(layer.outputs, layer.inputs, window, window), dbias);
    else
      dense_backward<T>(ctx, row(x), weight.reshaped(layer.outputs, layer.inputs), row<const T>(dy),
                        row(dx), dweight.reshaped(layer.outputs, layer.inputs), dbias);
  }
}

template class DensityEncoder<float>;
template class DensityEncoder<double>;

}  // namespace orrery
