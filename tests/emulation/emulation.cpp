#include "tests/emulation/emulation.hpp"

#include <boost/context/fiber.hpp>
#include <boost/context/preallocated.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace orrery::emulation {
namespace {

namespace context = boost::context;

constexpr unsigned warp_threads = 32;
constexpr int poison = 0xff;                     // as float and double: NaN; as int: -1
constexpr int guard = 0xa5;                      // what lies past the end of shared memory
constexpr std::size_t guard_bytes = 256;         // and how much of it
constexpr std::size_t stack_bytes = 256 * 1024;  // address space: pages come when they are touched

/// The address sanitizer wants to be told when another stack comes into use, and where it lies.
struct Stack {
  const void* bottom = nullptr;
  std::size_t size = 0;
  void* sanitizer_state = nullptr;

  void leave_for([[maybe_unused]] const Stack& other) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&sanitizer_state, other.bottom, other.size);
#endif
  }
  void arrive_from([[maybe_unused]] Stack& other) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(sanitizer_state, &other.bottom, &other.size);
#endif
  }
};

/// A fiber. It plays one thread after another for as long as none of them has to wait, so that a
/// kernel without barriers needs a single one for the whole grid.
struct Player {
  context::fiber self, scheduler;
  Stack stack;
};

/// Thrown through a thread that waits when its launch has failed.
struct Abandoned {};

/// A copy that was started; `group` counts the groups before its own.
struct Copy {
  void* to;
  const void* from;  // null: zeros
  std::size_t bytes;
  unsigned group;
};

enum class State { ready, waits_for_block, waits_for_warp, returned };

struct Thread {
  State state = State::ready;
  std::unique_ptr<Player> player;  // from the first wait to the next return
  unsigned mask = 0;               // lanes it waits for
  unsigned char brought[exchange_bytes] = {};
  const WarpExchange* found = nullptr;
  std::vector<Copy> copies;  // that have not arrived
  unsigned groups = 0;       // of copies, committed
};

class Machine {
 public:
  void run(const char* name, dim3 grid, dim3 block, std::size_t shared_bytes,
           const std::function<void()>& body);
  void wait_for_block();
  const WarpExchange& wait_for_warp(unsigned mask, const void* value, std::size_t bytes);
  void* shared_memory();
  void require_shared(const void* first, std::size_t bytes) const;
  void copy_later(void* to, const void* from, std::size_t bytes);
  void commit_copies();
  void wait_for_copies(unsigned but);
  [[noreturn]] void fail(const std::string& problem) const {
    throw std::runtime_error(std::string("kernel '") + name_ + "': " + problem);
  }

 private:
  // Within a fiber.
  void play_unstarted_threads();
  void wait(State state);
  void back_to_scheduler(Player& player);

  // In the scheduler.
  void check_launch(dim3 grid, dim3 block) const;
  void run_block();
  void run_warp(unsigned first);
  bool release_warp(unsigned first);
  void release_lanes(unsigned first, unsigned waiting);
  bool release_block();
  void resume(std::unique_ptr<Player> player);
  std::unique_ptr<Player> idle_player();
  void abandon_threads();
  void check_guard() const;

  void become(unsigned number);
  unsigned count() const { return static_cast<unsigned>(threads_.size()); }
  unsigned lanes(unsigned first) const { return std::min(warp_threads, count() - first); }
  unsigned in_order(unsigned i, unsigned of) const { return descending_ ? of - 1 - i : i; }

  std::mutex one_launch_at_a_time_;
  const char* name_ = "";
  const std::function<void()>* body_ = nullptr;
  std::size_t shared_bytes_ = 0;
  alignas(128) unsigned char shared_[most_shared_bytes + guard_bytes];

  std::vector<Thread> threads_;          // of the block that runs now
  std::vector<WarpExchange> exchanges_;  // one for each thread, used by the first of those it joins
  std::vector<std::unique_ptr<Player>> idle_;
  Thread* current_ = nullptr;
  Player* playing_ = nullptr;
  Stack scheduler_stack_;
  unsigned started_ = 0;
  bool descending_ = false;
  bool abandoning_ = false;
  std::exception_ptr error_;
};

Machine& machine() {
  static Machine& the_only_one = *new Machine;  // idle fibers end with the process
  return the_only_one;
}

void Machine::become(unsigned number) {
  current_ = &threads_[number];
  threadIdx = {number % blockDim.x, number / blockDim.x % blockDim.y,
               number / (blockDim.x * blockDim.y)};
}

// --- Within a fiber ------------------------------------------------------------------------------

void Machine::play_unstarted_threads() {
  while (started_ < count() && !error_) {
    become(in_order(started_++, count()));
    try {
      (*body_)();
    } catch (const Abandoned&) {
    } catch (...) {
      error_ = std::current_exception();
    }
    current_->state = State::returned;
  }
}

/// Back to the scheduler. It keeps this fiber with the thread, and sends another fiber for those
/// that are still to be started.
void Machine::wait(State state) {
  current_->state = state;
  back_to_scheduler(*playing_);
  if (abandoning_) throw Abandoned{};
}

