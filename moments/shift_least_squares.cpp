#include "moments/shift_least_squares.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "kernels/check.hpp"
#include "kernels/cholesky.hpp"
#include "kernels/gemm.hpp"
#include "kernels/parallel_tasks.hpp"
#include "kernels/random.hpp"
#include "moments/shift_normal_equations.hpp"
#include "moments/shift_spectra.hpp"

namespace orrery {
namespace {

using Sequence = std::vector<double>;

const Context host = Context::cpu(1);

View<const double, 1> view_of(const Sequence& x) { return {x.data(), std::ssize(x)}; }

double trace_of(View<const double, 2> matrix) {
  double trace = 0;
  for (Index i = 0; i < matrix.extent(0); ++i) trace += matrix(i, i);
  return trace;
}

void check(const ShiftMomentsView& target) {
  const Index n = target.first.extent(0);
  require(n >= 3, "solve_shift_moments", "fewer than 3 samples");
  require_shape("solve_shift_moments", "C", target.second, {n, n});
  require(target.observations >= 0 && target.noise_variance >= 0, "solve_shift_moments",
          "a negative variance or number of observations");
  auto finite = [](double x) { return std::isfinite(x); };
  if (!std::all_of(target.first.begin(), target.first.end(), finite) ||
      !std::all_of(target.second.begin(), target.second.end(), finite))
    throw InputError("The moments hold numbers that are not finite; form them again.");
  if (!(trace_of(target.second) > 0))
    throw InputError(
        "The second moment has no positive trace, so no signal is left in it; average more "
        "observations, or check the noise's variance.");
}

/// One problem: its objective, and the memory that its descents share.
class Solver {
 public:
  Solver(const ShiftMomentsView& target, const ShiftLeastSquaresSettings& settings)
      : n_(target.first.extent(0)),
        settings_(settings),
        scratch_(n_),
        matrix_(host, 2 * n_, 2 * n_),
        damped_(host, 2 * n_, 2 * n_),
        gradient_(host, 2 * n_),
        step_(host, 2 * n_),
        next_(2 * n_) {
    // Exact moments are taken for averages of so many observations, with noise as strong as the
    // signal.
    constexpr double practically_exact = 1e13;
    const bool exact = target.observations == 0 || target.noise_variance == 0;
    const double mean_square = trace_of(target.second) / static_cast<double>(n_);
    const double noise = exact ? mean_square : target.noise_variance;
    const double count = exact ? practically_exact : target.observations;

    objective_.first = Tensor<double, 1>(host, n_);
    objective_.second = Tensor<double, 2>(host, n_, n_);
    copy(host, target.first, objective_.first.view());
    for (Index i = 0; i < n_; ++i)
      for (Index j = 0; j < n_; ++j)
        objective_.second(i, j) = (target.second(i, j) + target.second(j, i)) / 2;
    objective_.first_weight = count / noise;
    objective_.second_weight = count / (2 * noise * (noise + 2 * mean_square));
    // Stiff beside the first moment, whose sum is that of v times that of p.
    objective_.sum_weight = 1e3 * objective_.first_weight * trace_of(target.second);

    ShiftSpectra spectra = estimate_shift_spectra(objective_.second, noise, count);
    signal_power_ = spectra.signal;
    for (double& z : spectra.signal) z = 1 / z;
    for (double& z : spectra.density) z = 1 / z;
    objective_.signal_prior = circulant_row(spectra.signal);
    objective_.density_prior = circulant_row(spectra.density);
  }

  ShiftSolution descend_from(Sequence x) {
    ShiftSolution solution{Tensor<double, 1>(host, n_), Tensor<double, 1>(host, n_)};
    for (const bool bounded : {false, true})
      solution.objective = descend(x, bounded, solution.iterations);
    double total = 0;
    for (Index s = 0; s < n_; ++s) total += x[n_ + s];
    for (Index i = 0; i < n_; ++i) {
      solution.signal(i) = x[i];
      solution.density(i) = x[n_ + i] / total;
    }
    return solution;
  }

