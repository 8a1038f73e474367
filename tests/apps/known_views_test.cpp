#include <gtest/gtest.h>

#include "apps/reconstruct/options.hpp"
#include "apps/reconstruct/problem.hpp"
#include "apps/reconstruct/reconstruction.hpp"
#include "apps/reconstruct/results.hpp"

namespace orrery {
namespace {

// The control of the whole pipeline: two moments do not determine a volume seen uniformly in the
// plane, but with known, strongly non-uniform in-plane angles they do, so it must come back. A
// wrong sign anywhere between map and score would show here.
TEST(KnownViews, GiveTheVolumeBack) {
  const Context ctx = Context::cpu();
  Options options;
  options.box = 13;
  options.density_prior = "known";
  options.in_plane = 8;
  options.angles = 8;
  options.width = 32;
  options.steps = 300;
  options.finish = 700;
  std::vector<std::string> notes;
  Input input = read_input(ctx, options, notes);
  settle(options, input.n());

  const Problem problem = make_problem(ctx, options, std::move(input));
  Reconstruction reconstruction(ctx, options, problem.quadrature, problem.target,
                                problem.reference->view_weights, problem.moments.n,
                                problem.moments.voxel_size);
  ASSERT_TRUE(reconstruction.run([](const ProgressLine&) { return true; }));
  const auto outcome = reconstruction.outcome();
  EXPECT_LT(outcome.errors.second, 0.01);
  const Score score = score_against(ctx, *problem.reference, outcome.volume);
  EXPECT_LT(score.relative_error, 0.15);
  EXPECT_FALSE(score.alignment.mirror);
}

}  // namespace
}  // namespace orrery
