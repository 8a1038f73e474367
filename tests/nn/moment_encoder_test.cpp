#include "nn/moment_encoder.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

using test::BackendUnderTest;

MomentEncoderSettings small_settings() {
  return {.n = 7,
          .first_inputs = 3,
          .second_inputs = 6,
          .window = 3,
          .first_branch = {2, 3},
          .second_branch = {4, 3},
          .joint = {5, 2},
          .dense = {6, 4}};
}

MomentEncoderSettings with_tanh(MomentEncoderSettings settings) {
  settings.activation_of_dense = TwoBranchSettings::Dense::tanh;
  return settings;
}

/// An encoder with weights and a batch of moments of its own; biases are not zero, so that they are
/// tested.
template <class T>
struct Example {
  Parameters<T> parameters;
  MomentEncoder<T> encoder;
  Tensor<T, 3> first, second;
  Tensor<T, 2> output;
  typename MomentEncoder<T>::Workspace workspace;

  Example(const Context& ctx, const MomentEncoderSettings& settings, Index batch = 3)
      : parameters(ctx), encoder(settings, parameters) {
    parameters.allocate();
    encoder.initialise(parameters, 17);
    auto weights = download(ctx, parameters.values());
    const auto noise = test::random_tensor<T>(3, weights.size());
    for (Index i = 0; i < weights.size(); ++i) weights(i) += T(0.05) * noise(i);
    copy<T, 1>(ctx, upload(ctx, weights), parameters.values());
    const Index n = settings.n;
    first = upload(ctx, test::random_tensor<T>(1, batch, settings.first_inputs, n));
    second = upload(ctx, test::random_tensor<T>(2, batch, settings.second_inputs, n));
    output = Tensor<T, 2>(ctx, batch, n);
    workspace = encoder.workspace(ctx, batch);
  }
  void forward(const Context& ctx) {
    encoder.forward(ctx, parameters, first, second, workspace, output);
  }
  void backward(const Context& ctx, View<const T, 2> doutput) {
    encoder.backward(ctx, parameters, workspace, doutput);
  }
};

using Numbers = std::vector<double>;

double leaky(double x) { return x > 0 ? x : 0.02 * x; }

/// The encoder of one sample by its formulas, reading the weights one after another.
struct PlainEncoder {
  MomentEncoderSettings settings;
  const double* weight;