  /// With coefficients of the signal scaled to size 1, the shifted signals are orthonormal but for
  /// a factor and thus the eigenvectors of C, with p as eigenvalues: the leading one, by power
  /// iteration, is the signal at its most frequent shift.
  Sequence spectral_start() {
    constexpr int iterations = 60;
    const Sequence whiten = filter([](double power) { return 1 / std::sqrt(power); });
    Sequence x(n_, 0.0), y(n_);
    x[0] = 1;
    for (int iteration = 0; iteration < iterations; ++iteration) {
      x = filtered(whiten, x);
      for (Index i = 0; i < n_; ++i) {
        y[i] = 0;
        for (Index j = 0; j < n_; ++j) y[i] += objective_.second(i, j) * x[j];
      }
      x = filtered(whiten, y);
      double square = 0;
      for (double z : x) square += z * z;
      for (double& z : x) z *= std::sqrt(static_cast<double>(n_) / square);
    }
    return with_density(filtered(filter([](double power) { return std::sqrt(power); }), x));
  }

  /// White noise with the signal's spectrum.
  Sequence random_start(std::uint64_t number) {
    RandomSequence random(settings_.seed, number);
    Sequence x(n_);
    for (double& z : x) z = random.normal();
    return with_density(filtered(filter([](double power) { return std::sqrt(power); }), x));
  }

  Sequence aligned_start(View<const double, 1> signal, View<const double, 1> density) {
    require_shape("refine_shift_solution", "the signal", signal, {n_});
    require_shape("refine_shift_solution", "the density", density, {n_});
    Sequence x(signal.begin(), signal.end()), best;
    x.insert(x.end(), density.begin(), density.end());
    double lowest = std::numeric_limits<double>::infinity();
    for (Index shift = 0; shift < n_; ++shift) {
      const double f = shift_objective(objective_, view_of(x), scratch_);
      if (best.empty() || f < lowest) lowest = f, best = x;
      std::rotate(x.begin() + n_, x.begin() + n_ + 1, x.end());
    }
    return best;
  }

 private:
  /// First row of the circulant matrix that multiplies coefficients by a function of their power.
  template <class Function>
  Sequence filter(const Function& of_power) const {
    Sequence eigenvalues(n_);
    std::transform(signal_power_.begin(), signal_power_.end(), eigenvalues.begin(), of_power);
    return circulant_row(eigenvalues);
  }

  Sequence filtered(const Sequence& row, const Sequence& x) const {
    Sequence y(n_, 0.0);
    for (Index j = 0; j < n_; ++j) {
      for (Index i = 0; i < j; ++i) y[i] += row[i - j + n_] * x[j];
      for (Index i = j; i < n_; ++i) y[i] += row[i - j] * x[j];
    }
    return y;
  }

  /// Unknowns from a signal: with the sign that the mean asks for, and the density that fits best,
  /// cut off below zero. (In p alone the objective is quadratic, so one step is exact.)
  Sequence with_density(Sequence x) {
    double sum = 0, wanted = 0;
    for (Index i = 0; i < n_; ++i) {
      sum += x[i];
      wanted += objective_.first(i);
    }
    if (sum * wanted < 0)
      for (double& z : x) z = -z;

    x.resize(2 * n_, 1 / static_cast<double>(n_));
    shift_normal_equations(objective_, view_of(x), scratch_, matrix_, gradient_);
    hold_where([&](Index i) { return i < n_; }, matrix_, gradient_);
    if (!cholesky_factor(matrix_)) return x;
    cholesky_solve(matrix_, gradient_);
    for (Index i = n_; i < 2 * n_; ++i) x[i] = std::max(x[i] - gradient_(i), 0.0);
    return x;
  }

  /// Takes unknowns out of a system: their equations become x_i = 0.
  template <class Condition>
  void hold_where(const Condition& held, View<double, 2> matrix, View<double, 1> right_side) const {
    for (Index i = 0; i < 2 * n_; ++i) {
      if (!held(i)) continue;
      for (Index j = 0; j < i; ++j) matrix(j, i) = 0;
      for (Index j = i + 1; j < 2 * n_; ++j) matrix(i, j) = 0;
      matrix(i, i) = 1;
      right_side(i) = 0;
    }
  }

