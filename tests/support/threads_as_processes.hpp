#pragma once

#include <atomic>
#include <barrier>
#include <exception>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "kernels/processes.hpp"

namespace orrery::test {

/// Threads that play processes: what they exchange lies in memory that all of them see.
class ThreadExchange final : public Exchange {
 public:
  struct Common {
    explicit Common(int count)
        : all_here(count), places(count), sizes(count), numbers(count), caller(-1) {}
    std::barrier<> all_here;
    std::vector<void*> places;
    std::vector<std::size_t> sizes;
    std::vector<int> numbers;
    std::atomic<int> caller;
  };
  ThreadExchange(std::shared_ptr<Common> common, int rank)
      : common_(std::move(common)), rank_(rank) {}

  int rank() const override { return rank_; }
  int count() const override { return static_cast<int>(common_->numbers.size()); }
  void sum(std::span<float> numbers) override { sum_of(numbers); }
  void sum(std::span<double> numbers) override { sum_of(numbers); }

  void spread(std::span<std::byte> bytes, int from) override {
    show(bytes.data(), bytes.size());
    if (rank_ != from)
      std::copy_n(static_cast<std::byte*>(common_->places[from]), common_->sizes[from],
                  bytes.data());
    common_->all_here.arrive_and_wait();
  }

  int least(int number) override {
    common_->numbers[rank_] = number;
    common_->all_here.arrive_and_wait();
    const int least = *std::min_element(common_->numbers.begin(), common_->numbers.end());
    common_->all_here.arrive_and_wait();
    return least;
  }

  void call() override { common_->caller = rank_; }
  bool is_called() override { return common_->caller >= 0 && common_->caller != rank_; }

 private:
  void show(void* place, std::size_t size) {
    common_->places[rank_] = place;
    common_->sizes[rank_] = size;
    common_->all_here.arrive_and_wait();
  }

  template <class T>
  void sum_of(std::span<T> numbers) {
    show(numbers.data(), numbers.size());
    std::vector<T> sums(numbers.size());
    for (const void* place : common_->places)
      for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += static_cast<const T*>(place)[i];
    common_->all_here.arrive_and_wait();
    std::copy(sums.begin(), sums.end(), numbers.begin());
  }

  std::shared_ptr<Common> common_;
  int rank_;
};

/// Calls body(processes) in so many threads that play processes, to their ends. What one of them
/// throws, this throws.
inline void run_as_processes(int count, const std::function<void(Processes&)>& body) {
  auto common = std::make_shared<ThreadExchange::Common>(count);
  std::exception_ptr failure;
  {
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < count; ++rank)
      threads.emplace_back([&, rank] {
        auto processes = Processes::joined_by(std::make_shared<ThreadExchange>(common, rank));
        try {
          body(processes);
          processes.meet();
        } catch (const AnotherFailed&) {
        } catch (...) {
          int code = 1;
          const auto thrown = std::current_exception();
          if (processes.tell_failure(code)) failure = thrown;
        }
      });
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace orrery::test
