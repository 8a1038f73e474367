#include <gtest/gtest.h>

#include <cmath>

#include "apps/reconstruct/estimated_moments.hpp"
#include "apps/reconstruct/memory.hpp"
#include "apps/reconstruct/problem.hpp"
#include "apps/reconstruct/reconstruction.hpp"
#include "tests/apps/noisy_moments.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

const Context ctx = Context::cpu(1);

Options small_options(Index rank) {
  Options options;
  options.box = 9;
  options.directions = 20;
  options.angles = 4;
  options.width = 8;
  options.steps = 4;
  options.finish = 3;
  options.coarse_box = 5;
  options.target_rank = rank;
  settle(options, 9);
  return options;
}

Problem problem_of(const Options& options) {
  std::vector<std::string> notes;
  return make_problem(ctx, options, read_input(ctx, options, notes));
}

/// sum_k s_k f_k f_k^T
Tensor<float, 2> matrix_of(const TargetMoments<float>& target) {
  const Index d = target.factors.extent(1);
  auto matrix = Tensor<float, 2>::zeros(ctx, d, d);
  for (Index k = 0; k < target.strengths.size(); ++k)
    for (Index i = 0; i < d; ++i)
      for (Index j = 0; j < d; ++j)
        matrix(i, j) += target.strengths(k) * target.factors(k, i) * target.factors(k, j);
  return matrix;
}

TEST(TargetRank, LeavesOutWhatItSays) {
  const Problem whole = problem_of(small_options(0)), part = problem_of(small_options(5));
  ASSERT_TRUE(part.exact);
  EXPECT_LT(test::relative_difference(part.target.first, whole.target.first), 1e-6);
  EXPECT_LT(test::relative_difference(matrix_of(*part.exact), whole.target.second), 1e-5);
  EXPECT_NEAR(part.target.second_norm, whole.target.second_norm, 1e-5 * whole.target.second_norm);
  const double left_out = test::relative_difference(matrix_of(part.target), whole.target.second);
  EXPECT_GT(left_out, 1e-3);
  EXPECT_NEAR(relative_remainder(part.target), left_out, 1e-2 * left_out);
  EXPECT_NEAR(*part.quadrature_error, *whole.quadrature_error, 1e-2 * *whole.quadrature_error);
  EXPECT_TRUE(part.moments.second.empty());
}

TEST(TargetRank, OfNearlyAllIsTheMatrix) {
  const Options all = small_options(0), many = small_options(70);
  const Problem whole = problem_of(all), part = problem_of(many);
  const auto run = [](const Options& options, const Problem& problem) {
    Reconstruction reconstruction(ctx, options, problem.quadrature, problem.target, {}, 9, 1);
    EXPECT_TRUE(reconstruction.run([](const ProgressLine&) { return true; }));
    return reconstruction.history();
  };
  const auto expected = run(all, whole), found = run(many, part);
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_NEAR(found[i].value.errors.first, expected[i].value.errors.first, 1e-4) << i;
    EXPECT_NEAR(found[i].value.errors.second, expected[i].value.errors.second, 1e-4) << i;
  }
}

/// Whatever the model, its error is within sqrt(2) remainders of that against the whole.
TEST(TargetRank, StatesTheErrorOfEstimatedMoments) {
  const Options options = small_options(6);
  const Problem problem = problem_of(small_options(0));
  const auto moments = test::noisy_moments(ctx, problem, 0.5, 10000, 3);
  const auto weights = noise_weights(moments, "moments.h5");
  const auto whole = target_of(ctx, moments, moments.first, moments.second, weights);
  const auto part = target_of(ctx, moments, moments.first, moments.second, weights, 6);
  EXPECT_NEAR(part.second_norm, whole.second_norm, 1e-4 * whole.second_norm);
  EXPECT_GT(relative_remainder(part), 0.01);
  Reconstruction of_whole(ctx, options, problem.quadrature, whole, {}, 9, 1);
  of_whole.run([](const ProgressLine&) { return true; });
  const double exact = of_whole.errors_against(whole).second;
  const double stated = of_whole.errors_against(part).second;
  EXPECT_LT(std::abs(stated - exact), std::sqrt(2) * relative_remainder(part));
  EXPECT_NE(stated, exact);
}

TEST(TargetRank, IsRestrictedToABandByItsFactors) {
  const Problem problem = problem_of(small_options(4));
  const auto found = restrict_to_band(ctx, problem.target, 9, 3);
  auto whole = tensor_like<float>(ctx, problem.target.first.view());
  copy<float, 1>(ctx, problem.target.first, whole);
  const auto expected = restrict_to_band(
      ctx, make_target<float>(ctx, std::move(whole), matrix_of(problem.target)), 9, 3);
  EXPECT_LT(test::relative_difference(found.first, expected.first), 1e-7);
  EXPECT_LT(test::relative_difference(matrix_of(found), expected.second), 1e-6);
  EXPECT_NEAR(found.second_norm, expected.second_norm, 1e-5 * expected.second_norm);
}

TEST(TargetRank, IsSuggestedWhereItSparesMemory) {
  Options options;
  const Index rank = rank_to_try(options, 127).value();
  const std::int64_t bytes = 12'000'000'000;
  const int whole = largest_box(options, bytes);
  options.target_rank = rank;
  EXPECT_GT(largest_box(options, bytes), whole);
  EXPECT_FALSE(rank_to_try(options, 127));
  options.target_rank = 0;
  EXPECT_FALSE(rank_to_try(options, 13));
  options.density_prior = "encoder";
  EXPECT_FALSE(rank_to_try(options, 127));
}

}  // namespace
}  // namespace orrery
