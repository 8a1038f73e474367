#include "nn/density_encoder.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

using test::BackendUnderTest;

DensityEncoderSettings small_settings() {
  return {.n = 5,
          .outputs = 7,
          .window = 3,
          .first_branch = {2, 3},
          .second_branch = {4, 3},
          .joint = {5, 2},
          .dense = {6}};
}

/// An encoder with weights and moments of its own; biases are not zero, so that they are tested.
template <class T>
struct Example {
  Parameters<T> parameters;
  DensityEncoder<T> encoder;
  Tensor<T, 1> m1;
  Tensor<T, 2> m2;
  Tensor<T, 1> logits;

  Example(const Context& ctx, const DensityEncoderSettings& settings)
      : parameters(ctx), encoder(settings, parameters) {
    parameters.allocate();
    encoder.initialise(parameters, 17);
    auto weights = download(ctx, parameters.values());
    const auto noise = test::random_tensor<T>(3, weights.size());
    for (Index i = 0; i < weights.size(); ++i) weights(i) += T(0.05) * noise(i);
    copy<T, 1>(ctx, upload(ctx, weights), parameters.values());
    const Index pixels = settings.n * settings.n;
    m1 = upload(ctx, test::random_tensor<T>(1, pixels));
    m2 = upload(ctx, test::random_tensor<T>(2, pixels, pixels));
    logits = Tensor<T, 1>(ctx, settings.outputs);
  }
  typename DensityEncoder<T>::Saved forward(const Context& ctx) {
    return encoder.forward(ctx, parameters, encoder.scaled(ctx, m1, m2), logits);
  }
};

using Numbers = std::vector<double>;

double leaky(double x) { return x > 0 ? x : 0.02 * x; }

/// The encoder by its formulas, reading the weights one after another.
struct PlainEncoder {
  DensityEncoderSettings settings;
  const double* weight;

  // y[o,i,j] = bias[o] + sum_{c,s,t} w[o,c,s,t] x[c,(i + s - T/2) mod n,(j + t - T/2) mod n]
  Numbers convolve(const Numbers& x, Index channels) {
    const int n = settings.n, window = settings.window;
    const int inputs = static_cast<int>(x.size()) / (n * n);
    const double* bias = weight + channels * inputs * window * window;
    Numbers y;
    for (int o = 0; o < channels; ++o)
      for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j) {
          double total = bias[o];
          for (int c = 0; c < inputs; ++c)
            for (int s = 0; s < window; ++s)
              for (int t = 0; t < window; ++t) {
                const int row = (i + s - window / 2 + n) % n, column = (j + t - window / 2 + n) % n;
                total += weight[((o * inputs + c) * window + s) * window + t] *
                         x[(c * n + row) * n + column];
              }
          y.push_back(leaky(total));
        }
    weight = bias + channels;
    return y;
  }

  Numbers dense(const Numbers& x, Index outputs) {
    const double* bias = weight + outputs * static_cast<Index>(x.size());
    Numbers y;
    for (Index o = 0; o < outputs; ++o) {
      double total = bias[o];
      for (const double number : x) total += *weight++ * number;
      y.push_back(total);
    }
    weight = bias + outputs;
    return y;
  }

  static Numbers scaled(View<const double, 1> x) {
    double squares = 0;
    for (double number : x) squares += number * number;
    Numbers result;
    for (double number : x) result.push_back(number / std::sqrt(squares / double(x.size())));
    return result;
  }

  Numbers operator()(View<const double, 1> m1, View<const double, 2> m2) {
    Numbers first = scaled(m1), second = scaled(m2.flat());
    for (const Index channels : settings.first_branch) first = convolve(first, channels);
    for (const Index channels : settings.second_branch) second = convolve(second, channels);
    Numbers x = first;
    x.insert(x.end(), second.begin(), second.end());
    for (const Index channels : settings.joint) x = convolve(x, channels);
    for (const Index outputs : settings.dense) {
      x = dense(x, outputs);
      for (double& number : x) number = leaky(number);
    }
    return dense(x, settings.outputs);
  }
};

TEST(DensityEncoder, AgreesWithItsFormulas) {
  const Context ctx = Context::cpu(2);
  auto shallow = small_settings(), wide = small_settings();
  shallow.first_branch = {1};
  shallow.second_branch = {2};
  shallow.joint = {};
  shallow.dense = {};
  wide.n = 7;
  wide.window = 5;
  for (const auto& settings : {small_settings(), shallow, wide}) {
    Example<double> example(ctx, settings);
    example.forward(ctx);
    PlainEncoder plain{settings, example.parameters.values().data};
    const Numbers expected = plain(example.m1, example.m2);
    EXPECT_EQ(plain.weight, example.parameters.values().end());
    EXPECT_LT(test::relative_difference(
                  example.logits.view(),
                  View<const double, 1>(expected.data(), static_cast<Index>(expected.size()))),
              1e-13);
  }
}

