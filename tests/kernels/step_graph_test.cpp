#include "kernels/step_graph.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>

#include "kernels/pointwise.hpp"
#include "kernels/readback.hpp"
#include "kernels/reduce.hpp"
#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery {
namespace {

class StepGraphOnBackend : public testing::TestWithParam<test::BackendUnderTest> {};
INSTANTIATE_TEST_SUITE_P(, StepGraphOnBackend, testing::ValuesIn(test::all_backends()),
                         test::backend_name);

// x <- 2 x + 1 over and over from 0 gives 2^steps - 1; the scratch comes and goes within a step.
TEST_P(StepGraphOnBackend, DoesItsStepAtEveryCall) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  Tensor<float, 1> host(Context::cpu(1), 5);
  for (float& one : host.view()) one = 1;
  const auto ones = upload(ctx, host);
  auto x = Tensor<float, 1>::zeros(ctx, 5);
  StepGraph step(ctx, [&] {
    Tensor<float, 1> scratch(ctx, 5);
    copy<float, 1>(ctx, x, scratch);
    scale<float>(ctx, 2, scratch);
    add_scaled<float>(ctx, 1, ones, scratch);
    copy<float, 1>(ctx, scratch, x);
  });
  for (int steps = 1; steps <= 6; ++steps) {
    step();
    const auto found = download(ctx, x);
    for (const float number : found.view())
      EXPECT_EQ(number, static_cast<float>((1 << steps) - 1)) << "after " << steps << " steps";
  }
}

TEST_P(StepGraphOnBackend, IsOnTheHostTwiceOnADevice) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  auto x = Tensor<float, 1>::zeros(ctx, 3);
  int calls = 0;
  StepGraph step(ctx, [&] {
    scale<float>(ctx, 2, x);
    ++calls;
  });
  for (int i = 0; i < 5; ++i) step();
  EXPECT_EQ(calls, ctx.backend() == Backend::cpu ? 5 : 2);
}

TEST_P(StepGraphOnBackend, RefusesWhatWaitsForADevice) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  const Tensor<double, 1> host(Context::cpu(1), 3);
  auto x = Tensor<double, 1>::zeros(ctx, 3);
  Readback readback(ctx, 3);
  const std::pair<const char*, std::function<void()>> waits[] = {
      {"upload", [&] { upload(ctx, host); }},
      {"download", [&] { download(ctx, x); }},
      {"sum", [&] { sum<double>(ctx, x); }},
      {"synchronize", [&] { ctx.synchronize(); }},
      {"readback", [&] { readback.begin(x), readback.wait(); }},
  };
  for (const auto& [name, wait] : waits) {
    StepGraph step(ctx, wait);
    step();
    if (ctx.backend() == Backend::cuda)
      EXPECT_THROW(step(), std::runtime_error) << name;
    else
      EXPECT_NO_THROW(step()) << name;
    // The context works as before.
    EXPECT_EQ(download(ctx, x)(0), 0) << name;
  }
}

TEST_P(StepGraphOnBackend, PassesOnWhatItsStepThrows) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = test::make_context(GetParam());
  auto x = Tensor<float, 1>::zeros(ctx, 3);
  int calls = 0;
  StepGraph step(ctx, [&] {
    scale<float>(ctx, 2, x);
    if (++calls >= 2) throw std::logic_error("the second call");
  });
  step();
  EXPECT_THROW(step(), std::logic_error);
  // The context works as before.
  EXPECT_EQ(download(ctx, x)(0), 0);
}

}  // namespace
}  // namespace orrery
