#include "nn/lbfgs.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "nn/diverged.hpp"
#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

using test::BackendUnderTest;

template <class T>
Parameters<T> make_parameters(const Context& ctx, const Tensor<T, 1>& start) {
  Parameters<T> parameters(ctx);
  parameters.add("x", start.size());
  parameters.allocate();
  copy<T, 1>(ctx, upload(ctx, start), parameters.values());
  return parameters;
}

/// f = sum over pairs of 100 (y - x^2)^2 + (1 - x)^2, its gradient added: least at (1, 1, ...).
template <class T>
double rosenbrock(View<const T, 1> x, View<T, 1> gradient) {
  double loss = 0;
  for (Index i = 0; i + 1 < x.size(); i += 2) {
    const double a = x[i], b = x[i + 1], bend = b - a * a;
    loss += 100 * bend * bend + (1 - a) * (1 - a);
    gradient[i] += static_cast<T>(-400 * a * bend - 2 * (1 - a));
    gradient[i + 1] += static_cast<T>(200 * bend);
  }
  return loss;
}

TEST(Lbfgs, FindsTheFloorOfRosenbrocksValley) {
  const Context ctx = Context::cpu(1);
  Tensor<double, 1> start(ctx, 2);
  start(0) = -1.2, start(1) = 1;
  auto parameters = make_parameters(ctx, start);
  int calls = 0;
  const auto result = minimise_lbfgs<double>(
      ctx, parameters,
      [&] { return ++calls, rosenbrock<double>(parameters.values(), parameters.gradients()); }, 100,
      {});
  EXPECT_NEAR(parameters.values()[0], 1, 1e-8);
  EXPECT_NEAR(parameters.values()[1], 1, 1e-8);
  EXPECT_LT(result.loss, 1e-16);
  EXPECT_EQ(result.evaluations, calls);
  EXPECT_LE(calls, 100);
}

// f = 1/2 sum_i c_i (x_i - 1)^2, the curvatures c_i spread from 1 to the condition number.
template <class T>
struct Quadratic {
  Index count;
  double condition;
  double curvature(Index i) const { return std::pow(condition, double(i) / double(count - 1)); }
  double operator()(View<const T, 1> x, View<T, 1> gradient) const {
    double loss = 0;
    for (Index i = 0; i < count; ++i) {
      const double away = double(x[i]) - 1;
      loss += 0.5 * curvature(i) * away * away;
      gradient[i] += static_cast<T>(curvature(i) * away);
    }
    return loss;
  }
};

TEST(Lbfgs, SolvesAnIllConditionedQuadratic) {
  const Context ctx = Context::cpu(2);
  const Quadratic<double> quadratic{1000, 1e4};
  auto parameters = make_parameters(ctx, test::random_tensor<double>(3, 1000));
  const double before = quadratic(parameters.values(), parameters.gradients());
  const auto result = minimise_lbfgs<double>(
      ctx, parameters, [&] { return quadratic(parameters.values(), parameters.gradients()); }, 1000,
      {});
  EXPECT_LT(result.loss, 1e-14 * before);
}

TEST(Lbfgs, StopsAtTheRoundingOfFloats) {
  const Context ctx = Context::cpu(1);
  const Quadratic<float> quadratic{200, 100};
  auto parameters = make_parameters(ctx, test::random_tensor<float>(5, 200));
  int calls = 0;
  // The loss itself is rounded to float and has a floor: near the minimum it is a staircase.
  const auto result = minimise_lbfgs<float>(
      ctx, parameters,
      [&] {
        ++calls;
        return double(float(1 + quadratic(parameters.values(), parameters.gradients())));
      },
      1000, {});
  EXPECT_LT(result.loss - 1, 1e-6);
  EXPECT_LT(calls, 300);
  for (float x : parameters.values()) EXPECT_NEAR(x, 1, 2e-3);
}

