#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/context.hpp"
#include "kernels/view.hpp"

namespace orrery {

/// What joins processes: MPI, or in tests threads that play them. Every process has its own, and
/// all of them make the same calls in the same order.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual int rank() const = 0;
  virtual int count() const = 0;

  /// The sums over processes take the numbers' place, with the same bits in each. Host memory.
  virtual void sum(std::span<float> numbers) = 0;
  virtual void sum(std::span<double> numbers) = 0;
  /// Bytes of the process of that rank take the place of all others'.
  virtual void spread(std::span<std::byte> bytes, int from) = 0;
  /// The least of the processes' numbers. Who waits for others here leaves the processor to them.
  virtual int least(int number) = 0;

  /// The one call that is not made by all: the others' `is_called` is true from here on, or soon.
  virtual void call() = 0;
  virtual bool is_called() = 0;
};

/// What sums numbers that lie on CUDA devices without a way through the host: NCCL.
class DeviceSums {
 public:
  virtual ~DeviceSums() = default;
  /// In place, queued on the context's stream; the same bits in each process.
  virtual void sum(const Context& ctx, View<float, 1> numbers) = 0;
  virtual void sum(const Context& ctx, View<double, 1> numbers) = 0;
};

/// Thrown where processes meet, when another one has failed: it says why, and all end with its exit
/// code.
struct AnotherFailed {
  int code;
};

/// The processes that do one run together, started by mpirun or its like, or this one alone. Copies
/// are cheap and mean the same processes. What they do together every one of them calls, in the
/// same order; each such call begins with a show of hands, in which a process that has failed says
/// so, and the others throw AnotherFailed.
class Processes {
 public:
  /// This one, and nothing below costs anything.
  static Processes alone() { return {}; }
  /// Those that a launcher started together with this one. Throws InputError where it started
  /// several that can't be joined; then the first says so, and the others throw AnotherFailed.
  static Processes launched();
  static Processes joined_by(std::shared_ptr<Exchange> exchange);

  /// For people: what can join processes in this build, such as "MPI, NCCL", or "none".
  static std::string support();
  /// How many processes a launcher says that it started, this one among them; 1 without any.
  static int launched_count();
  /// This one's rank among them.
  static int launched_rank();

  bool are_several() const { return count() > 1; }
  int count() const { return exchange_ ? exchange_->count() : 1; }
  int rank() const { return exchange_ ? exchange_->rank() : 0; }
  /// The first of them talks to the user, and writes the results.
  bool is_first() const { return rank() == 0; }

  /// Context::named for each of several: those that run on one machine deal its CUDA devices and
  /// its processors out among themselves, unless the options name one and say how many. Throws
  /// InputError when some have a device and some do not.
  Context place(const std::string& device, int threads);

  /// This one's share of so many things that lie in a row.
  struct Share {
    Index first = 0, count = 0;
  };
  Share share_of(Index things) const;

  /// In place, on the context's backend; the same bits in each process.
  void sum(const Context& ctx, View<float, 1> numbers) const;
  void sum(const Context& ctx, View<double, 1> numbers) const;
  /// The same of one number on the host.
  double sum(double number) const;
  /// Whether any of them says so.
  bool any(bool here) const;
  /// The numbers, or the value, of the first in every one.
  void take_from_first(const Context& ctx, View<float, 1> numbers) const;
  template <class T>
  requires std::is_trivially_copyable_v<T> T from_first(T value)
  const {
    spread(std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  /// Everyone's texts, by rank.
  std::vector<std::string> gather(std::string here) const;
  /// Nobody goes on before all are here.
  void meet() const { any(false); }
  /// Asks the others to their next meeting, who should look now and then in a long stretch of work
  /// of their own. A process that fails does so by itself.
  void call() const {
    if (exchange_) exchange_->call();
  }
  bool are_called() const { return exchange_ && exchange_->is_called(); }

  /// For a process that has failed and will end: takes part in the others' next meeting, and says
  /// whether it falls to this one to tell the user. `code` becomes that of the process which does.
  bool tell_failure(int& code) const;

 private:
  void spread(std::span<std::byte> bytes) const;

  std::shared_ptr<Exchange> exchange_;
  std::shared_ptr<DeviceSums> device_sums_;
};

}  // namespace orrery
