#include "apps/reconstruct/priors.hpp"

#include "kernels/check.hpp"
#include "kernels/pointwise.hpp"

namespace orrery {

namespace {

DensityEncoderSettings encoder_settings(int n, Index outputs) {
  DensityEncoderSettings settings;
  settings.n = n;
  settings.outputs = outputs;
  return settings;
}

}  // namespace

FourierNetPrior::FourierNetPrior(const Context& ctx, const FourierNetSettings& settings, int n,
                                 const TargetMoments<float>* target, Parameters<float>& parameters)
    : ctx_(ctx),
      parameters_(parameters),
      net_(ctx, settings, parameters),
      latent_(settings.latent) {
  if (latent_ > 0) {
    require(target != nullptr, "FourierNetPrior", "a latent needs target moments to encode");
    encoder_ = std::make_unique<DensityEncoder<float>>(encoder_settings(n, latent_), parameters,
                                                       "latent encoder");
    encoded_ = encoder_->scaled(ctx, target->first, target->second);
  }
}

void FourierNetPrior::initialise(std::uint64_t seed) {
  net_.initialise(parameters_, seed);
  if (encoder_) encoder_->initialise(parameters_, seed + 1);
}

Pullback<2> FourierNetPrior::evaluate(View<const float, 2> coordinates, View<float, 2> values) {
  Tensor<float, 1> latent(ctx_, latent_);
  auto encoded = std::make_shared<DensityEncoder<float>::Saved>();
  if (encoder_) *encoded = encoder_->forward(ctx_, parameters_, encoded_, latent);
  auto saved = std::make_shared<FourierNet<float>::Saved>(
      net_.forward(ctx_, parameters_, coordinates, latent, values));
  return [this, saved, encoded](View<const float, 2> dvalues) {
    Tensor<float, 1> dlatent(ctx_, latent_);
    net_.backward(ctx_, parameters_, *saved, dvalues, dlatent);
    if (encoder_) encoder_->backward(ctx_, parameters_, *encoded, dlatent);
  };
}

FreeDensityPrior::FreeDensityPrior(const Context& ctx, const Quadrature& quadrature,
                                   DensityOver over, Parameters<float>& parameters)
    : parameters_(parameters),
      groups_(ctx, quadrature, over),
      part_(parameters.add("view logits", groups_.count())) {}

void FreeDensityPrior::initialise(std::uint64_t) {
  set_zero(parameters_.context(), parameters_.values(part_));
}

Pullback<1> FreeDensityPrior::evaluate(View<float, 1> view_weights) {
  auto backward = groups_.softmax(parameters_.values(part_), view_weights);
  return [this, backward](View<const float, 1> dweights) {
    const Context& ctx = parameters_.context();
    Tensor<float, 1> dlogits(ctx, groups_.count());
    backward(dweights, dlogits);
    add_scaled<float>(ctx, 1.0f, dlogits, parameters_.gradients(part_));
  };
}

EncoderDensityPrior::EncoderDensityPrior(const Context& ctx, const Quadrature& quadrature,
                                         DensityOver over, const TargetMoments<float>& target,
                                         int n, Parameters<float>& parameters)
    : ctx_(ctx),
      parameters_(parameters),
      groups_(ctx, quadrature, over),
      encoder_(encoder_settings(n, groups_.count()), parameters),
      encoded_(encoder_.scaled(ctx, target.first, target.second)) {}

void EncoderDensityPrior::initialise(std::uint64_t seed) { encoder_.initialise(parameters_, seed); }

Pullback<1> EncoderDensityPrior::evaluate(View<float, 1> view_weights) {
  Tensor<float, 1> logits(ctx_, groups_.count());
  auto saved = std::make_shared<DensityEncoder<float>::Saved>(
      encoder_.forward(ctx_, parameters_, encoded_, logits));
  auto backward = groups_.softmax(logits, view_weights);
  return [this, saved, backward](View<const float, 1> dweights) {
    Tensor<float, 1> dlogits(ctx_, groups_.count());
    backward(dweights, dlogits);
    encoder_.backward(ctx_, parameters_, *saved, dlogits);
  };
}

KnownDensity::KnownDensity(const Context& ctx, const std::vector<double>& view_weights)
    : ctx_(ctx), weights_(upload_as<float>(ctx, view_weights)) {}

Pullback<1> KnownDensity::evaluate(View<float, 1> view_weights) {
  copy<float, 1>(ctx_, weights_, view_weights);
  return [](View<const float, 1>) {};
}

}  // namespace orrery