TEST(Lbfgs, SpendsExactlyItsBudgetAndEndsAtTheBestPoint) {
  const Context ctx = Context::cpu(1);
  for (int budget = 1; budget <= 40; ++budget) {
    auto parameters = make_parameters(ctx, test::random_tensor<double>(11, 20));
    double best = INFINITY;
    int calls = 0;
    const auto result = minimise_lbfgs<double>(ctx, parameters,
                                               [&] {
                                                 ++calls;
                                                 const double loss = rosenbrock<double>(
                                                     parameters.values(), parameters.gradients());
                                                 best = std::min(best, loss);
                                                 return loss;
                                               },
                                               budget, {});
    EXPECT_EQ(calls, budget);
    EXPECT_EQ(result.evaluations, budget);
    EXPECT_EQ(result.loss, best);
    const auto gradient = download(ctx, parameters.gradients());
    parameters.zero_gradients();
    EXPECT_EQ(rosenbrock<double>(parameters.values(), parameters.gradients()), best);
    EXPECT_EQ(test::relative_difference(gradient.view(), parameters.gradients()), 0);
  }
}

using Numbers = std::vector<double>;

/// H g for the inverse Hessian of Nocedal and Wright's equation 7.16, as a dense matrix:
/// H = (I - s y^T / y^T s) H (I - y s^T / y^T s) + s s^T / y^T s, the oldest pair first, from
/// (s^T y / y^T y) I of the newest.
Numbers times_dense_inverse_hessian(const std::vector<std::pair<Numbers, Numbers>>& pairs,
                                    const Numbers& gradient) {
  const std::size_t n = gradient.size();
  const auto product = [](const Numbers& a, const Numbers& b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  };
  const auto& [last_step, last_change] = pairs.back();
  std::vector<Numbers> h(n, Numbers(n, 0));
  for (std::size_t i = 0; i < n; ++i)
    h[i][i] = product(last_step, last_change) / product(last_change, last_change);
  for (const auto& [s, y] : pairs) {
    const double curvature = product(s, y);
    Numbers hy(n);
    for (std::size_t i = 0; i < n; ++i) hy[i] = product(h[i], y);
    const double yhy = product(y, hy);
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < n; ++j)
        h[i][j] += (1 + yhy / curvature) * s[i] * s[j] / curvature -
                   (hy[i] * s[j] + s[i] * hy[j]) / curvature;
  }
  Numbers result(n);
  for (std::size_t i = 0; i < n; ++i) result[i] = product(h[i], gradient);
  return result;
}

TEST(Lbfgs, TriesTheStepsOfTheDenseInverseHessian) {
  const Context ctx = Context::cpu(1);
  constexpr int dimensions = 10, history = 4, wanted = 12;
  auto parameters = make_parameters(ctx, test::random_tensor<double>(11, dimensions));
  struct Point {
    Numbers x, gradient;
    double loss = INFINITY;
  };
  Point best, before;
  Numbers expected;  // what the first trial of an iteration should be
  std::vector<std::pair<Numbers, Numbers>> pairs;
  int compared = 0;
  const auto evaluate = [&] {
    Point here;
    here.loss = rosenbrock<double>(parameters.values(), parameters.gradients());
    here.x.assign(parameters.values().begin(), parameters.values().end());
    here.gradient.assign(parameters.gradients().begin(), parameters.gradients().end());
    if (!expected.empty()) {
      for (int i = 0; i < dimensions; ++i)
        EXPECT_NEAR(here.x[i], expected[i], 1e-9) << "trial " << compared;
      expected.clear();
      ++compared;
    }
    if (before.x.empty()) before = here;
    if (here.loss < best.loss) best = here;
    return here.loss;
  };
  const auto progress = [&](int, double) {
    Numbers step(dimensions), change(dimensions);
    for (int i = 0; i < dimensions; ++i) {
      step[i] = best.x[i] - before.x[i];
      change[i] = best.gradient[i] - before.gradient[i];
    }
    pairs.emplace_back(step, change);
    if (pairs.size() > history) pairs.erase(pairs.begin());
    before = best;
    const Numbers down = times_dense_inverse_hessian(pairs, best.gradient);
    expected = best.x;
    for (int i = 0; i < dimensions; ++i) expected[i] -= down[i];
    return compared < wanted;
  };
  minimise_lbfgs<double>(ctx, parameters, evaluate, 200, progress, {.history = history});
  EXPECT_EQ(compared, wanted);
}

