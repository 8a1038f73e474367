#include "nn/fourier_net.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <utility>
#include <vector>

#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

using test::BackendUnderTest;

FourierNetSettings settings_of(FourierHead head, HermitianSymmetry symmetry, Index latent) {
  FourierNetSettings settings;
  settings.head = head;
  settings.symmetry = symmetry;
  settings.width = 5;
  settings.modulant_hidden_layers = 2;
  settings.envelope_hidden_layers = 1;
  settings.modulant_frequency = 3;
  settings.envelope_frequency = 2;
  settings.latent = latent;
  return settings;
}

/// All that a network can be: both heads, both symmetries, without and with a latent.
std::vector<FourierNetSettings> all_kinds() {
  std::vector<FourierNetSettings> kinds;
  for (auto head : {FourierHead::cryoai, FourierHead::polar})
    for (auto symmetry : {HermitianSymmetry::average, HermitianSymmetry::half_space})
      for (Index latent : {0, 3}) kinds.push_back(settings_of(head, symmetry, latent));
  return kinds;
}

std::string name_of(const FourierNetSettings& s) {
  return std::string(s.head == FourierHead::cryoai ? "cryoai" : "polar") +
         (s.symmetry == HermitianSymmetry::average ? ", average" : ", half space") + ", latent " +
         std::to_string(s.latent);
}

template <class T>
struct Example {
  Parameters<T> parameters;
  FourierNet<T> net;
  Tensor<T, 2> coordinates;  // (N, 3)
  Tensor<T, 1> latent;
  Tensor<T, 2> values;

  Example(const Context& ctx, const FourierNetSettings& settings, Index points)
      : parameters(ctx), net(ctx, settings, parameters) {
    parameters.allocate();
    net.initialise(parameters, 5);
    net.set_amplitude({2.0, 1.5, 0.25, 0.5});
    auto x = test::random_tensor<T>(11, points, Index{3});
    for (T& number : x.view()) number *= T(0.5);
    coordinates = upload(ctx, x);
    latent = upload(ctx, test::random_tensor<T>(12, settings.latent));
    values = Tensor<T, 2>(ctx, points, Index{2});
  }
  typename FourierNet<T>::Saved forward(const Context& ctx) {
    return net.forward(ctx, parameters, coordinates, latent, values);
  }
};

using Numbers = std::vector<double>;

/// a_1 = sin(w (W_1 x + b_1)), a_l = sin(w (W_l a_{l-1} + b_l)), y = W a_L + b.
Numbers sine_network(const Numbers& x, Index width, Index hidden_layers, Index outputs, double w,
                     const double* weight) {
  Numbers layer = x;
  for (Index l = 0; l < hidden_layers + 2; ++l) {
    const bool last = l == hidden_layers + 1;
    const Index rows = last ? outputs : width, columns = static_cast<Index>(layer.size());
    Numbers next;
    for (Index i = 0; i < rows; ++i) {
      double total = weight[rows * columns + i];
      for (Index j = 0; j < columns; ++j) total += weight[i * columns + j] * layer[j];
      next.push_back(last ? total : std::sin(w * total));
    }
    weight += rows * (columns + 1);
    layer = next;
  }
  return layer;
}

/// The coefficient at one point by its formulas.
struct PlainFourierNet {
  const FourierNetSettings& s;
  const Parameters<double>& parameters;
  View<const double, 1> latent;
  Numbers profile;

