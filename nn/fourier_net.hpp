#pragma once

#include <cstdint>
#include <vector>

#include "kernels/sine_network.hpp"
#include "kernels/tensor.hpp"
#include "nn/parameters.hpp"

namespace orrery {

/// How the two sine networks' outputs become a Fourier coefficient f.
enum class FourierHead {
  cryoai,  // Re f = exp(e0) m0, Im f = exp(e1) m1: CryoAI's FourierNet (Levy et al. 2022)
  polar    // f = a exp(i b), a from the envelope, b from the modulant: the paper's formula (33)
};

/// How f(-k) = conj f(k), which a real volume has, is ensured.
enum class HermitianSymmetry {
  average,    // (f(k) + conj f(-k)) / 2: two evaluations a point, smooth everywhere
  half_space  // f of the point flipped into one half space: one evaluation, a seam at its border
};

struct FourierNetSettings {
  FourierHead head = FourierHead::cryoai;
  HermitianSymmetry symmetry = HermitianSymmetry::average;
  Index width = 128;
  Index modulant_hidden_layers = 2;
  Index envelope_hidden_layers = 1;
  double modulant_frequency = 10;
  double envelope_frequency = 10;
  Index latent = 0;  // length of z_v, appended to every coordinate (section 4.2)
};

/// A volume's Fourier transform as a network: normalised frequency x = k / ((n-1)/2) -> (re, im).
/// The output is multiplied by an amplitude that depends on |x| alone (see set_amplitude), so that
/// the networks themselves work with numbers of order one.
template <class T>
class FourierNet {
 public:
  /// Adds its two networks to `parameters` as the parts "modulant" and "envelope".
  FourierNet(const Context& ctx, const FourierNetSettings& settings, Parameters<T>& parameters);

  /// SIREN's start (Sitzmann et al. 2020): first-layer weights uniform in +-1/inputs, all others in
  /// +-sqrt(6 / fan_in) / frequency, biases in +-1/sqrt(fan_in). The same on every backend.
  void initialise(Parameters<T>& parameters, std::uint64_t seed) const;

  /// Amplitude at |x| = i * sqrt(3) / (count - 1), linear between; one number is a constant.
  void set_amplitude(const std::vector<double>& profile);
  const std::vector<double>& amplitude() const { return profile_; }

  Index parameter_count() const;
  /// Network evaluations one point takes: 2 with Hermitian averaging.
  int evaluations_per_point() const;

  /// What backward needs: the coordinates both networks saw, and their outputs.
  struct Saved {
    Tensor<T, 2> inputs;    // (R, 3 + latent), R = N or 2 N
    Tensor<T, 2> modulant;  // (R, 2) cryoai, (R, 1) polar
    Tensor<T, 2> envelope;  // the same
    Tensor<T, 1> signs;     // (N) half space only: -1 where the point was flipped
  };

  /// Shapes   coordinates (N,3)  latent (settings.latent, may be empty)  values (N,2) as (re, im).
  /// Throws   std::invalid_argument on a shape mismatch.
  /// Cost     2 N evaluations_per_point() parameter_count() flop, and the sines of as many points.
  Saved forward(const Context& ctx, const Parameters<T>& parameters, View<const T, 2> coordinates,
                View<const T, 1> latent, View<T, 2> values) const;

  /// Adds the parameters' gradients; dlatent is overwritten.
  /// Shapes   saved by forward for N points  dvalues (N,2)  dlatent (settings.latent, may be
  /// empty).
  /// Throws   std::invalid_argument on a shape mismatch, also of what another network has saved.
  /// Cost     3 times the forward pass.
  void backward(const Context& ctx, Parameters<T>& parameters, const Saved& saved,
                View<const T, 2> dvalues, View<T, 1> dlatent) const;

 private:
  FourierNetSettings settings_;
  SineNetworkShape modulant_, envelope_;
  Index modulant_part_ = 0, envelope_part_ = 0;
  Context ctx_;
  std::vector<double> profile_ = {1.0};
  Tensor<T, 1> amplitude_;
};

}  // namespace orrery