  /// The damped step from x, or false where the system cannot be solved.
  bool find_step(const Sequence& x, bool bounded, double damping) {
    double largest = 0;
    for (Index i = 0; i < 2 * n_; ++i) largest = std::max(largest, matrix_(i, i));
    copy(host, std::as_const(matrix_).view(), damped_.view());
    for (Index i = 0; i < 2 * n_; ++i) {
      damped_(i, i) += damping * (matrix_(i, i) + 1e-6 * largest);
      step_(i) = -gradient_(i);
    }
    // A density at zero that the gradient would push below stays there.
    if (bounded)
      hold_where([&](Index i) { return i >= n_ && x[i] <= 0 && gradient_(i) > 0; }, damped_, step_);
    if (!cholesky_factor(damped_)) return false;
    cholesky_solve(damped_, step_);
    return true;
  }

  /// Lowers the objective until it stands still; returns it. Counts the iterations.
  double descend(Sequence& x, bool bounded, int& iterations) {
    constexpr int most_trials = 15, patience = 2;
    constexpr double standstill = 1e-7, least_damping = 1e-12;
    if (bounded)
      for (Index s = n_; s < 2 * n_; ++s) x[s] = std::max(x[s], 0.0);
    double damping = 1e-3, f = 0;
    int idle = 0;
    for (int iteration = 0; iteration < settings_.most_iterations && idle < patience; ++iteration) {
      f = shift_normal_equations(objective_, view_of(x), scratch_, matrix_, gradient_);
      ++iterations;
      double f_next = f;
      for (int trial = 0; trial < most_trials; ++trial) {
        if (find_step(x, bounded, damping)) {
          for (Index i = 0; i < 2 * n_; ++i) {
            next_[i] = x[i] + step_(i);
            if (bounded && i >= n_) next_[i] = std::max(next_[i], 0.0);
          }
          f_next = shift_objective(objective_, view_of(next_), scratch_);
          if (f_next < f) break;
        }
        damping = 4 * std::max(damping, 1e-8);
      }
      if (!(f_next < f)) break;
      damping = std::max(damping / 5, least_damping);
      idle = f - f_next < standstill * f ? idle + 1 : 0;
      std::swap(x, next_);
      f = f_next;
    }
    return f;
  }

  Index n_;
  ShiftLeastSquaresSettings settings_;
  ShiftObjective objective_;
  Sequence signal_power_;
  ShiftScratch scratch_;
  Tensor<double, 2> matrix_, damped_;
  Tensor<double, 1> gradient_, step_;
  Sequence next_;
};

ShiftSolution solve_checked(const ShiftMomentsView& target,
                            const ShiftLeastSquaresSettings& settings) {
  Solver solver(target, settings);
  ShiftSolution best;
  for (int start = 0; start < settings.starts; ++start) {
    const bool spectral = start == 0 && settings.spectral_start;
    ShiftSolution found =
        solver.descend_from(spectral ? solver.spectral_start() : solver.random_start(start));
    // Written so that an objective that is no number loses against any other.
    if (start == 0 || !(found.objective >= best.objective)) best = std::move(found);
  }
  return best;
}

void check(const ShiftLeastSquaresSettings& settings) {
  require(settings.starts >= 1 && settings.most_iterations >= 1, "solve_shift_moments",
          "starts and iterations must be positive");
}

}  // namespace

ShiftSolution solve_shift_moments(const ShiftMomentsView& target,
                                  const ShiftLeastSquaresSettings& settings) {
  check(settings);
  check(target);
  blas::load();
  return solve_checked(target, settings);
}

std::vector<ShiftSolution> solve_shift_moments(const Context& ctx,
                                               const std::vector<ShiftMomentsView>& targets,
                                               const ShiftLeastSquaresSettings& settings) {
  check(settings);
  for (const ShiftMomentsView& target : targets) check(target);
  blas::load();
  std::vector<ShiftSolution> solutions(targets.size());
  for_each_task(ctx.threads(), static_cast<Index>(targets.size()),
                [&](Index i) { solutions[i] = solve_checked(targets[i], settings); });
  return solutions;
}

ShiftSolution refine_shift_solution(const ShiftMomentsView& target, View<const double, 1> signal,
                                    View<const double, 1> density,
                                    const ShiftLeastSquaresSettings& settings) {
  check(settings);
  check(target);
  blas::load();
  Solver solver(target, settings);
  return solver.descend_from(solver.aligned_start(signal, density));
}

}  // namespace orrery
