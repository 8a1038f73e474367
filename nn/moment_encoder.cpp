#include "nn/moment_encoder.hpp"

#include "kernels/check.hpp"
#include "kernels/transpose.hpp"

namespace orrery {
namespace {

TwoBranchSettings network_of(const MomentEncoderSettings& settings) {
  return {.dimensions = 1,
          .n = settings.n,
          .window = settings.window,
          .first_inputs = settings.first_inputs,
          .second_inputs = settings.second_inputs,
          .first_branch = settings.first_branch,
          .second_branch = settings.second_branch,
          .joint = settings.joint,
          .dense = settings.dense,
          .outputs = settings.n,
          .activation_of_dense = settings.activation_of_dense};
}

/// Samples after one another, each with its numbers, and numbers after one another, each with its
/// samples.
template <class T>
View<T, 2> by_sample(View<T, 3> numbers) {
  return numbers.reshaped(numbers.extent(0), numbers.extent(1) * numbers.extent(2));
}
template <class T>
View<T, 2> by_number(View<T, 1> numbers, Index samples) {
  return numbers.reshaped(numbers.size() / samples, samples);
}

}  // namespace

template <class T>
MomentEncoder<T>::MomentEncoder(const MomentEncoderSettings& settings, Parameters<T>& parameters,
                                const std::string& name)
    : settings_(settings), network_("MomentEncoder", network_of(settings), parameters, name) {}

template <class T>
typename MomentEncoder<T>::Workspace MomentEncoder<T>::workspace(const Context& ctx,
                                                                 Index batch) const {
  require(batch >= 1, "MomentEncoder::workspace", "a batch has at least one sample");
  return {network_.activations(ctx, batch), network_.gradients(ctx, batch)};
}

template <class T>
void MomentEncoder<T>::forward(const Context& ctx, const Parameters<T>& parameters,
                               View<const T, 3> first, View<const T, 3> second,
                               Workspace& workspace, View<T, 2> output) const {
  const char* here = "MomentEncoder::forward";
  const Index batch = workspace.batch(), n = settings_.n;
  require(network_.owns(workspace.activations), here, "the workspace belongs to another encoder");
  require_shape(here, "first", first, {batch, settings_.first_inputs, n});
  require_shape(here, "second", second, {batch, settings_.second_inputs, n});
  require_shape(here, "output", output, {batch, n});

  auto& activations = workspace.activations;
  transpose<T>(ctx, by_sample(first), by_number(activations.first(), batch));
  transpose<T>(ctx, by_sample(second), by_number(activations.second(), batch));
  network_.forward(ctx, parameters, activations);
  transpose<T>(ctx, by_number<const T>(activations.outputs(), batch), output);
}

template <class T>
void MomentEncoder<T>::backward(const Context& ctx, Parameters<T>& parameters, Workspace& workspace,
                                View<const T, 2> doutput) const {
  const char* here = "MomentEncoder::backward";
  const Index batch = workspace.batch();
  require(network_.owns(workspace.activations), here, "the workspace belongs to another encoder");
  require_shape(here, "doutput", doutput, {batch, Index{settings_.n}});

  transpose<T>(ctx, doutput, by_number(workspace.gradients.outputs(), batch));
  network_.backward(ctx, parameters, workspace.activations, workspace.gradients);
}

template class MomentEncoder<float>;
template class MomentEncoder<double>;

}  // namespace orrery
