#include "nn/fourier_net.hpp"

#include <cmath>

#include "kernels/check.hpp"
#include "kernels/complex.hpp"
#include "kernels/gemm.hpp"
#include "kernels/parallel_for.hpp"
#include "kernels/pointwise.hpp"
#include "kernels/random.hpp"

namespace orrery {

namespace {

/// +1 in one half space and -1 in the other: the sign of the last non-zero coordinate.
template <class T>
ORRERY_HOST_DEVICE T half_space_sign(const T* x) {
  for (int d = 2; d >= 0; --d)
    if (x[d] != 0) return x[d] > 0 ? T(1) : T(-1);
  return T(1);
}

/// Rows of network inputs: x for each point (flipped into the half space where that is asked for),
/// then -x for each point when averaging; the latent follows every coordinate.
template <class T>
struct GatherInputs {
  Index points, latent_count;
  bool flip;
  const T* coordinates;
  const T* latent;
  T* inputs;
  ORRERY_HOST_DEVICE void operator()(Index row) const {
    const T* x = coordinates + 3 * (row % points);
    const T sign = row >= points ? T(-1) : flip ? half_space_sign(x) : T(1);
    T* input = inputs + row * (3 + latent_count);
    for (int d = 0; d < 3; ++d) input[d] = sign * x[d];
    for (Index j = 0; j < latent_count; ++j) input[3 + j] = latent[j];
  }
};

/// One evaluation's coefficient from the networks' outputs, and the gradients of those outputs.
template <class T>
ORRERY_HOST_DEVICE Complex<T> head_value(FourierHead head, const T* m, const T* e) {
  if (head == FourierHead::cryoai) return {std::exp(e[0]) * m[0], std::exp(e[1]) * m[1]};
  return {e[0] * std::cos(m[0]), e[0] * std::sin(m[0])};
}

template <class T>
ORRERY_HOST_DEVICE void head_gradient(FourierHead head, const T* m, const T* e, Complex<T> df,
                                      T* dm, T* de) {
  if (head == FourierHead::cryoai) {
    const T a0 = std::exp(e[0]), a1 = std::exp(e[1]);
    dm[0] = a0 * df.re;
    dm[1] = a1 * df.im;
    de[0] = a0 * m[0] * df.re;
    de[1] = a1 * m[1] * df.im;
    return;
  }
  const T c = std::cos(m[0]), s = std::sin(m[0]);
  de[0] = c * df.re + s * df.im;
  dm[0] = e[0] * (c * df.im - s * df.re);
}

/// The amplitude at the length of x, by linear interpolation of the profile.
template <class T>
ORRERY_HOST_DEVICE T amplitude_at(const T* x, Index nodes, const T* profile) {
  if (nodes == 1) return profile[0];
  const T r = std::sqrt((x[0] * x[0] + x[1] * x[1] + x[2] * x[2]) / T(3)) * T(nodes - 1);
  const Index below = r < T(nodes - 2) ? Index(r) : nodes - 2;
  const T fraction = r - T(below);
  return profile[below] + fraction * (profile[below + 1] - profile[below]);
}

template <class T>
struct CombineOutputs {
  FourierHead head;
  HermitianSymmetry symmetry;
  Index points, outputs, input_width, nodes;
  const T *inputs, *modulant, *envelope, *profile, *sign;
  T* values;

  ORRERY_HOST_DEVICE void operator()(Index p) const {
    const T* x = inputs + p * input_width;
    const T a = amplitude_at(x, nodes, profile);
    const Complex<T> f = head_value(head, modulant + p * outputs, envelope + p * outputs);
    if (symmetry == HermitianSymmetry::average) {
      const Index q = p + points;
      const Complex<T> g = head_value(head, modulant + q * outputs, envelope + q * outputs);
      values[2 * p] = a * (f.re + g.re) / 2;
      values[2 * p + 1] = a * (f.im - g.im) / 2;
    } else {
      // The input row holds the flipped point; the sign that brought it there conjugates f.
      values[2 * p] = a * f.re;
      values[2 * p + 1] = a * f.im * sign[p];
    }
  }
};

template <class T>
struct SplitGradient {
  FourierHead head;
  HermitianSymmetry symmetry;
  Index points, outputs, input_width, nodes;
  const T *inputs, *modulant, *envelope, *profile, *dvalues, *sign;
  T *dmodulant, *denvelope;

