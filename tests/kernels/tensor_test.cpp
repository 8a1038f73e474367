#include "kernels/tensor.hpp"

#include <stdexcept>

#include "tests/support/compare.hpp"

namespace orrery::test {
namespace {

TEST(Copy, FillsAsMuchAsThereIsAndNothingElse) {
  const Context cpu = Context::cpu(1);
  const auto numbers = random_tensor<float>(1, 3, 4);
  Tensor<float, 2> same(cpu, 3, 4), shorter(cpu, 2, 4), longer(cpu, 3, 5);
  copy<float, 2>(cpu, numbers, same);
  EXPECT_EQ(relative_difference(same, numbers), 0);
  const auto copy_to = [&](View<float, 2> to) { copy<float, 2>(cpu, numbers, to); };
  EXPECT_THROW(copy_to(shorter), std::invalid_argument);
  EXPECT_THROW(copy_to(longer), std::invalid_argument);
}

}  // namespace
}  // namespace orrery::test
