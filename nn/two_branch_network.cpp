#include "nn/two_branch_network.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/check.hpp"
#include "kernels/conv.hpp"
#include "kernels/pointwise.hpp"
#include "kernels/random.hpp"

namespace orrery {
namespace {

constexpr double leaky_slope = 0.02;
constexpr double output_layer_scale = 0.1;
// The activations that every network has, by index.
constexpr Index first_moment = 0, second_moment = 1, stacked = 2;

/// Numbers as the channels of one picture.
template <class T>
View<T, 4> channels_of(View<T, 1> numbers, Index channels, Index rows, Index columns) {
  return numbers.reshaped(Index{1}, channels, rows, columns);
}

}  // namespace

template <class T>
TwoBranchNetwork<T>::TwoBranchNetwork(const char* owner, const TwoBranchSettings& settings,
                                      Parameters<T>& parameters, const std::string& name)
    : settings_(settings) {
  auto positive = [](const std::vector<Index>& counts) {
    return std::all_of(counts.begin(), counts.end(), [](Index count) { return count >= 1; });
  };
  require(!settings.first_branch.empty() && !settings.second_branch.empty(), owner,
          "each branch needs a convolution");
  require(settings.outputs >= 1 && settings.first_inputs >= 1 && settings.second_inputs >= 1 &&
              positive(settings.first_branch) && positive(settings.second_branch) &&
              positive(settings.joint) && positive(settings.dense),
          owner, "channels and layer widths must be at least 1");
  require(settings.window >= 1 && settings.window % 2 == 1 && settings.window <= settings.n, owner,
          "the window must be odd and at most n");

  const Index first_channels = settings.first_branch.back();
  Index channels = first_channels + settings.second_branch.back();
  add_activation(settings.first_inputs, positions());   // first_moment
  add_activation(settings.second_inputs, positions());  // second_moment
  add_activation(channels, positions());                // stacked
  add_branch(settings.first_branch, settings.first_inputs, first_moment, stacked, 0);
  add_branch(settings.second_branch, settings.second_inputs, second_moment, stacked,
             first_channels);

  Index input = stacked;
  for (const Index outputs : settings.joint) {
    const Index output = add_activation(outputs, positions());
    add_layer(true, channels, outputs, input, output, 0);
    input = output;
    channels = outputs;
  }
  std::vector<Index> dense = settings.dense;
  dense.push_back(settings.outputs);
  Index inputs = channels * positions();
  for (const Index outputs : dense) {
    const Index output = add_activation(outputs, 1);
    add_layer(false, inputs, outputs, input, output, 0);
    input = output;
    inputs = outputs;
  }
  part_ = parameters.add(name, parameter_count_);
}

template <class T>
Index TwoBranchNetwork<T>::positions() const {
  return settings_.dimensions == 1 ? settings_.n : Index{settings_.n} * settings_.n;
}

template <class T>
Index TwoBranchNetwork<T>::add_activation(Index channels, Index positions) {
  activation_counts_.push_back(channels * positions);
  return static_cast<Index>(activation_counts_.size()) - 1;
}

template <class T>
void TwoBranchNetwork<T>::add_layer(bool convolves, Index inputs, Index outputs, Index input,
                                    Index output, Index first) {
  layers_.push_back({convolves, inputs, outputs, input, output, first, parameter_count_});
  parameter_count_ += weight_count(layers_.back()) + outputs;
}

/// Convolutions one after another; the last writes where the branches are stacked.
template <class T>
void TwoBranchNetwork<T>::add_branch(const std::vector<Index>& channels, Index inputs, Index input,
                                     Index output, Index first) {
  for (std::size_t i = 0; i + 1 < channels.size(); ++i) {
    const Index between = add_activation(channels[i], positions());
    add_layer(true, inputs, channels[i], input, between, 0);
    input = between;
    inputs = channels[i];
  }
  add_layer(true, inputs, channels.back(), input, output, first);
}

template <class T>
typename TwoBranchNetwork<T>::Picture TwoBranchNetwork<T>::picture_of(const Layer& layer,
                                                                      Index samples) const {
  const Index n = settings_.n, window = settings_.window;
  if (!layer.convolves) return {1, samples, 1, 1};
  if (settings_.dimensions == 1) return {n, samples, window, 1};
  return {n, n, window, window};
}

template <class T>
bool TwoBranchNetwork<T>::has_tanh(const Layer& layer) const {
  return !layer.convolves && settings_.activation_of_dense == TwoBranchSettings::Dense::tanh;
}

template <class T>
Index TwoBranchNetwork<T>::weight_count(const Layer& layer) const {
  const Picture picture = picture_of(layer, 1);
  return layer.outputs * layer.inputs * picture.window_rows * picture.window_columns;
}

template <class T>
template <class U>
View<U, 4> TwoBranchNetwork<T>::weight_of(const Layer& layer, View<U, 1> part) const {
  const Picture picture = picture_of(layer, 1);
  return part.rows(layer.weight, weight_count(layer))
      .reshaped(layer.outputs, layer.inputs, picture.window_rows, picture.window_columns);
}

template <class T>
template <class U>
View<U, 1> TwoBranchNetwork<T>::bias_of(const Layer& layer, View<U, 1> part) const {
  return part.rows(layer.weight + weight_count(layer), layer.outputs);
}

template <class T>
template <class U>
View<U, 1> TwoBranchNetwork<T>::input_of(const Layer& layer, Index samples,
                                         View<U, 1> activation) const {
  return activation.rows(0, activation_counts_[layer.input] * samples);
}

template <class T>
template <class U>
View<U, 1> TwoBranchNetwork<T>::output_of(const Layer& layer, Index samples,
                                          View<U, 1> activation) const {
  const Index channel = samples * (layer.convolves ? positions() : 1);
  return activation.rows(layer.first * channel, layer.outputs * channel);
}

template <class T>
void TwoBranchNetwork<T>::initialise(Parameters<T>& parameters, std::uint64_t seed) const {
  const Context& ctx = parameters.context();
  const View<T, 1> part = parameters.values(part_);
  set_zero<T, 1>(ctx, part);
  for (const Layer& layer : layers_) {
    const double fan_in = static_cast<double>(weight_count(layer) / layer.outputs);
    const double reach = std::sqrt(6 / fan_in) * (is_last(layer) ? output_layer_scale : 1.0);
    // Every layer draws from a stream of its own, the one of its place in the part.
    const auto stream = static_cast<std::uint64_t>(layer.weight);
    fill_uniform<T>(ctx, seed, stream, static_cast<T>(-reach), static_cast<T>(reach),
                    weight_of(layer, part).flat());
  }
}

template <class T>
typename TwoBranchNetwork<T>::Activations TwoBranchNetwork<T>::allocated(const Context& ctx,
                                                                         Index samples,
                                                                         std::size_t first) const {
  Activations result{samples, std::vector<Tensor<T, 1>>(first)};
  for (std::size_t i = first; i < activation_counts_.size(); ++i)
    result.numbers.emplace_back(ctx, activation_counts_[i] * samples);
  return result;
}

template <class T>
typename TwoBranchNetwork<T>::Activations TwoBranchNetwork<T>::activations(const Context& ctx,
                                                                           Index samples) const {
  return allocated(ctx, samples, first_moment);
}

template <class T>
typename TwoBranchNetwork<T>::Activations TwoBranchNetwork<T>::gradients(const Context& ctx,
                                                                         Index samples) const {
  return allocated(ctx, samples, stacked);
}

template <class T>
bool TwoBranchNetwork<T>::owns(const Activations& activations) const {
  return std::equal(activation_counts_.begin(), activation_counts_.end(),
                    activations.numbers.begin(), activations.numbers.end(),
                    [&](Index count, const Tensor<T, 1>& numbers) {
                      return numbers.size() == count * activations.samples;
                    });
}

template <class T>
void TwoBranchNetwork<T>::forward(const Context& ctx, const Parameters<T>& parameters,
                                  Activations& activations) const {
  const View<const T, 1> part = parameters.values(part_);
  for (const Layer& layer : layers_) {
    const Picture picture = picture_of(layer, activations.samples);
    const View<const T, 1> x = activations.numbers[layer.input];
    const View<T, 1> y =
        output_of(layer, activations.samples, activations.numbers[layer.output].view());
    conv2d_forward<T>(ctx, channels_of(x, layer.inputs, picture.rows, picture.columns),
                      weight_of(layer, part), bias_of(layer, part),
                      channels_of(y, layer.outputs, picture.rows, picture.columns));
    if (is_last(layer)) continue;
    if (has_tanh(layer))
      tanh_forward<T>(ctx, y, y);
    else
      leaky_relu_forward<T>(ctx, static_cast<T>(leaky_slope), y, y);
  }
}

template <class T>
void TwoBranchNetwork<T>::backward(const Context& ctx, Parameters<T>& parameters,
                                   const Activations& activations, Activations& gradients) const {
  const View<const T, 1> part = std::as_const(parameters).values(part_);
  const View<T, 1> dpart = parameters.gradients(part_);
  for (auto it = layers_.rbegin(); it != layers_.rend(); ++it) {
    const Layer& layer = *it;
    const Picture picture = picture_of(layer, activations.samples);
    const View<const T, 1> x = activations.numbers[layer.input];
    const View<const T, 1> y =
        output_of(layer, activations.samples, activations.numbers[layer.output].view());
    const View<T, 1> dy =
        output_of(layer, activations.samples, gradients.numbers[layer.output].view());
    const View<T, 1> dx =
        input_of(layer, activations.samples, gradients.numbers[layer.input].view());
    if (!is_last(layer)) {
      if (has_tanh(layer))
        tanh_backward<T>(ctx, y, dy, dy);
      else  // the slope is positive: y has the sign of what it was made from
        leaky_relu_backward<T>(ctx, static_cast<T>(leaky_slope), y, dy, dy);
    }
    auto pictures = [&](auto numbers, Index channels) {
      return channels_of(numbers, channels, picture.rows, picture.columns);
    };
    conv2d_backward<T>(ctx, pictures(x, layer.inputs), weight_of(layer, part),
                       pictures(View<const T, 1>(dy), layer.outputs), pictures(dx, layer.inputs),
                       weight_of(layer, dpart), bias_of(layer, dpart));
  }
}

template class TwoBranchNetwork<float>;
template class TwoBranchNetwork<double>;

}  // namespace orrery