  ORRERY_HOST_DEVICE void operator()(Index p) const {
    const T a = amplitude_at(inputs + p * input_width, nodes, profile);
    const Complex<T> d = {a * dvalues[2 * p], a * dvalues[2 * p + 1]};
    if (symmetry == HermitianSymmetry::average) {
      at(p, {d.re / 2, d.im / 2});
      at(p + points, {d.re / 2, -d.im / 2});
    } else {
      at(p, {d.re, d.im * sign[p]});
    }
  }
  ORRERY_HOST_DEVICE void at(Index row, Complex<T> df) const {
    const Index first = row * outputs;
    head_gradient(head, modulant + first, envelope + first, df, dmodulant + first,
                  denvelope + first);
  }
};

template <class T>
struct HalfSpaceSigns {
  const T* coordinates;
  T* sign;
  ORRERY_HOST_DEVICE void operator()(Index p) const {
    sign[p] = half_space_sign(coordinates + 3 * p);
  }
};

SineNetworkShape network_shape(const FourierNetSettings& s, Index hidden_layers, double frequency) {
  SineNetworkShape shape;
  shape.inputs = 3 + s.latent;
  shape.width = s.width;
  shape.hidden_layers = hidden_layers;
  shape.outputs = s.head == FourierHead::cryoai ? 2 : 1;
  shape.first_frequency = shape.hidden_frequency = frequency;
  return shape;
}

/// Gradient with respect to the latent from the first layer's bias gradient g: the latent enters as
/// W_z z beside the bias, so dz = W_z^T g.
template <class T>
void add_latent_gradient(const Context& ctx, const SineNetworkShape& shape,
                         View<const T, 1> parameters, View<const T, 1> bias_gradient,
                         View<T, 1> dlatent) {
  const View<const T, 2> weight(parameters.data, shape.width, shape.inputs);
  Tensor<T, 2> dinput(ctx, Index{1}, shape.inputs);
  gemm<T>(ctx, Transpose::no, Transpose::no, T(1), bias_gradient.reshaped(Index{1}, shape.width),
          weight, T(0), dinput);
  add_scaled<T>(ctx, T(1), View<const T, 1>(dinput.data() + 3, dlatent.size()), dlatent);
}

}  // namespace

template <class T>
FourierNet<T>::FourierNet(const Context& ctx, const FourierNetSettings& settings,
                          Parameters<T>& parameters)
    : settings_(settings),
      modulant_(
          network_shape(settings, settings.modulant_hidden_layers, settings.modulant_frequency)),
      envelope_(
          network_shape(settings, settings.envelope_hidden_layers, settings.envelope_frequency)),
      ctx_(ctx) {
  modulant_part_ = parameters.add("modulant", modulant_.parameter_count());
  envelope_part_ = parameters.add("envelope", envelope_.parameter_count());
  set_amplitude({1.0});
}

template <class T>
void FourierNet<T>::set_amplitude(const std::vector<double>& profile) {
  require(!profile.empty(), "FourierNet::set_amplitude", "the profile is empty");
  profile_ = profile;
  amplitude_ = upload_as<T>(ctx_, profile);
}

template <class T>
Index FourierNet<T>::parameter_count() const {
  return modulant_.parameter_count() + envelope_.parameter_count();
}

template <class T>
int FourierNet<T>::evaluations_per_point() const {
  return settings_.symmetry == HermitianSymmetry::average ? 2 : 1;
}

template <class T>
void FourierNet<T>::initialise(Parameters<T>& parameters, std::uint64_t seed) const {
  const Context& ctx = parameters.context();
  std::uint64_t stream = 0;
  auto fill = [&](T* numbers, Index count, double bound) {
    fill_uniform<T>(ctx, seed, stream++, static_cast<T>(-bound), static_cast<T>(bound),
                    View<T, 1>(numbers, count));
  };
  for (const auto& [shape, part] :
       {std::pair{modulant_, modulant_part_}, std::pair{envelope_, envelope_part_}}) {
    T* block = parameters.values(part).data;
    for (Index l = 0; l < shape.layers(); ++l) {
      const auto [inputs, outputs, weight, bias] = shape.layer(l);
      const double bound = l == 0 ? 1.0 / inputs : std::sqrt(6.0 / inputs) / shape.hidden_frequency;
      fill(block + weight, outputs * inputs, bound);
      fill(block + bias, outputs, 1.0 / std::sqrt(double(inputs)));
    }
  }
}

template <class T>
typename FourierNet<T>::Saved FourierNet<T>::forward(const Context& ctx,
                                                     const Parameters<T>& parameters,
                                                     View<const T, 2> coordinates,
                                                     View<const T, 1> latent,
                                                     View<T, 2> values) const {
  const Index points = coordinates.extent(0);
  require_shape("FourierNet::forward", "coordinates", coordinates, {points, 3});
  require_shape("FourierNet::forward", "latent", latent, {settings_.latent});
  require_shape("FourierNet::forward", "values", values, {points, 2});

  const bool flip = settings_.symmetry == HermitianSymmetry::half_space;
  const Index rows = points * evaluations_per_point();
  Saved saved{Tensor<T, 2>(ctx, rows, modulant_.inputs),
              Tensor<T, 2>(ctx, rows, modulant_.outputs),
              Tensor<T, 2>(ctx, rows, envelope_.outputs),
              {}};
  parallel_for(ctx, "fourier net: inputs", rows,
               GatherInputs<T>{points, settings_.latent, flip, coordinates.data, latent.data,
                               saved.inputs.data()});
  if (flip) {
    saved.signs = Tensor<T, 1>(ctx, points);
    parallel_for(ctx, "fourier net: half space", points,
                 HalfSpaceSigns<T>{coordinates.data, saved.signs.data()});
  }
  sine_network_forward<T>(ctx, modulant_, parameters.values(modulant_part_), saved.inputs,
                          saved.modulant);
  sine_network_forward<T>(ctx, envelope_, parameters.values(envelope_part_), saved.inputs,
                          saved.envelope);
  parallel_for(ctx, "fourier net: combine", points,
               CombineOutputs<T>{settings_.head, settings_.symmetry, points, modulant_.outputs,
                                 modulant_.inputs, amplitude_.size(), saved.inputs.data(),
                                 saved.modulant.data(), saved.envelope.data(), amplitude_.data(),
                                 saved.signs.data(), values.data});
  return saved;
}

template <class T>
void FourierNet<T>::backward(const Context& ctx, Parameters<T>& parameters, const Saved& saved,
                             View<const T, 2> dvalues, View<T, 1> dlatent) const {
  const char* operation = "FourierNet::backward";
  const Index points = dvalues.extent(0), rows = points * evaluations_per_point();
  const bool flipped = settings_.symmetry == HermitianSymmetry::half_space;
  require_shape(operation, "dvalues", dvalues, {points, 2});
  require_shape(operation, "dlatent", dlatent, {settings_.latent});
  require_shape(operation, "saved inputs", saved.inputs.view(), {rows, modulant_.inputs});
  require_shape(operation, "saved modulant", saved.modulant.view(), {rows, modulant_.outputs});
  require_shape(operation, "saved envelope", saved.envelope.view(), {rows, envelope_.outputs});
  require_shape(operation, "saved signs", saved.signs.view(), {flipped ? points : 0});

  auto dmodulant = tensor_like<T>(ctx, saved.modulant.view());
  auto denvelope = tensor_like<T>(ctx, saved.envelope.view());
  parallel_for(
      ctx, "fourier net: split gradient", points,
      SplitGradient<T>{settings_.head, settings_.symmetry, points, modulant_.outputs,
                       modulant_.inputs, amplitude_.size(), saved.inputs.data(),
                       saved.modulant.data(), saved.envelope.data(), amplitude_.data(),
                       dvalues.data, saved.signs.data(), dmodulant.data(), denvelope.data()});
  if (settings_.latent > 0) set_zero<T, 1>(ctx, dlatent);

  auto network_backward = [&](const SineNetworkShape& shape, Index part,
                              View<const T, 2> doutputs) {
    const View<const T, 1> weights = std::as_const(parameters).values(part);
    const View<T, 1> gradients = parameters.gradients(part);
    if (settings_.latent == 0) {
      sine_network_backward<T>(ctx, shape, weights, saved.inputs, doutputs, gradients);
      return;
    }
    // The latent's gradient needs this pass's bias gradient alone, apart from what was there
    // before.
    auto own = Tensor<T, 1>::zeros(ctx, gradients.size());
    sine_network_backward<T>(ctx, shape, weights, saved.inputs, doutputs, own);
    add_latent_gradient<T>(ctx, shape, weights,
                           View<const T, 1>(own.data() + shape.layer(0).bias, shape.width),
                           dlatent);
    add_scaled<T>(ctx, T(1), own, gradients);
  };
  network_backward(modulant_, modulant_part_, dmodulant);
  network_backward(envelope_, envelope_part_, denvelope);
}

template class FourierNet<float>;
template class FourierNet<double>;

}  // namespace orrery
