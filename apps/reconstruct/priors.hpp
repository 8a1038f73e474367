#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "apps/reconstruct/view_groups.hpp"
#include "moments/loss.hpp"
#include "nn/density_encoder.hpp"
#include "nn/fourier_net.hpp"
#include "nn/parameters.hpp"

namespace orrery {

/// What a forward pass leaves behind: given the gradient of its output, it adds the gradients of
/// the parameters. It owns whatever was saved, so two forward passes never collide.
template <int Rank>
using Pullback = std::function<void(View<const float, Rank>)>;

/// A volume that can be asked for its Fourier coefficients at any points. A prior adds its weights
/// to the parameter block when it is built; besides them only the amplitude can be set.
class VolumePrior {
 public:
  virtual ~VolumePrior() = default;

  virtual void initialise(std::uint64_t seed) = 0;

  /// Multiplies every later coefficient by an amplitude that depends on |x| alone, given at
  /// |x| = i sqrt(3) / (count - 1).
  virtual void set_amplitude(const std::vector<double>& profile) = 0;

  /// values (N,2) = (re, im) at coordinates (N,3), normalised frequencies k / ((n-1)/2), scaled as
  /// slices: sqrt(n) times the unitary transform.
  virtual Pullback<2> evaluate(View<const float, 2> coordinates, View<float, 2> values) = 0;

  /// Network evaluations one point takes.
  virtual int evaluations_per_point() const = 0;
};

/// A probability for each view of a quadrature, >= 0 and summing to 1.
class DensityPrior {
 public:
  virtual ~DensityPrior() = default;
  virtual void initialise(std::uint64_t seed) = 0;
  virtual Pullback<1> evaluate(View<float, 1> view_weights) = 0;
};

/// The paper's volume prior, optionally with the latent z_v of section 4.2, which a second encoder
/// computes from the target moments.
class FourierNetPrior final : public VolumePrior {
 public:
  FourierNetPrior(const Context& ctx, const FourierNetSettings& settings, int n,
                  const TargetMoments<float>* target, Parameters<float>& parameters);

  void initialise(std::uint64_t seed) override;
  void set_amplitude(const std::vector<double>& profile) override { net_.set_amplitude(profile); }
  Pullback<2> evaluate(View<const float, 2> coordinates, View<float, 2> values) override;
  int evaluations_per_point() const override { return net_.evaluations_per_point(); }

 private:
  Context ctx_;
  Parameters<float>& parameters_;
  FourierNet<float> net_;
  Index latent_;
  std::unique_ptr<DensityEncoder<float>> encoder_;  // of the latent; none without it
  DensityEncoder<float>::Moments encoded_;          // the target's, which it sees
};

/// Free logits: nothing but the probabilities themselves.
class FreeDensityPrior final : public DensityPrior {
 public:
  FreeDensityPrior(const Context& ctx, const Quadrature& quadrature, DensityOver over,
                   Parameters<float>& parameters);
  void initialise(std::uint64_t seed) override;
  Pullback<1> evaluate(View<float, 1> view_weights) override;
  Index part() const { return part_; }

 private:
  Parameters<float>& parameters_;
  ViewGroups groups_;
  Index part_;
};

/// The paper's density prior: a convolutional encoder of the target moments.
class EncoderDensityPrior final : public DensityPrior {
 public:
  EncoderDensityPrior(const Context& ctx, const Quadrature& quadrature, DensityOver over,
                      const TargetMoments<float>& target, int n, Parameters<float>& parameters);
  void initialise(std::uint64_t seed) override;
  Pullback<1> evaluate(View<float, 1> view_weights) override;

 private:
  Context ctx_;
  Parameters<float>& parameters_;
  ViewGroups groups_;
  DensityEncoder<float> encoder_;
  DensityEncoder<float>::Moments encoded_;  // the target's
};

/// Views whose probabilities are known: a control that leaves only the volume to be found.
class KnownDensity final : public DensityPrior {
 public:
  KnownDensity(const Context& ctx, const std::vector<double>& view_weights);
  void initialise(std::uint64_t) override {}
  Pullback<1> evaluate(View<float, 1> view_weights) override;

 private:
  Context ctx_;
  Tensor<float, 1> weights_;
};

}  // namespace orrery
