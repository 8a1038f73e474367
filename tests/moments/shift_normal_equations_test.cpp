#include "moments/shift_normal_equations.hpp"

#include <cmath>

#include "tests/support/compare.hpp"

namespace orrery::test {
namespace {

const Context cpu = Context::cpu(1);

/// A positive definite circulant matrix's first row.
std::vector<double> some_prior(Index n, double scale) {
  std::vector<double> row(n, 0.0);
  row[0] = 3 * scale;
  row[1] += scale;
  row[n - 1] += scale;
  return row;
}

ShiftObjective some_objective(Index n, std::uint64_t seed) {
  ShiftObjective objective;
  objective.first = random_tensor<double>(seed, n);
  objective.second = random_tensor<double>(seed + 1, n, n);
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < i; ++j) objective.second(i, j) = objective.second(j, i);
  objective.first_weight = 1.7;
  objective.second_weight = 0.6;
  objective.sum_weight = 2.3;
  objective.signal_prior = some_prior(n, 0.4);
  objective.density_prior = some_prior(n, 0.9);
  return objective;
}

/// Residuals whose squares sum to the objective but for the priors:
///   sqrt(w1) (V p - m1),  sqrt(w2) (V diag(p) V^T - C),  sqrt(w0) (sum p - 1).
std::vector<double> residuals(const ShiftObjective& objective, View<const double, 1> x) {
  const Index n = objective.length();
  std::vector<double> r;
  auto v = [&](Index i) { return x((i % n + n) % n); };
  for (Index i = 0; i < n; ++i) {
    double first = -objective.first(i);
    for (Index s = 0; s < n; ++s) first += x(n + s) * v(i - s);
    r.push_back(std::sqrt(objective.first_weight) * first);
    for (Index j = 0; j < n; ++j) {
      double second = -objective.second(i, j);
      for (Index s = 0; s < n; ++s) second += x(n + s) * v(i - s) * v(j - s);
      r.push_back(std::sqrt(objective.second_weight) * second);
    }
  }
  double sum = -1;
  for (Index s = 0; s < n; ++s) sum += x(n + s);
  r.push_back(std::sqrt(objective.sum_weight) * sum);
  return r;
}

double formula(const ShiftObjective& objective, View<const double, 1> x) {
  const Index n = objective.length();
  double f = 0;
  for (double r : residuals(objective, x)) f += r * r;
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j) {
      const Index a = (i - j + n) % n;
      const double p = x(n + i) - 1.0 / double(n), q = x(n + j) - 1.0 / double(n);
      f += x(i) * objective.signal_prior[a] * x(j) + p * objective.density_prior[a] * q;
    }
  return f;
}

constexpr Index lengths[] = {3, 4, 8, 11};

TEST(ShiftNormalEquations, ObjectiveIsTheFormula) {
  for (Index n : lengths) {
    const auto objective = some_objective(n, 3);
    const auto x = random_tensor<double>(9, 2 * n);
    ShiftScratch scratch(n);
    const double expected = formula(objective, x);
    EXPECT_NEAR(shift_objective(objective, x, scratch), expected, 1e-12 * expected);
    Tensor<double, 2> matrix(cpu, 2 * n, 2 * n);
    Tensor<double, 1> gradient(cpu, 2 * n);
    EXPECT_NEAR(shift_normal_equations(objective, x, scratch, matrix, gradient), expected,
                1e-12 * expected);
  }
}

TEST(ShiftNormalEquations, MatrixIsThatOfTheJacobian) {
  for (Index n : lengths) {
    const auto objective = some_objective(n, 5);
    auto x = random_tensor<double>(7, 2 * n);
    ShiftScratch scratch(n);
    Tensor<double, 2> matrix(cpu, 2 * n, 2 * n);
    Tensor<double, 1> gradient(cpu, 2 * n);
    shift_normal_equations(objective, x, scratch, matrix, gradient);

    // Residuals are cubic in each unknown (quadratic, indeed): central differences of any step are
    // exact but for rounding.
    const double step = 0.25;
    std::vector<std::vector<double>> jacobian;
    for (Index u = 0; u < 2 * n; ++u) {
      const double centre = x(u);
      x(u) = centre + step;
      auto column = residuals(objective, x);
      x(u) = centre - step;
      const auto below = residuals(objective, x);
      x(u) = centre;
      for (std::size_t r = 0; r < column.size(); ++r)
        column[r] = (column[r] - below[r]) / (2 * step);
      jacobian.push_back(column);
    }
    const auto r = residuals(objective, x);
    double largest = 0, worst = 0, worst_gradient = 0;
    for (Index u = 0; u < 2 * n; ++u) {
      double along = 0;
      for (std::size_t i = 0; i < r.size(); ++i) along += jacobian[u][i] * r[i];
      for (Index w = 0; w < n; ++w) {
        const Index a = (u % n - w + n) % n;
        along += u < n ? objective.signal_prior[a] * x(w)
                       : objective.density_prior[a] * (x(n + w) - 1.0 / double(n));
      }
      worst_gradient = std::max(worst_gradient, std::abs(gradient(u) - along));
      for (Index w = u; w < 2 * n; ++w) {
        double expected = 0;
        for (std::size_t i = 0; i < r.size(); ++i) expected += jacobian[u][i] * jacobian[w][i];
        if (w < n) expected += objective.signal_prior[w - u];
        if (u >= n) expected += objective.density_prior[w - u];
        worst = std::max(worst, std::abs(matrix(u, w) - expected));
        largest = std::max(largest, std::abs(expected));
      }
    }
    EXPECT_LT(worst, 1e-12 * largest) << "n = " << n;
    EXPECT_LT(worst_gradient, 1e-12 * largest) << "n = " << n;
  }
}

TEST(ShiftNormalEquations, RejectsWhatDoesNotFit) {
  auto objective = some_objective(5, 1);
  ShiftScratch scratch(5);
  const auto x = random_tensor<double>(1, 10), shorter = random_tensor<double>(1, 9);
  Tensor<double, 2> matrix(cpu, 10, 9);
  Tensor<double, 1> gradient(cpu, 10);
  EXPECT_THROW(shift_objective(objective, shorter, scratch), std::invalid_argument);
  EXPECT_THROW(shift_normal_equations(objective, x, scratch, matrix, gradient),
               std::invalid_argument);
  objective.density_prior.pop_back();
  EXPECT_THROW(shift_objective(objective, x, scratch), std::invalid_argument);
}

}  // namespace
}  // namespace orrery::test