void Machine::back_to_scheduler(Player& player) {
  player.stack.leave_for(scheduler_stack_);
  player.scheduler = std::move(player.scheduler).resume();
  player.stack.arrive_from(scheduler_stack_);
}

void Machine::wait_for_block() {
  if (!current_) throw std::logic_error("__syncthreads outside a kernel");
  wait(State::waits_for_block);
}

const WarpExchange& Machine::wait_for_warp(unsigned mask, const void* value, std::size_t bytes) {
  if (!current_) throw std::logic_error("a warp-wide exchange outside a kernel");
  if (!(mask >> lane() & 1u)) fail("a lane waits for a mask that does not name itself");
  current_->mask = mask;
  if (bytes) std::memcpy(current_->brought, value, bytes);
  wait(State::waits_for_warp);
  return *current_->found;
}

void* Machine::shared_memory() {
  if (!current_) throw std::logic_error("shared memory outside a kernel");
  if (!shared_bytes_) fail("it uses shared memory but was launched without any");
  return shared_;
}

void Machine::require_shared(const void* first, std::size_t bytes) const {
  const auto* begin = static_cast<const unsigned char*>(first);
  if (begin < shared_ || begin + bytes > shared_ + shared_bytes_)
    fail("an address outside shared memory was taken for one inside");
}

void Machine::copy_later(void* to, const void* from, std::size_t bytes) {
  if (!current_) throw std::logic_error("an asynchronous copy outside a kernel");
  require_shared(to, bytes);
  if (reinterpret_cast<std::uintptr_t>(to) % bytes ||
      reinterpret_cast<std::uintptr_t>(from) % bytes)
    fail("an asynchronous copy of " + std::to_string(bytes) + " bytes is not aligned to as many");
  std::memset(to, poison, bytes);
  current_->copies.push_back({to, from, bytes, current_->groups});
}

void Machine::commit_copies() { ++current_->groups; }

void Machine::wait_for_copies(unsigned but) {
  std::erase_if(current_->copies, [&](const Copy& copy) {
    if (copy.group + but >= current_->groups) return false;
    copy.from ? std::memcpy(copy.to, copy.from, copy.bytes) : std::memset(copy.to, 0, copy.bytes);
    return true;
  });
}

// --- Scheduler -----------------------------------------------------------------------------------

std::unique_ptr<Player> Machine::idle_player() {
  if (!idle_.empty()) {
    auto player = std::move(idle_.back());
    idle_.pop_back();
    return player;
  }
  auto player = std::make_unique<Player>();
  auto life = [this, p = player.get()](context::fiber&& scheduler) -> context::fiber {
    p->scheduler = std::move(scheduler);
    p->stack.arrive_from(scheduler_stack_);
    for (;;) {
      play_unstarted_threads();
      current_ = nullptr;  // no thread keeps this fiber
      back_to_scheduler(*p);
    }
  };
  context::protected_fixedsize_stack stacks(stack_bytes);
  const context::stack_context stack = stacks.allocate();
  player->stack = {static_cast<char*>(stack.sp) - stack.size, stack.size};
  player->self = context::fiber(std::allocator_arg,
                                context::preallocated(stack.sp, stack.size, stack), stacks, life);
  return player;
}