  // cryoai: Re f = exp(e0) m0, Im f = exp(e1) m1;  polar: f = e exp(i m)
  std::complex<double> raw(const Numbers& x) const {
    Numbers input = x;
    input.insert(input.end(), latent.begin(), latent.end());
    const Index outputs = s.head == FourierHead::cryoai ? 2 : 1;
    const Numbers m = sine_network(input, s.width, s.modulant_hidden_layers, outputs,
                                   s.modulant_frequency, parameters.values(0).data);
    const Numbers e = sine_network(input, s.width, s.envelope_hidden_layers, outputs,
                                   s.envelope_frequency, parameters.values(1).data);
    if (s.head == FourierHead::cryoai) return {std::exp(e[0]) * m[0], std::exp(e[1]) * m[1]};
    return e[0] * std::exp(std::complex<double>(0, m[0]));
  }
  // Linear between nodes at |x| = i sqrt(3) / (count - 1), the last two going on beyond.
  double amplitude(const Numbers& x) const {
    const double r = std::hypot(x[0], x[1], x[2]);
    const double spacing = std::sqrt(3.0) / double(profile.size() - 1);
    std::size_t i = 0;
    while (i + 2 < profile.size() && r >= double(i + 1) * spacing) ++i;
    const double t = r / spacing - double(i);
    return (1 - t) * profile[i] + t * profile[i + 1];
  }
  std::complex<double> operator()(const Numbers& x) const {
    const Numbers minus_x = {-x[0], -x[1], -x[2]};
    if (s.symmetry == HermitianSymmetry::average)
      return amplitude(x) * (raw(x) + std::conj(raw(minus_x))) / 2.0;
    // The upper half space: the last non-zero coordinate is positive.
    double last = 0;
    for (double number : x)
      if (number != 0) last = number;
    return amplitude(x) * (last < 0 ? std::conj(raw(minus_x)) : raw(x));
  }
};

TEST(FourierNet, AgreesWithItsFormulas) {
  const Context ctx = Context::cpu(1);
  for (const auto& settings : all_kinds()) {
    SCOPED_TRACE(name_of(settings));
    Example<double> example(ctx, settings, 37);
    // On the border of the half space, and past the last node of the amplitude.
    const double special[5][3] = {{0, 0, 0}, {-0.5, 0, 0}, {0.5, -0.25, 0}, {0, 0, -1}, {1, 1, -1}};
    for (int p = 0; p < 5; ++p)
      for (int d = 0; d < 3; ++d) example.coordinates(p, d) = special[p][d];
    example.forward(ctx);

    const PlainFourierNet plain{settings, example.parameters, example.latent,
                                example.net.amplitude()};
    Tensor<double, 2> expected(ctx, 37, 2);
    for (Index p = 0; p < 37; ++p) {
      const double* x = &example.coordinates(p, 0);
      const auto f = plain({x[0], x[1], x[2]});
      expected(p, 0) = f.real();
      expected(p, 1) = f.imag();
    }
    EXPECT_LT(test::relative_difference(example.values, expected), 1e-13);
  }
}

TEST(FourierNet, IsExactlyHermitian) {
  const Context ctx = Context::cpu(1);
  for (const auto& settings : all_kinds()) {
    SCOPED_TRACE(name_of(settings));
    Example<float> example(ctx, settings, 50);
    example.forward(ctx);
    const auto values = download(ctx, example.values);
    for (float& x : example.coordinates.view()) x = -x;
    example.forward(ctx);
    for (Index p = 0; p < 50; ++p) {
      EXPECT_EQ(example.values(p, 0), values(p, 0));
      EXPECT_EQ(example.values(p, 1), -values(p, 1));
    }
  }
}