TEST(DensityEncoder, HasItsGradient) {
  const Context ctx = Context::cpu(2);
  Example<double> example(ctx, small_settings());
  const auto dlogits = test::random_tensor<double>(5, example.logits.size());
  const auto saved = example.forward(ctx);
  example.parameters.zero_gradients();
  example.encoder.backward(ctx, example.parameters, saved, dlogits);
  auto loss = [&] {
    example.forward(ctx);
    return test::inner_product(dlogits.view(), example.logits.view());
  };
  test::expect_gradient(loss, example.parameters.values(),
                        std::as_const(example.parameters).gradients(), 1e-6, 1e-6);

  // Every single weight, so that none hides behind the others.
  const auto values = example.parameters.values();
  const auto gradients = example.parameters.gradients();
  double largest = 0;
  for (const double g : gradients) largest = std::max(largest, std::abs(g));
  for (Index i = 0; i < values.size(); ++i) {
    const double here = values[i], step = 1e-6;
    values[i] = here + step;
    const double above = loss();
    values[i] = here - step;
    const double below = loss();
    values[i] = here;
    EXPECT_NEAR(gradients[i], (above - below) / (2 * step), 1e-7 * largest) << "weight " << i;
  }
}

TEST(DensityEncoder, AddsToTheGradients) {
  const Context ctx = Context::cpu(1);
  Example<double> example(ctx, small_settings());
  const auto dlogits = test::random_tensor<double>(5, example.logits.size());
  const auto saved = example.forward(ctx);
  example.encoder.backward(ctx, example.parameters, saved, dlogits);
  const auto once = download(ctx, example.parameters.gradients());
  example.encoder.backward(ctx, example.parameters, saved, dlogits);
  const auto twice = example.parameters.gradients();
  for (Index i = 0; i < once.size(); ++i) EXPECT_NEAR(twice[i], 2 * once(i), 1e-14);
}

TEST(DensityEncoder, IsBlindToTheScaleOfTheMoments) {
  const Context ctx = Context::cpu(1);
  Example<double> example(ctx, small_settings());
  example.forward(ctx);
  const auto before = download(ctx, example.logits);
  for (double& x : example.m1.view()) x *= 1e-3;
  for (double& x : example.m2.view()) x *= 1e5;
  example.forward(ctx);
  EXPECT_LT(test::relative_difference(example.logits, before), 1e-13);
}

TEST(DensityEncoder, StartsFromANearlyUniformDensity) {
  const Context ctx = Context::cpu(2);
  const DensityEncoderSettings settings{.n = 13, .outputs = 100};
  Parameters<float> parameters(ctx);
  const DensityEncoder<float> encoder(settings, parameters);
  // Convolutions 1->3, 3->3, 169->8, 8->3, 6->6, 6->6 of 3 x 3 taps; dense 6*169->64->100.
  const Index expected = (27 + 3) + (81 + 3) + (169 * 72 + 8) + (216 + 3) + 2 * (324 + 6) +
                         (6 * 169 * 64 + 64) + (6400 + 100);
  EXPECT_EQ(encoder.parameter_count(), expected);
  EXPECT_EQ(parameters.count(), expected);
  parameters.allocate();
  encoder.initialise(parameters, 1);

  const auto values = parameters.values(encoder.part());
  for (Index i = 27; i < 30; ++i) EXPECT_EQ(values[i], 0) << "bias of the first layer";
  const auto first_weights = values.rows(0, 27);
  const auto output_weights = values.rows(expected - 6500, 6400);
  auto mean_square = [](View<float, 1> x) { return test::inner_product(x, x) / double(x.size()); };
  EXPECT_LE(*std::max_element(first_weights.begin(), first_weights.end()), std::sqrt(6.0 / 9));
  EXPECT_NEAR(mean_square(output_weights), 0.01 * 2 / 64, 0.05 * 0.01 * 2 / 64);

  const auto m1 = test::random_tensor<float>(1, 169);
  const auto m2 = test::random_tensor<float>(2, 169, 169);
  Tensor<float, 1> logits(ctx, 100);
  encoder.forward(ctx, parameters, encoder.scaled(ctx, m1, m2), logits);
  for (float logit : logits.view()) EXPECT_LT(std::abs(logit), 1);
}

