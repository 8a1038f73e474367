#include "kernels/readback.hpp"

#include <stdexcept>

#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery::test {
namespace {

class ReadbackOn : public testing::TestWithParam<BackendUnderTest> {};
INSTANTIATE_TEST_SUITE_P(, ReadbackOn, testing::ValuesIn(all_backends()), backend_name);

TEST_P(ReadbackOn, BringsWhatTheNumbersWereWhenItBegan) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = make_context(GetParam());
  const auto first = random_tensor<double>(1, 7), second = random_tensor<double>(2, 7);
  auto numbers = upload(ctx, first);
  Readback before(ctx, 7), after(ctx, 7);
  before.begin(numbers);
  copy<double, 1>(ctx, upload(ctx, second), numbers);
  after.begin(numbers);
  set_zero<double, 1>(ctx, numbers);
  EXPECT_EQ(relative_difference(before.wait(), first.view()), 0);
  EXPECT_EQ(relative_difference(after.wait(), second.view()), 0);

  // Once more through the same memory.
  before.begin(numbers);
  for (const double x : before.wait()) EXPECT_EQ(x, 0);
}

TEST_P(ReadbackOn, RefusesWhatItCannotDo) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context ctx = make_context(GetParam());
  Readback readback(ctx, 3);
  EXPECT_THROW(readback.wait(), std::invalid_argument);
  EXPECT_THROW(readback.begin(Tensor<double, 1>(ctx, 4)), std::invalid_argument);
}

}  // namespace
}  // namespace orrery::test
