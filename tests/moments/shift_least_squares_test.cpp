#include "moments/shift_least_squares.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "kernels/check.hpp"
#include "tests/support/compare.hpp"
#include "tests/support/shift_observations.hpp"

namespace orrery::test {
namespace {

const Context cpu = Context::cpu(1);

ShiftMomentsView view_of(const ShiftMoments& moments) {
  return {moments.first, moments.second, moments.noise_variance, moments.observations};
}

View<const double, 1> view_of(const std::vector<double>& x) { return {x.data(), std::ssize(x)}; }

/// Errors of a signal and its density, or their means.
struct PairErrors {
  ShiftErrors signal, density;

  void add(const PairErrors& other, double weight) {
    signal.on_grid += weight * other.signal.on_grid;
    signal.continuous += weight * other.signal.continuous;
    density.on_grid += weight * other.density.on_grid;
    density.continuous += weight * other.density.continuous;
  }
};

PairErrors errors_of(const ShiftSolution& solution, const ShiftPair& truth) {
  return {shift_errors(solution.signal, truth.signal),
          shift_errors(solution.density, truth.density)};
}

/// Mean errors over mixtures of two Gaussians, given the noise's standard deviation.
PairErrors mean_errors(Index n, double observations, int instances, double noise = 1) {
  PairErrors mean;
  for (int i = 0; i < instances; ++i) {
    const ShiftPair truth = mixture_pair(n, 2, 100 + i);
    const ShiftMoments moments = observations > 0
                                     ? noisy_moments(truth, noise, observations, 500 + i)
                                     : exact_moments(truth);
    mean.add(errors_of(solve_shift_moments(view_of(moments)), truth), 1.0 / instances);
  }
  return mean;
}

TEST(ShiftLeastSquares, ExactMomentsGiveThePairBack) {
  for (Index n : {21, 32, 41}) {
    const PairErrors errors = mean_errors(n, 0, 10);
    EXPECT_LT(errors.signal.continuous, 1e-4) << "n = " << n;
    EXPECT_LT(errors.density.continuous, 2e-4) << "n = " << n;
  }
}

TEST(ShiftLeastSquares, WithoutNoiseItIsTheDrawnShiftsThatComeBack) {
  ShiftPair truth = mixture_pair(21, 2, 7);
  const ShiftMoments few = noisy_moments(truth, 0, 200, 8);
  const ShiftSolution solution = solve_shift_moments(view_of(few));
  EXPECT_LT(errors_of(solution, truth).signal.continuous, 0.01);
  EXPECT_LT(errors_of(solution, truth).density.continuous, 0.3);  // 10 shifts a sample
}

TEST(ShiftLeastSquares, ExactMomentsOfAsFewAsThreeSamples) {
  for (Index n : {3, 4, 5}) {
    ShiftPair truth{{0.9, 0.1, -0.3, 0.25, 0.6}, {0.5, 0.2, 0.1, 0.15, 0.05}};
    truth.signal.resize(n);
    truth.density.resize(n);
    double sum = 0;
    for (double p : truth.density) sum += p;
    for (double& p : truth.density) p /= sum;
    const PairErrors errors = errors_of(solve_shift_moments(view_of(exact_moments(truth))), truth);
    EXPECT_LT(errors.signal.on_grid, 1e-6) << "n = " << n;
    EXPECT_LT(errors.density.on_grid, 1e-6) << "n = " << n;
  }
}

// A million observations with noise six times as strong as the signal (41 samples, norm 1).
TEST(ShiftLeastSquares, NoisyMomentsGiveTheirPairAlmostBack) {
  const PairErrors errors = mean_errors(41, 1e6, 20);
  EXPECT_LT(errors.signal.continuous, 0.035);
  EXPECT_LT(errors.density.continuous, 0.035);
  EXPECT_LT(errors.signal.on_grid, 0.12);
  EXPECT_LT(errors.density.on_grid, 0.12);
}

TEST(ShiftLeastSquares, ErrorsFallWithTheNumberOfObservations) {
  const PairErrors few = mean_errors(41, 1e5, 10), many = mean_errors(41, 1e7, 10);
  EXPECT_LT(few.signal.continuous, 0.08);
  EXPECT_LT(few.density.continuous, 0.09);
  EXPECT_LT(many.signal.continuous, 0.016);
  EXPECT_LT(many.density.continuous, 0.022);
}

// With little noise it is the counts of the shifts that scatter, and the signal that noise meets.
TEST(ShiftLeastSquares, FewObservationsWithLittleNoise) {
  const PairErrors errors = mean_errors(41, 1e4, 10, 0.1);
  EXPECT_LT(errors.signal.continuous, 0.02);
  EXPECT_LT(errors.density.continuous, 0.04);
}

TEST(ShiftLeastSquares, RandomStartsEndAtOneOptimum) {
  for (int instance : {0, 9, 18}) {
    const ShiftPair truth = mixture_pair(41, 2, 100 + instance);
    const ShiftMoments moments = noisy_moments(truth, 1, 1e6, 500 + instance);
    const PairErrors usual = errors_of(solve_shift_moments(view_of(moments)), truth);
    double lowest = std::numeric_limits<double>::infinity(), highest = 0;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      ShiftLeastSquaresSettings settings;
      settings.spectral_start = false;
      settings.seed = seed;
      const ShiftSolution solution = solve_shift_moments(view_of(moments), settings);
      lowest = std::min(lowest, solution.objective);
      highest = std::max(highest, solution.objective);
      const PairErrors errors = errors_of(solution, truth);
      EXPECT_NEAR(errors.signal.continuous, usual.signal.continuous, 0.005);
      EXPECT_NEAR(errors.density.continuous, usual.density.continuous, 0.01);
    }
    // Along the common shift the objective is nearly flat; what differs is less than one standard
    // deviation of any direction would bring.
    EXPECT_LT(highest - lowest, 5) << "of " << lowest;
  }
}

TEST(ShiftLeastSquares, MoreStartsKeepTheBest) {
  const ShiftMoments moments = noisy_moments(mixture_pair(21, 3, 4), 1, 1e5, 5);
  ShiftLeastSquaresSettings settings;
  settings.most_iterations = 4;  // so that starts end apart
  double lowest = solve_shift_moments(view_of(moments), settings).objective;
  for (int starts : {2, 5, 9}) {
    settings.starts = starts;
    const double objective = solve_shift_moments(view_of(moments), settings).objective;
    EXPECT_LE(objective, lowest);
    lowest = objective;
  }
  settings.starts = 1;
  EXPECT_LT(lowest, solve_shift_moments(view_of(moments), settings).objective);
}

TEST(ShiftLeastSquares, RefinesAGivenPairWhereverItIsShifted) {
  const ShiftPair truth = mixture_pair(41, 2, 109);
  const ShiftMoments moments = noisy_moments(truth, 1, 1e6, 509);
  const ShiftSolution usual = solve_shift_moments(view_of(moments));
  ShiftPair rough = truth;
  for (Index i = 0; i < 41; ++i) {
    rough.signal[i] += 0.03 * std::sin(static_cast<double>(7 * i));
    rough.density[i] = 0.7 * rough.density[i] + 0.3 / 41;
  }
  for (Index shift : {0, 5, 30}) {
    ShiftPair shifted = rough;
    std::rotate(shifted.density.begin(), shifted.density.begin() + shift, shifted.density.end());
    const ShiftSolution refined =
        refine_shift_solution(view_of(moments), view_of(shifted.signal), view_of(shifted.density));
    EXPECT_LT(refined.objective, usual.objective + 1);
    EXPECT_LT(errors_of(refined, truth).signal.continuous, 0.03);
    EXPECT_LT(errors_of(refined, truth).density.continuous, 0.03);
  }
}

TEST(ShiftLeastSquares, TheSolutionIsADensity) {
  const ShiftMoments moments = noisy_moments(mixture_pair(24, 1, 3), 1, 1e4, 8);
  const ShiftSolution solution = solve_shift_moments(view_of(moments));
  double sum = 0;
  for (double p : solution.density.view()) {
    EXPECT_GE(p, 0);
    sum += p;
  }
  EXPECT_NEAR(sum, 1, 1e-12);
}

// Twice the signal in twice the noise is the same problem.
TEST(ShiftLeastSquares, KnowsNoUnits) {
  const ShiftPair truth = mixture_pair(21, 2, 3);
  const ShiftMoments moments = noisy_moments(truth, 1, 1e5, 8);
  ShiftMoments louder = noisy_moments(truth, 1, 1e5, 8);
  for (double& x : louder.first.view()) x *= 8;
  for (double& x : louder.second.view()) x *= 64;
  louder.noise_variance = 64;
  const ShiftSolution one = solve_shift_moments(view_of(moments));
  ShiftSolution eight = solve_shift_moments(view_of(louder));
  for (double& x : eight.signal.view()) x /= 8;
  EXPECT_LT(relative_difference(eight.signal, one.signal), 1e-3);
  EXPECT_LT(relative_difference(eight.density, one.density), 1e-3);
}

/// Signals that are no mixtures of Gaussians; norm 1.
std::vector<double> signal_named(const std::string& name, Index n) {
  std::vector<double> v(n);
  RandomSequence random(3, 1);
  auto wave = [](double x, double centre, double width) {
    return std::exp(-0.5 * (x - centre) * (x - centre) / (width * width));
  };
  double square = 0;
  for (Index i = 0; i < n; ++i) {
    const double x = static_cast<double>(i) / static_cast<double>(n);
    if (name == "electrocardiogram")
      v[i] = 0.15 * wave(x, 0.2, 0.03) - 0.12 * wave(x, 0.36, 0.01) + wave(x, 0.4, 0.012) -
             0.25 * wave(x, 0.44, 0.012) + 0.3 * wave(x, 0.68, 0.05);
    else if (name == "box")
      v[i] = x >= 0.3 && x < 0.55;
    else if (name == "chirp")
      v[i] = std::sin(2 * std::numbers::pi * (2 * x + 6 * x * x)) * std::sin(std::numbers::pi * x);
    else
      v[i] = random.normal();
    square += v[i] * v[i];
  }
  for (double& x : v) x /= std::sqrt(square);
  return v;
}

TEST(ShiftLeastSquares, SignalsNeedNotBeMixtures) {
  struct Case {
    const char* name;
    double signal, density;
  };
  for (const auto& [name, signal, density] : {Case{"electrocardiogram", 0.06, 0.025},
                                              {"box", 0.13, 0.03},
                                              {"chirp", 0.08, 0.025},
                                              {"white noise", 0.05, 0.025}}) {
    constexpr int instances = 5;
    PairErrors mean;
    for (int i = 0; i < instances; ++i) {
      const ShiftPair truth{signal_named(name, 41), mixture_pair(41, 2, 100 + i).density};
      const ShiftMoments moments = noisy_moments(truth, 1, 1e6, 500 + i);
      mean.add(errors_of(solve_shift_moments(view_of(moments)), truth), 1.0 / instances);
    }
    EXPECT_LT(mean.signal.continuous, signal) << name;
    EXPECT_LT(mean.density.continuous, density) << name;
  }
}

// The tests above draw averages from their law; here every observation is made.
TEST(ShiftLeastSquares, WorksOnTrueObservations) {
  constexpr int instances = 3, observations = 20000;
  PairErrors simulated, drawn;
  for (int i = 0; i < instances; ++i) {
    const ShiftPair truth = mixture_pair(21, 2, 100 + i);
    const auto one = simulated_moments(truth, 0.3, observations, 500 + i);
    const auto other = noisy_moments(truth, 0.3, observations, 600 + i);
    simulated.add(errors_of(solve_shift_moments(view_of(one)), truth), 1.0 / instances);
    drawn.add(errors_of(solve_shift_moments(view_of(other)), truth), 1.0 / instances);
  }
  EXPECT_LT(simulated.signal.continuous, 0.06);
  EXPECT_LT(simulated.density.continuous, 0.08);
  EXPECT_LT(drawn.signal.continuous, 0.06);
  EXPECT_LT(drawn.density.continuous, 0.08);
}

TEST(ShiftLeastSquares, ABatchIsTheSameOnAnyNumberOfThreads) {
  std::vector<ShiftMoments> moments;
  std::vector<ShiftMomentsView> targets;
  for (int i = 0; i < 6; ++i)
    moments.push_back(noisy_moments(mixture_pair(15 + i, 2, i), 1, 1e5, i));
  for (const ShiftMoments& m : moments) targets.push_back(view_of(m));
  for (int threads : {1, 3}) {
    const auto solutions = solve_shift_moments(Context::cpu(threads), targets);
    ASSERT_EQ(solutions.size(), targets.size());
    for (std::size_t i = 0; i < targets.size(); ++i) {
      const ShiftSolution alone = solve_shift_moments(targets[i]);
      EXPECT_EQ(solutions[i].objective, alone.objective);
      EXPECT_EQ(relative_difference(solutions[i].signal, alone.signal), 0);
      EXPECT_EQ(relative_difference(solutions[i].density, alone.density), 0);
    }
  }
}

TEST(ShiftLeastSquares, RejectsWhatDoesNotFit) {
  const ShiftMoments good = exact_moments(mixture_pair(7, 1, 1));
  const Tensor<double, 2> oblong(cpu, 7, 6);
  EXPECT_THROW(solve_shift_moments({good.first, oblong}), std::invalid_argument);
  const ShiftMoments two{Tensor<double, 1>::zeros(cpu, 2), Tensor<double, 2>::zeros(cpu, 2, 2)};
  EXPECT_THROW(solve_shift_moments(view_of(two)), std::invalid_argument);
  EXPECT_THROW(solve_shift_moments({good.first, good.second, -1.0, 100.0}), std::invalid_argument);
  EXPECT_THROW(solve_shift_moments({good.first, good.second, 1.0, -100.0}), std::invalid_argument);
  ShiftLeastSquaresSettings no_start;
  no_start.starts = 0;
  EXPECT_THROW(solve_shift_moments(view_of(good), no_start), std::invalid_argument);
  const std::vector<double> shorter(6, 0.1), right(7, 0.1);
  EXPECT_THROW(refine_shift_solution(view_of(good), view_of(shorter), view_of(right)),
               std::invalid_argument);
  EXPECT_THROW(refine_shift_solution(view_of(good), view_of(right), view_of(shorter)),
               std::invalid_argument);
}

TEST(ShiftLeastSquares, RejectsMomentsWithoutASignal) {
  ShiftMoments moments = exact_moments(mixture_pair(7, 1, 1));
  moments.first(3) = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(solve_shift_moments(view_of(moments)), InputError);
  moments.first(3) = 0;
  for (Index i = 0; i < 7; ++i) moments.second(i, i) -= 1;
  EXPECT_THROW(solve_shift_moments(view_of(moments)), InputError);
}

}  // namespace
}  // namespace orrery::test
