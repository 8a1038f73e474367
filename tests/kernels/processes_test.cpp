// What processes do together, played by threads. With MPI between them:
// tests/apps/processes_test.cpp.

#include "kernels/processes.hpp"

#include <gtest/gtest.h>

#include <mutex>
#include <stdexcept>

#include "kernels/check.hpp"
#include "kernels/tensor.hpp"
#include "tests/support/backends.hpp"
#include "tests/support/threads_as_processes.hpp"

namespace orrery::test {
namespace {

const Context cpu = Context::cpu(1);

TEST(Processes, AloneHaveNothingToDo) {
  auto alone = Processes::alone();
  EXPECT_FALSE(alone.are_several());
  EXPECT_TRUE(alone.is_first());
  float number = 3;
  alone.sum(cpu, View<float, 1>(&number, 1));
  EXPECT_EQ(number, 3);
  EXPECT_EQ(alone.sum(2.0), 2);
  EXPECT_TRUE(alone.any(true));
  EXPECT_FALSE(alone.any(false));
  EXPECT_EQ(alone.from_first(5), 5);
  EXPECT_EQ(alone.gather("text"), std::vector<std::string>{"text"});
  EXPECT_EQ(alone.share_of(7).count, 7);
  alone.meet();
  int code = 2;
  EXPECT_TRUE(alone.tell_failure(code));
}

TEST(Processes, ShareThingsOut) {
  for (int count : {2, 3, 5})
    for (Index things : {0, 1, 4, 12, 17}) {
      std::mutex mutex;
      std::vector<int> taken(static_cast<std::size_t>(things));
      run_as_processes(count, [&](Processes& processes) {
        const auto [first, own] = processes.share_of(things);
        EXPECT_LE(own, things / count + 1);
        const std::scoped_lock lock(mutex);
        for (Index i = first; i < first + own; ++i) ++taken[static_cast<std::size_t>(i)];
      });
      EXPECT_EQ(taken, std::vector<int>(static_cast<std::size_t>(things), 1));
    }
}

TEST(Processes, HearOneAnother) {
  run_as_processes(3, [](Processes& processes) {
    const int rank = processes.rank();
    EXPECT_TRUE(processes.any(rank == 1));
    EXPECT_FALSE(processes.any(false));
    EXPECT_EQ(processes.from_first(10 + rank), 10);
    EXPECT_EQ(processes.sum(double(rank)), 3);
    EXPECT_EQ(processes.gather(std::string(rank, 'x')), (std::vector<std::string>{"", "x", "xx"}));
    Tensor<float, 1> numbers(cpu, 2);
    numbers(0) = float(rank), numbers(1) = 7;
    processes.take_from_first(cpu, numbers);
    EXPECT_EQ(numbers(0), 0);
  });
}

TEST(Processes, ShareTheProcessorsOfAMachine) {
  const int usable = Context::cpu().threads();
  run_as_processes(2, [&](Processes& processes) {
    EXPECT_EQ(processes.place("cpu", 0).threads(), std::max(1, usable / 2));
    EXPECT_EQ(processes.place("cpu", 3).threads(), 3);
  });
}

TEST(Processes, AllEndWhenOneFails) {
  for (int failing : {0, 1, 2}) {
    std::atomic<int> ended = 0;
    const auto body = [&](Processes& processes) {
      processes.meet();
      if (processes.rank() == failing) throw InputError("this one");
      // Called to the meeting where they learn of it, wherever they are.
      while (!processes.are_called()) std::this_thread::yield();
      try {
        double number = 1;
        processes.sum(cpu, View<double, 1>(&number, 1));
        ADD_FAILURE() << "the failure was not heard of";
      } catch (const AnotherFailed& failure) {
        EXPECT_EQ(failure.code, 1);
        ++ended;
        throw;
      }
    };
    EXPECT_THROW(run_as_processes(3, body), InputError);
    EXPECT_EQ(ended, 2);
  }
}

TEST(Processes, OneOfThemTellsWhatAllHaveMet) {
  std::atomic<int> speakers = 0;
  run_as_processes(3, [&](Processes& processes) {
    int code = 2 + processes.rank();
    speakers += processes.tell_failure(code);
    EXPECT_EQ(code, 2);
  });
  EXPECT_EQ(speakers, 1);
}

class ProcessesSum : public testing::TestWithParam<BackendUnderTest> {};

TEST_P(ProcessesSum, IsTheSameInAll) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  constexpr Index count = 37;
  std::vector<Tensor<float, 1>> sums(3);
  run_as_processes(3, [&](Processes& processes) {
    const auto where = make_context(GetParam());
    Tensor<float, 1> numbers(cpu, count);
    for (Index i = 0; i < count; ++i) numbers(i) = 1 / float(1 + i + 5 * processes.rank());
    auto there = upload(where, numbers);
    processes.sum(where, there.view());
    sums[processes.rank()] = download(where, there);
  });
  for (Index i = 0; i < count; ++i) {
    const double expected = 1 / double(1 + i) + 1 / double(6 + i) + 1 / double(11 + i);
    EXPECT_NEAR(sums[0](i), expected, 2e-7 * expected);
    EXPECT_EQ(sums[1](i), sums[0](i));
    EXPECT_EQ(sums[2](i), sums[0](i));
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, ProcessesSum, testing::ValuesIn(all_backends()), backend_name);

}  // namespace
}  // namespace orrery::test