void Machine::resume(std::unique_ptr<Player> player) {
  playing_ = player.get();
  scheduler_stack_.leave_for(player->stack);
  player->self = std::move(player->self).resume();
  scheduler_stack_.arrive_from(player->stack);
  (current_ ? current_->player : idle_.emplace_back()) = std::move(player);
  current_ = nullptr;
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

/// Runs the lanes of a warp until each has returned or waits for the block.
void Machine::run_warp(unsigned first) {
  do {
    for (unsigned i = 0; i < lanes(first); ++i) {
      const unsigned number = first + in_order(i, lanes(first));
      if (threads_[number].state != State::ready) continue;
      become(number);
      resume(std::move(threads_[number].player));
    }
  } while (release_warp(first));
}

/// Lets those lanes go on whose mask has fully arrived. No lane is running: what they found in the
/// exchange before this one has been read.
bool Machine::release_warp(unsigned first) {
  unsigned released = 0;
  for (unsigned i = 0; i < lanes(first); ++i) {
    const Thread& thread = threads_[first + i];
    if (thread.state != State::waits_for_warp || released >> i & 1u) continue;
    unsigned arrived = 0, missing = 0;
    for (unsigned l = 0; l < lanes(first); ++l) {
      const Thread& other = threads_[first + l];
      if (!(thread.mask >> l & 1u) || other.state == State::returned) continue;
      const bool here = other.state == State::waits_for_warp && other.mask == thread.mask &&
                        !(released >> l & 1u);
      (here ? arrived : missing) |= 1u << l;
    }
    if (missing) continue;
    release_lanes(first, arrived);
    released |= arrived;
  }
  return released != 0;
}

void Machine::release_lanes(unsigned first, unsigned waiting) {
  WarpExchange& exchange = exchanges_[first + static_cast<unsigned>(__builtin_ctz(waiting))];
  exchange.present = waiting;
  std::memset(exchange.bytes, poison, sizeof exchange.bytes);
  for (unsigned l = 0; l < warp_threads; ++l) {
    if (!(waiting >> l & 1u)) continue;
    Thread& thread = threads_[first + l];
    std::memcpy(exchange.bytes[l], thread.brought, exchange_bytes);
    thread.found = &exchange;
    thread.state = State::ready;
  }
}

/// Lets the block pass its barrier; false when it has nothing more to do.
bool Machine::release_block() {
  unsigned at_barrier = 0, in_warp = 0;
  for (const Thread& thread : threads_) {
    at_barrier += thread.state == State::waits_for_block;
    in_warp += thread.state == State::waits_for_warp;
  }
  if (at_barrier + in_warp == 0) return false;
  if (at_barrier < count())
    fail("its threads wait for one another for ever: of a block's " + std::to_string(count()) +
         " threads, " + std::to_string(at_barrier) + " wait at __syncthreads, " +
         std::to_string(in_warp) + " wait for lanes of their warp and " +
         std::to_string(count() - at_barrier - in_warp) + " have returned");
  for (Thread& thread : threads_) thread.state = State::ready;
  descending_ = !descending_;
  return true;
}

void Machine::run_block() {
  std::memset(shared_, poison, shared_bytes_);
  std::memset(shared_ + shared_bytes_, guard, guard_bytes);
  for (started_ = 0; started_ < count();) resume(idle_player());
  do {
    for (unsigned first = 0; first < count(); first += warp_threads) run_warp(first);
  } while (release_block());
  check_guard();
}

/// Sends home the threads that still wait.
void Machine::abandon_threads() {
  abandoning_ = true;
  started_ = count();
  for (unsigned number = 0; number < count(); ++number)
    while (threads_[number].player) {
      become(number);
      resume(std::move(threads_[number].player));
    }
  abandoning_ = false;
}

void Machine::check_guard() const {
  for (std::size_t i = 0; i < guard_bytes; ++i)
    if (shared_[shared_bytes_ + i] != guard)
      fail("it wrote past the " + std::to_string(shared_bytes_) +
           " bytes of shared memory it was launched with");
}

void Machine::check_launch(dim3 grid, dim3 block) const {
  const auto refuse = [&](const char* problem) {
    fail(std::string("could not be launched: ") + problem);
  };
  if (!grid.x || !grid.y || !grid.z || !block.x || !block.y || !block.z)
    refuse("the grid or the block is empty");
  if (grid.x > 2147483647u || grid.y > 65535u || grid.z > 65535u)
    refuse("the grid is larger than (2147483647, 65535, 65535)");
  if (block.x > most_threads_a_block || block.y > most_threads_a_block || block.z > 64 ||
      std::size_t{block.x} * block.y * block.z > most_threads_a_block)
    refuse("a block has more than 1024 threads, or more than 64 along z");
  if (shared_bytes_ > most_shared_bytes)
    refuse("a block asks for more than 227 KiB of shared memory");
}

void Machine::run(const char* name, dim3 grid, dim3 block, std::size_t shared_bytes,
                  const std::function<void()>& body) {
  if (current_) throw std::logic_error("a kernel is launched from within a kernel");
  const std::scoped_lock lock(one_launch_at_a_time_);
  name_ = name;
  body_ = &body;
  shared_bytes_ = shared_bytes;
  check_launch(grid, block);
  gridDim = grid;
  blockDim = block;
  exchanges_.resize(std::max<std::size_t>(exchanges_.size(), most_threads_a_block));
  unsigned number = 0;
  try {
    for (unsigned z = 0; z < grid.z; ++z)
      for (unsigned y = 0; y < grid.y; ++y)
        for (unsigned x = 0; x < grid.x; ++x) {
          blockIdx = {x, y, z};
          descending_ = number++ % 2;
          threads_.resize(block.x * block.y * block.z);
          for (Thread& thread : threads_) {
            thread.state = State::ready;
            thread.copies.clear();
            thread.groups = 0;
          }
          run_block();
        }
  } catch (...) {
    abandon_threads();
    throw;
  }
}

}  // namespace

void run(const char* name, dim3 grid, dim3 block, std::size_t shared_bytes,
         const std::function<void()>& body) {
  machine().run(name, grid, block, shared_bytes, body);
}
void wait_for_block() { machine().wait_for_block(); }
const WarpExchange& wait_for_warp(unsigned mask, const void* value, std::size_t bytes) {
  return machine().wait_for_warp(mask, value, bytes);
}
void* shared_memory() { return machine().shared_memory(); }
void fail(const char* problem) { machine().fail(problem); }
void require_shared(const void* first, std::size_t bytes) {
  machine().require_shared(first, bytes);
}
void copy_later(void* to, const void* from, std::size_t bytes) {
  machine().copy_later(to, from, bytes);
}
void commit_copies() { machine().commit_copies(); }
void wait_for_copies(unsigned but) { machine().wait_for_copies(but); }

}  // namespace orrery::emulation
