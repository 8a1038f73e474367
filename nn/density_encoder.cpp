#include "nn/density_encoder.hpp"

#include <cmath>

#include "kernels/check.hpp"
#include "kernels/pointwise.hpp"
#include "kernels/reduce.hpp"

namespace orrery {
namespace {

TwoBranchSettings network_of(const DensityEncoderSettings& settings) {
  return {.dimensions = 2,
          .n = settings.n,
          .window = settings.window,
          .first_inputs = 1,
          .second_inputs = Index{settings.n} * settings.n,
          .first_branch = settings.first_branch,
          .second_branch = settings.second_branch,
          .joint = settings.joint,
          .dense = settings.dense,
          .outputs = settings.outputs};
}

/// A copy of root mean square 1, so that the encoder sees the same numbers whatever a map's scale.
template <class T>
void copy_scaled_to_unit(const Context& ctx, View<const T, 1> numbers, View<T, 1> scaled) {
  const double mean_square = squared_norm<T>(ctx, numbers) / static_cast<double>(numbers.size());
  require(mean_square > 0 && std::isfinite(mean_square), "DensityEncoder::forward",
          "a moment is zero or not finite");
  copy<T, 1>(ctx, numbers, scaled);
  scale<T>(ctx, static_cast<T>(1 / std::sqrt(mean_square)), scaled);
}

}  // namespace

template <class T>
DensityEncoder<T>::DensityEncoder(const DensityEncoderSettings& settings, Parameters<T>& parameters,
                                  const std::string& name)
    : settings_(settings), network_("DensityEncoder", network_of(settings), parameters, name) {}

template <class T>
typename DensityEncoder<T>::Saved DensityEncoder<T>::forward(const Context& ctx,
                                                             const Parameters<T>& parameters,
                                                             View<const T, 1> m1,
                                                             View<const T, 2> m2,
                                                             View<T, 1> logits) const {
  const Index pixels = Index{settings_.n} * settings_.n;
  require_shape("DensityEncoder::forward", "m1", m1, {pixels});
  require_shape("DensityEncoder::forward", "m2", m2, {pixels, pixels});
  require_shape("DensityEncoder::forward", "logits", logits, {settings_.outputs});

  Saved saved = network_.activations(ctx, 1);
  copy_scaled_to_unit<T>(ctx, m1, saved.first());
  copy_scaled_to_unit<T>(ctx, m2.flat(), saved.second());
  network_.forward(ctx, parameters, saved);
  copy<T, 1>(ctx, saved.outputs(), logits);
  return saved;
}

template <class T>
void DensityEncoder<T>::backward(const Context& ctx, Parameters<T>& parameters, const Saved& saved,
                                 View<const T, 1> dlogits) const {
  require_shape("DensityEncoder::backward", "dlogits", dlogits, {settings_.outputs});
  require(network_.owns(saved), "DensityEncoder::backward",
          "what forward saved belongs to another encoder");
  auto gradients = network_.gradients(ctx, 1);
  copy<T, 1>(ctx, dlogits, gradients.outputs());
  network_.backward(ctx, parameters, saved, gradients);
}

template class DensityEncoder<float>;
template class DensityEncoder<double>;

}  // namespace orrery
