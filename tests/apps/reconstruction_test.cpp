#include "apps/reconstruct/reconstruction.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "apps/reconstruct/neural_truth.hpp"
#include "apps/reconstruct/results.hpp"
#include "io/hdf5.hpp"
#include "io/tables.hpp"
#include "kernels/check.hpp"
#include "tests/support/expect_input_error.hpp"
#include "tests/support/temporary_folder.hpp"

namespace orrery {
namespace {

Options small_options() {
  Options options;
  options.box = 9;
  options.directions = 20;
  options.angles = 4;
  options.width = 12;
  options.steps = 30;
  options.finish = 12;
  settle(options, options.box);
  return options;
}

Problem problem_of(const Context& ctx, const Options& options) {
  std::vector<std::string> notes;
  return make_problem(ctx, options, read_input(ctx, options, notes));
}

Reconstruction reconstruction_of(const Context& ctx, const Options& options,
                                 const Problem& problem) {
  return Reconstruction(ctx, options, problem.quadrature, problem.target,
                        problem.reference->view_weights, problem.moments.n,
                        problem.moments.voxel_size);
}

bool go_on(const ProgressLine&) { return true; }

std::vector<double> losses(const Reconstruction& reconstruction) {
  std::vector<double> numbers;
  for (const auto& line : reconstruction.history()) {
    EXPECT_TRUE(std::isfinite(line.value.total));
    for (double x :
         {double(line.restart), double(line.finishing), double(line.step), line.value.errors.first,
          line.value.errors.second, line.value.penalty, line.value.total, line.learning_rate})
      numbers.push_back(x);
  }
  return numbers;
}

/// All that a run can be made of.
std::vector<Options> all_kinds() {
  std::vector<Options> kinds(5, small_options());
  kinds[1].density_prior = "encoder";
  kinds[1].latent = 2;
  kinds[1].head = "polar";
  kinds[1].symmetry = "half-space";
  kinds[2].coarse_box = 5;
  kinds[2].restarts = 3;
  kinds[2].density_over = "rotations";
  kinds[3].density_prior = "known";
  kinds[3].in_plane = 2;
  kinds[3].loss = "absolute";
  kinds[3].clip = 0.5;
  kinds[3].finish = 0;
  kinds[4].loss = "squared";
  kinds[4].schedule = "steps";
  kinds[4].amplitude = "flat";
  kinds[4].penalty = 0;
  kinds[4].steps = 0;
  return kinds;
}

TEST(Reconstruction, FitsTheMoments) {
  const Context ctx = Context::cpu(1);
  for (const auto& options : all_kinds()) {
    const Problem problem = problem_of(ctx, options);
    auto reconstruction = reconstruction_of(ctx, options, problem);
    ASSERT_TRUE(reconstruction.run(go_on));
    const auto outcome = reconstruction.outcome();
    const auto& first = reconstruction.history().front().value.errors;
    EXPECT_LT(outcome.errors.second, 0.7 * first.second);
    EXPECT_EQ(outcome.volume.n, 9);
    EXPECT_EQ(reconstruction.state().attribute<std::int64_t>("finished"), options.restarts);
    double total = 0;
    for (double w : outcome.view_weights) {
      EXPECT_GE(w, 0);
      total += w;
    }
    EXPECT_NEAR(total, 1, 1e-5);
    if (options.density_prior == "known") {
      for (std::size_t j = 0; j < outcome.view_weights.size(); ++j)
        EXPECT_FLOAT_EQ(outcome.view_weights[j], problem.reference->view_weights[j]);
    }
  }
}

TEST(Reconstruction, GivesTheSameBitsOnAnyNumberOfThreads) {
  const Options options = small_options();
  const Problem problem = problem_of(Context::cpu(1), options);
  auto run = [&](int threads) {
    auto reconstruction = reconstruction_of(Context::cpu(threads), options, problem);
    reconstruction.run(go_on);
    return std::pair(losses(reconstruction), reconstruction.outcome().volume.voxels);
  };
  const auto expected = run(1);
  EXPECT_EQ(run(1), expected);
  EXPECT_EQ(run(2), expected);
  EXPECT_EQ(run(3), expected);
}

TEST(Reconstruction, GoesOnWhereItStopped) {
  const Context ctx = Context::cpu(1);
  const test::TemporaryFolder folder;
  for (const auto& options : all_kinds()) {
    const Problem problem = problem_of(ctx, options);
    auto whole = reconstruction_of(ctx, options, problem);
    ASSERT_TRUE(whole.run(go_on));
    const auto expected = whole.outcome();
    const Index all = whole.steps_done();

    // In Adam's steps, at their end, in L-BFGS, and in the last restart where there are several.
    for (const Index stop : {Index{1}, Index{17}, Index{30}, Index{36}, all - 4}) {
      if (stop >= all) continue;
      SCOPED_TRACE("stopped after " + std::to_string(stop) + " of " + std::to_string(all));
      auto first = reconstruction_of(ctx, options, problem);
      first.run([&](const ProgressLine&) { return first.steps_done() < stop; });
      io::write_hdf5(folder / "checkpoint.h5", first.state());
      auto second = reconstruction_of(ctx, options, problem);
      second.restore(io::read_hdf5(folder / "checkpoint.h5"));
      ASSERT_TRUE(second.run(go_on));
      EXPECT_EQ(second.steps_done(), all);
      EXPECT_EQ(losses(second), losses(whole));
      const auto outcome = second.outcome();
      EXPECT_EQ(outcome.volume.voxels, expected.volume.voxels);
      EXPECT_EQ(outcome.view_weights, expected.view_weights);
      EXPECT_EQ(outcome.errors.second, expected.errors.second);
    }
  }
}

TEST(Reconstruction, KeepsTheBestRestart) {
  const Context ctx = Context::cpu(1);
  Options options = small_options();
  options.restarts = 3;
  const Problem problem = problem_of(ctx, options);
  auto reconstruction = reconstruction_of(ctx, options, problem);
  ASSERT_TRUE(reconstruction.run(go_on));
  double best = INFINITY;
  for (const auto& line : reconstruction.history())
    if (line.finishing) best = std::min(best, line.value.total);
  const auto errors = reconstruction.outcome().errors;
  EXPECT_LE(errors.first * errors.first + errors.second * errors.second, best * (1 + 1e-6));
  const auto state = reconstruction.state();
  EXPECT_EQ(state.attribute<std::int64_t>("finished"), 3);
  EXPECT_NE(state.array<float>("finished_0", {0}), state.array<float>("finished_1", {0}));
}

TEST(Reconstruction, RefusesAnotherRunsCheckpoint) {
  const Context ctx = Context::cpu(1);
  const Options options = small_options();
  const Problem problem = problem_of(ctx, options);
  auto reconstruction = reconstruction_of(ctx, options, problem);
  auto state = reconstruction.state();
  state.source = "checkpoint.h5";
  auto refused = [&](auto change) {
    auto changed = state;
    change(changed);
    const auto message = test::input_error_of([&] { reconstruction.restore(changed); });
    EXPECT_THAT(message, testing::HasSubstr("checkpoint.h5"));
  };
  refused([](auto& s) { s.attributes["format_version"] = std::int64_t{99}; });
  refused([](auto& s) { s.attributes.erase("step"); });
  refused([](auto& s) { s.arrays.erase("adam_first_moment"); });
  refused([](auto& s) { s.arrays["parameters"] = {{3}, std::vector<float>(3)}; });
  refused([](auto& s) { s.arrays["history"] = {{2, 4}, std::vector<double>(8)}; });
}

/// The truth turned, and seen under its density turned alike, is a result whose weights must come
/// back beside the truth's, at the angles at which the truth has them.
TEST(Results, TurnTheViewsWithTheVolume) {
  const Context ctx = Context::cpu(1);
  Options options = small_options();
  options.box = 13;
  options.in_plane = 1.5;
  const Problem problem = problem_of(ctx, options);
  const Rotation turn = from_rotation_vector({0.5, -0.9, 0.3});
  for (bool mirror : {false, true}) {
    Reconstruction::Outcome outcome;
    outcome.volume = rotated(ctx, problem.reference->volume, turn, {0, 0, 0}, mirror);
    // That volume seen at R is the truth seen at R turn, or the other hand's at Rz(pi) R turn.
    Quadrature quadrature = problem.quadrature;
    for (auto& view : quadrature.views) {
      view = view * turn;
      if (mirror) view = rotation_about_z(std::numbers::pi) * view;
    }
    for (auto& direction : quadrature.design.points) direction = transposed(turn) * direction;
    outcome.view_weights = true_view_weights(options, quadrature);

    const Score score = score_against(ctx, *problem.reference, outcome.volume);
    EXPECT_EQ(score.alignment.mirror, mirror);
    EXPECT_LT(score.relative_error, 0.05);  // what lies outside the ball of frequencies
    EXPECT_LT(angle_between(score.alignment.rotation, transposed(turn)), 1e-3);
    const test::TemporaryFolder folder;
    Findings findings;
    findings.outcome = outcome;
    findings.score = score;
    write_results(ctx, folder.path(), options, problem, findings);
    const auto table = io::read_csv(folder / "views.csv");
    const double largest = *std::ranges::max_element(outcome.view_weights);
    for (std::size_t j = 0; j < table.rows.size(); ++j) {
      const auto& row = table.rows[j];
      EXPECT_NEAR(row[3], outcome.view_weights[j], 1e-12);
      EXPECT_NEAR(row[4], row[3], 0.01 * largest) << "view " << j << ", mirror " << mirror;
      EXPECT_LT(angle_between(from_euler({row[0], row[1], row[2]}), quadrature.views[j]), 1e-3);
    }
  }
}

TEST(Problem, MeasuresItsQuadratureAgainstAFinerRule) {
  const Context ctx = Context::cpu(1);
  Options options = small_options();
  const double coarse = *problem_of(ctx, options).quadrature_error;
  options.directions = 100;
  options.angles = 12;
  const double fine = *problem_of(ctx, options).quadrature_error;
  EXPECT_GT(coarse, 1e-3);
  EXPECT_LT(fine, 0.1 * coarse);
}

TEST(Problem, FitsANeuralTruth) {
  const Context ctx = Context::cpu(2);
  Options options = small_options();
  options.width = 24;
  // Outside the ball of frequencies the network is not evaluated, so there the map is empty.
  const Volume map = normalised(band_limited(ctx, phantom(9), 4));
  const auto neural = fit_neural_truth(ctx, map, options);
  EXPECT_GT(neural.relative_error, 0);
  EXPECT_LT(neural.relative_error, 0.02);
  EXPECT_NEAR(frobenius_norm(neural.volume), 1, 1e-6);
  EXPECT_LT(relative_error(map, neural.volume), 0.02);
}

}  // namespace
}  // namespace orrery
