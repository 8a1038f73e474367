#include <cmath>
#include <string>

#include "bench/kernels/libraries.hpp"
#include "bench/support/bench.hpp"
#include "kernels/sine_network.hpp"

namespace orrery::bench {
namespace {

SineNetworkShape network_of(Shape& s) {
  SineNetworkShape network;
  network.width = s["width"];
  network.hidden_layers = s["hidden_layers"];
  return network;
}

/// Numbers of the size that a network's weights have.
Tensor<float, 1> weights_of(const Context& ctx, const SineNetworkShape& network) {
  Tensor<float, 1> weights(ctx, network.parameter_count());
  const float largest = std::sqrt(6.0f / float(network.width)) / float(network.hidden_frequency);
  fill_uniform<float>(ctx, 1, 0, -largest, largest, weights);
  return weights;
}

// In the precision that a reconstruction asks for, and in full.
struct Variant {
  const char* suffix;
  Precision precision;
};
constexpr Variant variants[] = {{"", Precision::fp32}, {"_tf32", Precision::tf32}};

bool measure_forward(const Variant& variant) {
  return measure(std::string("sine_network_forward") + variant.suffix, "sine_network",
                 [precision = variant.precision](const Context& context, Shape shape) {
                   const Context ctx = context.with_precision(precision);
                   const SineNetworkShape network = network_of(shape);
                   const Index points = shape["points"];
                   return Work{2.0 * points * network.parameter_count(), 4.0 * points * 5,
                               [ctx, network, weights = weights_of(ctx, network),
                                x = random_tensor<float>(ctx, points, 3),
                                y = Tensor<float, 2>(ctx, points, 2)]() mutable {
                                 sine_network_forward<float>(ctx, network, weights, x, y);
                               }};
                 });
}

bool measure_backward(const Variant& variant) {
  return measure(
      std::string("sine_network_backward") + variant.suffix, "sine_network",
      [precision = variant.precision](const Context& context, Shape shape) {
        const Context ctx = context.with_precision(precision);
        const SineNetworkShape network = network_of(shape);
        const Index points = shape["points"];
        return Work{
            6.0 * points * network.parameter_count(), 4.0 * points * 5,
            [ctx, network, weights = weights_of(ctx, network),
             x = random_tensor<float>(ctx, points, 3), dy = random_tensor<float>(ctx, points, 2),
             gradient = Tensor<float, 1>::zeros(ctx, network.parameter_count())]() mutable {
              sine_network_backward<float>(ctx, network, weights, x, dy, gradient);
            }};
      });
}

/// The ladder: the products of the hidden layers alone, from memory to memory, `passes` of them a
/// layer; 1 forwards, 3 backwards, which forms the activations again.
bool measure_products(const std::string& name, int passes, const Variant& variant) {
  return measure("library_" + name + variant.suffix, "sine_network",
                 [passes, precision = variant.precision](const Context& context, Shape shape) {
                   const Context ctx = context.with_precision(precision);
                   const Index points = shape["points"], width = shape["width"];
                   const Index products = passes * shape["hidden_layers"];
                   return Work{2.0 * products * points * width * width,
                               4.0 * products * (2.0 * points * width + width * width),
                               [=, a = random_tensor<float>(ctx, points, width),
                                weight = random_tensor<float>(ctx, width, width),
                                b = Tensor<float, 2>(ctx, points, width)]() mutable {
                                 for (Index product = 0; product < products; ++product)
                                   library_product(ctx, a, weight, b);
                               }};
                 });
}

const bool measured = [] {
  for (const Variant& variant : variants) {
    measure_forward(variant), measure_backward(variant);
    measure_products("sine_network_forward", 1, variant);
    measure_products("sine_network_backward", 3, variant);
  }
  return true;
}();

}  // namespace
}  // namespace orrery::bench