TEST(FourierNet, HasItsGradient) {
  const Context ctx = Context::cpu(1);
  for (const auto& settings : all_kinds()) {
    SCOPED_TRACE(name_of(settings));
    Example<double> example(ctx, settings, 13);
    const auto dvalues = test::random_tensor<double>(5, Index{13}, Index{2});
    const auto saved = example.forward(ctx);
    example.parameters.zero_gradients();
    Tensor<double, 1> dlatent(ctx, settings.latent);
    for (double& x : dlatent.view()) x = 1e9;  // overwritten, not added to
    example.net.backward(ctx, example.parameters, saved, dvalues, dlatent);
    auto loss = [&] {
      example.forward(ctx);
      return test::inner_product(dvalues.view().flat(), example.values.view().flat());
    };
    const auto gradients = std::as_const(example.parameters).gradients();
    test::expect_gradient(loss, example.parameters.values(), gradients, 1e-6, 1e-6);
    if (settings.latent > 0)
      test::expect_gradient(loss, example.latent, std::as_const(dlatent).view(), 1e-6, 1e-6);

    // Every single weight, so that none hides behind the others.
    const auto values = example.parameters.values();
    double largest = 0;
    for (double g : gradients) largest = std::max(largest, std::abs(g));
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

TEST(FourierNet, AddsToTheGradients) {
  const Context ctx = Context::cpu(1);
  for (const auto& settings : all_kinds()) {
    SCOPED_TRACE(name_of(settings));
    Example<double> example(ctx, settings, 9);
    const auto saved = example.forward(ctx);
    Tensor<double, 1> dlatent(ctx, settings.latent);
    example.parameters.zero_gradients();
    example.net.backward(ctx, example.parameters, saved, example.values, dlatent);
    const auto once = download(ctx, example.parameters.gradients());
    const auto latent_once = download(ctx, dlatent);
    example.net.backward(ctx, example.parameters, saved, example.values, dlatent);
    const auto twice = example.parameters.gradients();
    for (Index i = 0; i < once.size(); ++i)
      EXPECT_NEAR(twice[i], 2 * once(i), 1e-12 * std::abs(once(i)));
    for (Index i = 0; i < settings.latent; ++i) EXPECT_EQ(dlatent(i), latent_once(i));
  }
}

TEST(FourierNet, InterpolatesTheAmplitude) {
  const Context ctx = Context::cpu(1);
  const auto settings = settings_of(FourierHead::polar, HermitianSymmetry::half_space, 0);
  Example<double> example(ctx, settings, 4);
  // Nodes at |x| = 0, sqrt(3)/2 and sqrt(3).
  const double at[4] = {0, 0.25, 0.5, 1};
  for (Index p = 0; p < 4; ++p)
    for (Index d = 0; d < 3; ++d) example.coordinates(p, d) = at[p];
  example.net.set_amplitude({1});
  example.forward(ctx);
  const auto plain = download(ctx, example.values);
  example.net.set_amplitude({4, 2, 10});
  example.forward(ctx);
  const double expected[4] = {4, 3, 2, 10};
  for (Index p = 0; p < 4; ++p)
    for (Index part = 0; part < 2; ++part)
      EXPECT_NEAR(example.values(p, part), expected[p] * plain(p, part), 1e-12);
  EXPECT_EQ(example.net.amplitude(), (Numbers{4, 2, 10}));
}

TEST(FourierNet, StartsWithinItsBounds) {
  const Context ctx = Context::cpu(1);
  FourierNetSettings settings = settings_of(FourierHead::cryoai, HermitianSymmetry::average, 0);
  settings.width = 40;
  settings.modulant_hidden_layers = 1;
  settings.envelope_hidden_layers = 0;
  Parameters<double> parameters(ctx);
  const FourierNet<double> net(ctx, settings, parameters);
  EXPECT_EQ(net.parameter_count(), (160 + 1640 + 82) + (160 + 82));
  EXPECT_EQ(parameters.count(), net.parameter_count());
  parameters.allocate();
  net.initialise(parameters, 1);

  const auto modulant = parameters.values(0);
  auto expect_uniform = [&](Index first, Index count, double bound) {
    double largest = 0, total = 0;
    for (double x : modulant.rows(first, count)) {
      largest = std::max(largest, std::abs(x));
      total += x;
    }
    EXPECT_LE(largest, bound);
    EXPECT_GT(largest, 0.85 * bound);
    EXPECT_LT(std::abs(total / double(count)), 2 * bound / std::sqrt(double(count)));
  };
  const double hidden = std::sqrt(6.0 / 40) / 3, bias = 1 / std::sqrt(40.0);
  expect_uniform(0, 120, 1.0 / 3);
  expect_uniform(120, 40, 1 / std::sqrt(3.0));
  expect_uniform(160, 1600, hidden);
  expect_uniform(1760, 40, bias);
  expect_uniform(1800, 80, hidden);

  const auto first = download(ctx, parameters.values());
  net.initialise(parameters, 1);
  EXPECT_EQ(test::relative_difference(parameters.values(), first.view()), 0);
  net.initialise(parameters, 2);
  EXPECT_GT(test::relative_difference(parameters.values(), first.view()), 1);
}

TEST(FourierNet, DoesNotDependOnTheNumberOfThreads) {
  auto run = [](int threads) {
    const Context ctx = Context::cpu(threads);
    Example<float> example(ctx, settings_of(FourierHead::cryoai, HermitianSymmetry::average, 3),
                           2000);
    const auto saved = example.forward(ctx);
    Tensor<float, 1> dlatent(ctx, 3);
    example.parameters.zero_gradients();
    example.net.backward(ctx, example.parameters, saved, example.values, dlatent);
    return download(ctx, example.parameters.gradients());
  };
  EXPECT_EQ(test::relative_difference(run(1), run(3)), 0);
}

TEST(FourierNet, RefusesWhatItCannotUse) {
  const Context ctx = Context::cpu(1);
  Example<float> example(ctx, settings_of(FourierHead::cryoai, HermitianSymmetry::half_space, 3),
                         4);
  auto forward = [&](View<const float, 2> x, View<const float, 1> latent, View<float, 2> values) {
    return example.net.forward(ctx, example.parameters, x, latent, values);
  };
  Tensor<float, 2> flat(ctx, 4, 2), short_values(ctx, 3, 2);
  Tensor<float, 1> wrong(ctx, 2);
  EXPECT_THROW(forward(flat, example.latent, example.values), std::invalid_argument);
  EXPECT_THROW(forward(example.coordinates, wrong, example.values), std::invalid_argument);
  EXPECT_THROW(forward(example.coordinates, {}, example.values), std::invalid_argument);
  EXPECT_THROW(forward(example.coordinates, example.latent, short_values), std::invalid_argument);
  EXPECT_THROW(example.net.set_amplitude({}), std::invalid_argument);

  const auto saved = forward(example.coordinates, example.latent, example.values);
  Tensor<float, 1> dlatent(ctx, 3);
  auto backward = [&](View<const float, 2> dvalues, View<float, 1> dz) {
    example.net.backward(ctx, example.parameters, saved, dvalues, dz);
  };
  EXPECT_THROW(backward(short_values, dlatent), std::invalid_argument);
  EXPECT_THROW(backward(example.values, wrong), std::invalid_argument);
  Example<float> other(ctx, settings_of(FourierHead::cryoai, HermitianSymmetry::average, 3), 4);
  EXPECT_THROW(
      example.net.backward(ctx, example.parameters, other.forward(ctx), example.values, dlatent),
      std::invalid_argument);
}

class FourierNetOnBackend : public testing::TestWithParam<BackendUnderTest> {};
INSTANTIATE_TEST_SUITE_P(Backends, FourierNetOnBackend, testing::ValuesIn(test::device_backends()),
                         test::backend_name);

template <class T>
void expect_agreement_with_the_cpu(const Context& device, double tolerance) {
  for (const auto& settings : all_kinds()) {
    SCOPED_TRACE(name_of(settings));
    const auto dvalues = test::random_tensor<T>(5, Index{70}, Index{2});
    auto run = [&](const Context& ctx) {
      Example<T> example(ctx, settings, 70);
      const auto saved = example.forward(ctx);
      Tensor<T, 1> dlatent(ctx, settings.latent);
      example.parameters.zero_gradients();
      example.net.backward(ctx, example.parameters, saved, upload(ctx, dvalues), dlatent);
      return std::tuple(download(ctx, example.values),
                        download(ctx, example.parameters.gradients()), download(ctx, dlatent));
    };
    const auto [values, gradients, dlatent] = run(device);
    const auto [expected_values, expected_gradients, expected_dlatent] = run(Context::cpu(1));
    EXPECT_LT(test::relative_difference(values, expected_values), tolerance);
    EXPECT_LT(test::relative_difference(gradients, expected_gradients), tolerance);
    EXPECT_LT(test::relative_difference(dlatent, expected_dlatent), tolerance);
  }
}

TEST_P(FourierNetOnBackend, AgreesWithTheCpu) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context device = test::make_context(GetParam());
  expect_agreement_with_the_cpu<double>(device, 1e-12);
  expect_agreement_with_the_cpu<float>(device, 1e-5);
}

TEST_P(FourierNetOnBackend, StartsFromTheSameNumbers) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  auto start = [](const Context& ctx) {
    Parameters<float> parameters(ctx);
    const FourierNet<float> net(ctx, {}, parameters);
    parameters.allocate();
    net.initialise(parameters, 7);
    return download(ctx, parameters.values());
  };
  const auto device = start(test::make_context(GetParam())), host = start(Context::cpu(1));
  EXPECT_EQ(test::relative_difference(device, host), 0);
}

}  // namespace
}  // namespace orrery