TEST(Lbfgs, ProgressIsToldEachIterationAndCanStopIt) {
  const Context ctx = Context::cpu(1);
  auto parameters = make_parameters(ctx, test::random_tensor<double>(11, 20));
  double previous = INFINITY;
  int told = 0;
  const auto result = minimise_lbfgs<double>(
      ctx, parameters,
      [&] { return rosenbrock<double>(parameters.values(), parameters.gradients()); }, 1000,
      [&](int iteration, double loss) {
        EXPECT_EQ(iteration, ++told);
        EXPECT_LT(loss, previous);
        previous = loss;
        return iteration < 3;
      });
  EXPECT_EQ(told, 3);
  EXPECT_EQ(result.iterations, 3);
  EXPECT_EQ(result.loss, previous);
}

// f = x - log x has no value for x <= 0; the first steps go far beyond.
TEST(Lbfgs, TurnsBackFromWhereTheLossIsNotFinite) {
  const Context ctx = Context::cpu(1);
  Tensor<double, 1> start(ctx, 1);
  start(0) = 50;
  auto parameters = make_parameters(ctx, start);
  minimise_lbfgs<double>(ctx, parameters,
                         [&] {
                           const double x = parameters.values()[0];
                           parameters.gradients()[0] += 1 - 1 / x;
                           return x - std::log(x);
                         },
                         100, {});
  EXPECT_NEAR(parameters.values()[0], 1, 1e-6);
}

TEST(Lbfgs, StopsAtOnceWhereTheGradientIsZero) {
  const Context ctx = Context::cpu(1);
  auto parameters = make_parameters(ctx, Tensor<double, 1>::zeros(ctx, 3));
  const auto result = minimise_lbfgs<double>(ctx, parameters, [] { return 7.0; }, 100, {});
  EXPECT_EQ(result.evaluations, 1);
  EXPECT_EQ(result.iterations, 0);
  EXPECT_EQ(result.loss, 7);
}

TEST(Lbfgs, RefusesWhatItCannotUse) {
  const Context ctx = Context::cpu(1);
  auto parameters = make_parameters(ctx, Tensor<double, 1>::zeros(ctx, 3));
  auto constant = [] { return 1.0; };
  EXPECT_THROW(minimise_lbfgs<double>(ctx, parameters, constant, 0, {}), std::invalid_argument);
  EXPECT_THROW(minimise_lbfgs<double>(ctx, parameters, constant, 1, {}, {.history = 0}),
               std::invalid_argument);
  EXPECT_THROW(minimise_lbfgs<double>(ctx, parameters, constant, 1, {}, {.curvature = 1e-5}),
               std::invalid_argument);
  EXPECT_THROW(minimise_lbfgs<double>(ctx, parameters, [] { return NAN; }, 10, {}), Diverged);
}

class LbfgsOnBackend : public testing::TestWithParam<BackendUnderTest> {};
INSTANTIATE_TEST_SUITE_P(Backends, LbfgsOnBackend, testing::ValuesIn(test::device_backends()),
                         test::backend_name);

TEST_P(LbfgsOnBackend, AgreesWithTheCpu) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context device = test::make_context(GetParam()), host = Context::cpu(1);
  const Quadratic<double> quadratic{50, 100};
  auto minimise = [&](const Context& ctx) {
    auto parameters = make_parameters(ctx, test::random_tensor<double>(8, 50));
    auto evaluate = [&] {
      auto x = download(ctx, parameters.values());
      auto gradient = Tensor<double, 1>::zeros(host, 50);
      const double loss = quadratic(x, gradient);
      copy<double, 1>(ctx, upload(ctx, gradient), parameters.gradients());
      return loss;
    };
    minimise_lbfgs<double>(ctx, parameters, evaluate, 15, {});
    return download(ctx, parameters.values());
  };
  EXPECT_LT(test::relative_difference(minimise(device), minimise(host)), 1e-8);
}

}  // namespace
}  // namespace orrery
