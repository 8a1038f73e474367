#include "nn/moment_encoder.hpp"

#include <algorithm>
#include <limits>

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

/// Samples that go through the layers together. On the CPU: some hundred numbers a sample and
/// layer, so many that they fill registers and so few that two layers fit into the second cache. A
/// device wants all there are.
Index largest_group(const Context& ctx) {
  return ctx.backend() == Backend::cpu ? 64 : std::numeric_limits<Index>::max();
}

}  // namespace

template <class T>
MomentEncoder<T>::MomentEncoder(const MomentEncoderSettings& settings, Parameters<T>& parameters,
                                const std::string& name)
    : settings_(settings), network_("MomentEncoder", network_of(settings), parameters, name) {}

template <class T>
Index MomentEncoder<T>::Workspace::batch() const {
  Index samples = 0;
  for (const auto& group : groups) samples += group.samples;
  return samples;
}

template <class T>
typename MomentEncoder<T>::Workspace MomentEncoder<T>::workspace(const Context& ctx,
                                                                 Index batch) const {
  require(batch >= 1, "MomentEncoder::workspace", "a batch has at least one sample");
  const Index largest = std::min(batch, largest_group(ctx));
  Workspace workspace{{}, network_.gradients(ctx, largest)};
  for (Index begin = 0; begin < batch; begin += largest)
    workspace.groups.push_back(network_.activations(ctx, std::min(largest, batch - begin)));
  return workspace;
}

template <class T>
bool MomentEncoder<T>::owns(const Workspace& workspace) const {
  return std::all_of(workspace.groups.begin(), workspace.groups.end(),
                     [&](const auto& group) { return network_.owns(group); });
}

template <class T>
void MomentEncoder<T>::forward(const Context& ctx, const Parameters<T>& parameters,
                               View<const T, 3> first, View<const T, 3> second,
                               Workspace& workspace, View<T, 2> output) const {
  const char* here = "MomentEncoder::forward";
  const Index batch = workspace.batch(), n = settings_.n;
  require(owns(workspace), here, "the workspace belongs to another encoder");
  require_shape(here, "first", first, {batch, settings_.first_inputs, n});
  require_shape(here, "second", second, {batch, settings_.second_inputs, n});
  require_shape(here, "output", output, {batch, n});

  Index begin = 0;
  for (auto& group : workspace.groups) {
    const Index count = group.samples;
    transpose<T>(ctx, by_sample(first.rows(begin, count)), by_number(group.first(), count));
    transpose<T>(ctx, by_sample(second.rows(begin, count)), by_number(group.second(), count));
    network_.forward(ctx, parameters, group);
    transpose<T>(ctx, by_number<const T>(group.outputs(), count), output.rows(begin, count));
    begin += count;
  }
}

template <class T>
void MomentEncoder<T>::backward(const Context& ctx, Parameters<T>& parameters, Workspace& workspace,
                                View<const T, 2> doutput) const {
  const char* here = "MomentEncoder::backward";
  require(owns(workspace), here, "the workspace belongs to another encoder");
  require_shape(here, "doutput", doutput, {workspace.batch(), Index{settings_.n}});

  // Last group first: what its layers gave was written last.
  Index begin = workspace.batch();
  for (auto group = workspace.groups.rbegin(); group != workspace.groups.rend(); ++group) {
    const Index count = group->samples;
    begin -= count;
    const View<T, 1> doutputs = workspace.gradients.outputs().rows(0, count * settings_.n);
    transpose<T>(ctx, doutput.rows(begin, count), by_number(doutputs, count));
    network_.backward(ctx, parameters, *group, workspace.gradients);
  }
}

template class MomentEncoder<float>;
template class MomentEncoder<double>;

}  // namespace orrery
