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

template <class T>
Tensor<T, 1> scaled_to_unit(const Context& ctx, View<const T, 1> numbers) {
  const double mean_square = squared_norm<T>(ctx, numbers) / static_cast<double>(numbers.size());
  require(mean_square > 0 && std::isfinite(mean_square), "DensityEncoder::scaled",
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
    : settings_(settings), network_("DensityEncoder", network_of(settings), parameters, name) {}

template <class T>
typename DensityEncoder<T>::Moments DensityEncoder<T>::scaled(const Context& ctx,
                                                              View<const T, 1> m1,
                                                              View<const T, 2> m2) const {
  const Index pixels = Index{settings_.n} * settings_.n;
  require_shape("DensityEncoder::scaled", "m1", m1, {pixels});
  require_shape("DensityEncoder::scaled", "m2", m2, {pixels, pixels});
  return {scaled_to_unit<T>(ctx, m1), scaled_to_unit<T>(ctx, m2.flat())};
}

template <class T>
typename DensityEncoder<T>::Saved DensityEncoder<T>::forward(const Context& ctx,
                                                             const Parameters<T>& parameters,
                                                             const Moments& moments,
                                                             View<T, 1> logits) const {
  Saved saved = network_.activations(ctx, 1);
  require_shape("DensityEncoder::forward", "m1", moments.first.view(), {saved.first().size()});
  require_shape("DensityEncoder::forward", "m2", moments.second.view(), {saved.second().size()});
  require_shape("DensityEncoder::forward", "logits", logits, {settings_.outputs});

  copy<T, 1>(ctx, moments.first, saved.first());
  copy<T, 1>(ctx, moments.second, saved.second());
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