TEST(DensityEncoder, DoesNotDependOnTheNumberOfThreads) {
  auto run = [](int threads) {
    const Context ctx = Context::cpu(threads);
    DensityEncoderSettings settings{.n = 9, .outputs = 20};
    Example<float> example(ctx, settings);
    const auto saved = example.forward(ctx);
    example.encoder.backward(ctx, example.parameters, saved, example.logits);
    return download(ctx, example.parameters.gradients());
  };
  EXPECT_EQ(test::relative_difference(run(1), run(3)), 0);
}

TEST(DensityEncoder, TwoEncodersShareOneBlock) {
  const Context ctx = Context::cpu(1);
  Parameters<float> parameters(ctx);
  const DensityEncoder<float> density(small_settings(), parameters);
  EXPECT_THROW(DensityEncoder<float>(small_settings(), parameters), std::invalid_argument);
  const DensityEncoder<float> latent(small_settings(), parameters, "latent encoder");
  EXPECT_EQ(parameters.count(), density.parameter_count() + latent.parameter_count());
}

TEST(DensityEncoder, RefusesWhatItCannotUse) {
  const Context ctx = Context::cpu(1);
  auto refuses = [&](auto change) {
    auto settings = small_settings();
    change(settings);
    Parameters<float> parameters(ctx);
    EXPECT_THROW(DensityEncoder<float>(settings, parameters), std::invalid_argument);
  };
  refuses([](auto& settings) { settings.window = 4; });
  refuses([](auto& settings) { settings.window = 7; });
  refuses([](auto& settings) { settings.outputs = 0; });
  refuses([](auto& settings) { settings.first_branch = {}; });
  refuses([](auto& settings) { settings.second_branch = {8, 0}; });
  refuses([](auto& settings) { settings.dense = {-1}; });

  Example<float> example(ctx, small_settings());
  const auto scaled = [&](View<const float, 1> m1, View<const float, 2> m2) {
    return example.encoder.scaled(ctx, m1, m2);
  };
  const auto forward = [&](const DensityEncoder<float>::Moments& moments, View<float, 1> logits) {
    return example.encoder.forward(ctx, example.parameters, moments, logits);
  };
  Tensor<float, 1> wrong(ctx, 3);
  Tensor<float, 2> wrong_matrix(ctx, 25, 24);
  EXPECT_THROW(scaled(wrong, example.m2), std::invalid_argument);
  EXPECT_THROW(scaled(example.m1, wrong_matrix), std::invalid_argument);
  const auto zero = Tensor<float, 1>::zeros(ctx, 25);
  EXPECT_THROW(scaled(zero, example.m2), std::invalid_argument);
  const auto moments = scaled(example.m1, example.m2);
  EXPECT_THROW(forward({}, example.logits), std::invalid_argument);
  EXPECT_THROW(forward(moments, wrong), std::invalid_argument);
  const auto saved = forward(moments, example.logits);
  EXPECT_THROW(example.encoder.backward(ctx, example.parameters, saved, wrong),
               std::invalid_argument);
  EXPECT_THROW(example.encoder.backward(ctx, example.parameters, {}, example.logits),
               std::invalid_argument);
}

class DensityEncoderOnBackend : public testing::TestWithParam<BackendUnderTest> {};
INSTANTIATE_TEST_SUITE_P(Backends, DensityEncoderOnBackend,
                         testing::ValuesIn(test::device_backends()), test::backend_name);

template <class T>
void expect_agreement_with_the_cpu(const Context& device, double tolerance) {
  const auto dlogits = test::random_tensor<T>(5, small_settings().outputs);
  auto run = [&](const Context& ctx) {
    Example<T> example(ctx, small_settings());
    const auto saved = example.forward(ctx);
    example.parameters.zero_gradients();
    example.encoder.backward(ctx, example.parameters, saved, upload(ctx, dlogits));
    return std::pair(download(ctx, example.logits), download(ctx, example.parameters.gradients()));
  };
  const auto [logits, gradients] = run(device);
  const auto [expected_logits, expected_gradients] = run(Context::cpu(1));
  EXPECT_LT(test::relative_difference(logits, expected_logits), tolerance);
  EXPECT_LT(test::relative_difference(gradients, expected_gradients), tolerance);
}

TEST_P(DensityEncoderOnBackend, AgreesWithTheCpu) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context device = test::make_context(GetParam());
  expect_agreement_with_the_cpu<double>(device, 1e-12);
  expect_agreement_with_the_cpu<float>(device, 1e-5);
}

}  // namespace
}  // namespace orrery