  // y[o,i] = bias[o] + sum_{c,t} w[o,c,t] x[c,(i + t - T/2) mod n]
  Numbers convolve(const Numbers& x, Index channels) {
    const int n = settings.n, window = settings.window;
    const int inputs = static_cast<int>(x.size()) / n;
    const double* bias = weight + channels * inputs * window;
    Numbers y;
    for (int o = 0; o < channels; ++o)
      for (int i = 0; i < n; ++i) {
        double total = bias[o];
        for (int c = 0; c < inputs; ++c)
          for (int t = 0; t < window; ++t)
            total +=
                weight[(o * inputs + c) * window + t] * x[c * n + (i + t - window / 2 + n) % n];
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

  Numbers operator()(View<const double, 2> first_moment, View<const double, 2> second_moment) {
    Numbers first(first_moment.begin(), first_moment.end());
    Numbers second(second_moment.begin(), second_moment.end());
    for (const Index channels : settings.first_branch) first = convolve(first, channels);
    for (const Index channels : settings.second_branch) second = convolve(second, channels);
    Numbers x = first;
    x.insert(x.end(), second.begin(), second.end());
    for (const Index channels : settings.joint) x = convolve(x, channels);
    for (const Index outputs : settings.dense) {
      x = dense(x, outputs);
      for (double& number : x)
        number = settings.activation_of_dense == TwoBranchSettings::Dense::tanh ? std::tanh(number)
                                                                                : leaky(number);
    }
    return dense(x, settings.n);
  }
};

TEST(MomentEncoder, AgreesWithItsFormulas) {
  const Context ctx = Context::cpu(2);
  auto shallow = small_settings(), wide = small_settings();
  shallow.first_branch = {1};
  shallow.second_branch = {2};
  shallow.joint = {};
  shallow.dense = {};
  wide.n = 11;
  wide.window = 5;
  wide.second_branch = {20, 9};
  for (const auto& settings : {small_settings(), with_tanh(small_settings()), shallow, wide})
    for (const Index batch : {1, 5, 40}) {
      Example<double> example(ctx, settings, batch);
      example.forward(ctx);
      for (Index b = 0; b < batch; ++b) {
        PlainEncoder plain{settings, example.parameters.values().data};
        const Numbers expected = plain(example.first.view()[b], example.second.view()[b]);
        EXPECT_EQ(plain.weight, example.parameters.values().end());
        EXPECT_LT(test::relative_difference(
                      example.output.view()[b],
                      View<const double, 1>(expected.data(), static_cast<Index>(expected.size()))),
                  1e-13)
            << "sample " << b << " of " << batch;
      }
    }
}

TEST(MomentEncoder, HasItsGradient) {
  const Context ctx = Context::cpu(2);
  for (const auto& settings : {small_settings(), with_tanh(small_settings())}) {
    Example<double> example(ctx, settings);
    const auto doutput = test::random_tensor<double>(5, 3, 7);
    example.forward(ctx);
    example.parameters.zero_gradients();
    example.backward(ctx, doutput);
    auto loss = [&] {
      example.forward(ctx);
      return test::inner_product(doutput.view().flat(), example.output.view().flat());
    };
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
}

TEST(MomentEncoder, AddsToTheGradients) {
  const Context ctx = Context::cpu(1);
  Example<double> example(ctx, small_settings());
  const auto doutput = test::random_tensor<double>(5, 3, 7);
  example.forward(ctx);
  example.backward(ctx, doutput);
  const auto once = download(ctx, example.parameters.gradients());
  example.backward(ctx, doutput);
  const auto twice = example.parameters.gradients();
  for (Index i = 0; i < once.size(); ++i) EXPECT_NEAR(twice[i], 2 * once(i), 1e-13);
}

TEST(MomentEncoder, TreatsEverySampleAlone) {
  const Context ctx = Context::cpu(2);
  Example<double> batch(ctx, small_settings(), 6), alone(ctx, small_settings(), 1);
  batch.forward(ctx);
  const auto last = [](Tensor<double, 3>& moments) { return moments.view().rows(5, 1); };
  alone.encoder.forward(ctx, alone.parameters, last(batch.first), last(batch.second),
                        alone.workspace, alone.output);
  EXPECT_LT(test::relative_difference(alone.output.view()[0], batch.output.view()[5]), 1e-14);
}

TEST(MomentEncoder, TakesBatchesOfMoreThanOneGroup) {
  const Context ctx = Context::cpu(2);
  const Index batch = 150, piece = 50;  // two groups and a part of one; less than one
  Example<double> whole(ctx, small_settings(), batch), pieces(ctx, small_settings(), piece);
  const auto doutput = test::random_tensor<double>(5, batch, 7);
  whole.forward(ctx);
  whole.backward(ctx, doutput);
  for (Index begin = 0; begin < batch; begin += piece) {
    pieces.encoder.forward(ctx, pieces.parameters, whole.first.view().rows(begin, piece),
                           whole.second.view().rows(begin, piece), pieces.workspace, pieces.output);
    pieces.encoder.backward(ctx, pieces.parameters, pieces.workspace,
                            doutput.view().rows(begin, piece));
    EXPECT_LT(
        test::relative_difference(whole.output.view().rows(begin, piece), pieces.output.view()),
        1e-14);
  }
  EXPECT_LT(test::relative_difference(whole.parameters.gradients(), pieces.parameters.gradients()),
            1e-13);
}

TEST(MomentEncoder, RemembersNothingFromThePassBefore) {
  const Context ctx = Context::cpu(2);
  Example<float> example(ctx, small_settings()), fresh(ctx, small_settings());
  const auto doutput = test::random_tensor<float>(5, 3, 7);
  const auto others = test::random_tensor<float>(8, 3, 6, 7);
  example.encoder.forward(ctx, example.parameters, example.first, others, example.workspace,
                          example.output);
  example.backward(ctx, doutput);
  for (Example<float>* one : {&example, &fresh}) {
    one->parameters.zero_gradients();
    one->forward(ctx);
    one->backward(ctx, doutput);
  }
  EXPECT_EQ(test::relative_difference(example.output, fresh.output), 0);
  EXPECT_EQ(test::relative_difference(example.parameters.gradients(), fresh.parameters.gradients()),
            0);
}

TEST(MomentEncoder, StartsFromSmallOutputs) {
  const Context ctx = Context::cpu(2);
  Parameters<float> parameters(ctx);
  const MomentEncoder<float> encoder({}, parameters);
  // Convolutions 5->16->16->3, 40->32->16->3, 6->16->16 of 5 taps; dense 16*41->256->256->41.
  const Index expected = (400 + 16) + (1280 + 16) + (240 + 3) + (6400 + 32) + (2560 + 16) +
                         (240 + 3) + (480 + 16) + (1280 + 16) + (656 * 256 + 256) +
                         (256 * 256 + 256) + (256 * 41 + 41);
  EXPECT_EQ(encoder.parameter_count(), expected);
  EXPECT_EQ(parameters.count(), expected);
  parameters.allocate();
  encoder.initialise(parameters, 1);

  const auto values = parameters.values(encoder.part());
  for (Index i = 400; i < 416; ++i) EXPECT_EQ(values[i], 0) << "bias of the first layer";
  const auto first_weights = values.rows(0, 400);
  const auto output_weights = values.rows(expected - 256 * 41 - 41, 256 * 41);
  auto mean_square = [](View<float, 1> x) { return test::inner_product(x, x) / double(x.size()); };
  EXPECT_LE(*std::max_element(first_weights.begin(), first_weights.end()), std::sqrt(6.0 / 25));
  EXPECT_NEAR(mean_square(output_weights), 0.01 * 2 / 256, 0.05 * 0.01 * 2 / 256);

  const auto first = test::random_tensor<float>(1, 4, 5, 41);
  const auto second = test::random_tensor<float>(2, 4, 40, 41);
  auto workspace = encoder.workspace(ctx, 4);
  Tensor<float, 2> output(ctx, 4, 41);
  encoder.forward(ctx, parameters, first, second, workspace, output);
  for (float number : output.view()) EXPECT_LT(std::abs(number), 1);
}

TEST(MomentEncoder, DoesNotDependOnTheNumberOfThreads) {
  auto run = [](int threads) {
    const Context ctx = Context::cpu(threads);
    Example<float> example(ctx, {}, 70);
    example.forward(ctx);
    example.backward(ctx, example.output);
    return download(ctx, example.parameters.gradients());
  };
  EXPECT_EQ(test::relative_difference(run(1), run(3)), 0);
}

TEST(MomentEncoder, TwoEncodersShareOneBlock) {
  const Context ctx = Context::cpu(1);
  Parameters<float> parameters(ctx);
  const MomentEncoder<float> signal(small_settings(), parameters, "signal encoder");
  EXPECT_THROW(MomentEncoder<float>(small_settings(), parameters, "signal encoder"),
               std::invalid_argument);
  const MomentEncoder<float> density(small_settings(), parameters, "density encoder");
  EXPECT_EQ(parameters.count(), signal.parameter_count() + density.parameter_count());
}

TEST(MomentEncoder, RefusesWhatItCannotUse) {
  const Context ctx = Context::cpu(1);
  auto refuses = [&](auto change) {
    auto settings = small_settings();
    change(settings);
    Parameters<float> parameters(ctx);
    EXPECT_THROW(MomentEncoder<float>(settings, parameters), std::invalid_argument);
  };
  refuses([](auto& settings) { settings.window = 4; });
  refuses([](auto& settings) { settings.window = 9; });
  refuses([](auto& settings) { settings.n = 0; });
  refuses([](auto& settings) { settings.first_inputs = 0; });
  refuses([](auto& settings) { settings.second_inputs = -1; });
  refuses([](auto& settings) { settings.first_branch = {}; });
  refuses([](auto& settings) { settings.second_branch = {8, 0}; });
  refuses([](auto& settings) { settings.dense = {-1}; });

  Example<float> example(ctx, small_settings());
  auto forward = [&](const auto& first, const auto& second, auto& workspace, auto& output) {
    example.encoder.forward(ctx, example.parameters, first, second, workspace, output);
  };
  Tensor<float, 3> wrong(ctx, 3, 5, 7);
  Tensor<float, 2> short_output(ctx, 3, 6), two_outputs(ctx, 2, 7);
  auto& workspace = example.workspace;
  EXPECT_THROW(forward(wrong, example.second, workspace, example.output), std::invalid_argument);
  EXPECT_THROW(forward(example.first, wrong, workspace, example.output), std::invalid_argument);
  EXPECT_THROW(forward(example.first, example.second, workspace, short_output),
               std::invalid_argument);
  EXPECT_THROW(example.encoder.workspace(ctx, 0), std::invalid_argument);
  auto other_batch = example.encoder.workspace(ctx, 2);
  EXPECT_THROW(forward(example.first, example.second, other_batch, example.output),
               std::invalid_argument);
  MomentEncoder<float>::Workspace none;
  EXPECT_THROW(forward(example.first, example.second, none, example.output), std::invalid_argument);
  EXPECT_THROW(example.backward(ctx, two_outputs), std::invalid_argument);
  EXPECT_THROW(example.encoder.backward(ctx, example.parameters, none, example.output),
               std::invalid_argument);
}

class MomentEncoderOnBackend : public testing::TestWithParam<BackendUnderTest> {};
INSTANTIATE_TEST_SUITE_P(Backends, MomentEncoderOnBackend,
                         testing::ValuesIn(test::device_backends()), test::backend_name);

template <class T>
void expect_agreement_with_the_cpu(const Context& device, const MomentEncoderSettings& settings,
                                   double tolerance) {
  const auto doutput = test::random_tensor<T>(5, 3, settings.n);
  auto run = [&](const Context& ctx) {
    Example<T> example(ctx, settings);
    example.forward(ctx);
    example.parameters.zero_gradients();
    example.backward(ctx, upload(ctx, doutput));
    return std::pair(download(ctx, example.output), download(ctx, example.parameters.gradients()));
  };
  const auto [output, gradients] = run(device);
  const auto [expected_output, expected_gradients] = run(Context::cpu(1));
  EXPECT_LT(test::relative_difference(output, expected_output), tolerance);
  EXPECT_LT(test::relative_difference(gradients, expected_gradients), tolerance);
}

TEST_P(MomentEncoderOnBackend, AgreesWithTheCpu) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context device = test::make_context(GetParam());
  for (const auto& settings : {small_settings(), with_tanh(small_settings())}) {
    expect_agreement_with_the_cpu<double>(device, settings, 1e-12);
    expect_agreement_with_the_cpu<float>(device, settings, 1e-5);
  }
}

}  // namespace
}  // namespace orrery
