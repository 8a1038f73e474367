// How processes come together.

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <initializer_list>
#include <iterator>

#include "kernels/check.hpp"
#include "kernels/processes.hpp"

namespace orrery {

namespace mpi {
/// Starts MPI, which ends with the exchange.
std::shared_ptr<Exchange> exchange();
/// Name and version of the library.
std::string library();
}  // namespace mpi

namespace nccl {
/// Called by all processes, each on a device that none of the others uses.
std::shared_ptr<DeviceSums> join(Exchange& exchange, const Context& ctx);
}  // namespace nccl

namespace {

constexpr bool built_with_mpi = ORRERY_WITH_MPI;
constexpr bool built_with_nccl = ORRERY_WITH_NCCL;

std::string host_name() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  return name;
}

/// The processors that this process may use, on which machine.
std::string processors_here() {
  cpu_set_t set;
  CPU_ZERO(&set);
  ::sched_getaffinity(0, sizeof set, &set);
  std::string text = host_name() + " ";
  for (int i = 0; i < CPU_SETSIZE; ++i) text += CPU_ISSET(i, &set) ? '1' : '0';
  return text;
}

/// Whoever comes first says what keeps all of them from starting.
[[noreturn]] void refuse(const std::string& why) {
  if (Processes::launched_rank() == 0) throw InputError(why);
  throw AnotherFailed{2};
}

}  // namespace

Processes Processes::launched() {
  const int started = launched_count();
  if (started == 1) return alone();
  const std::string several = std::to_string(started) + " processes were started";
  if constexpr (built_with_mpi) {
    auto exchange = mpi::exchange();
    if (exchange->count() == started) return joined_by(std::move(exchange));
    refuse(several + ", but they are not joined by " + mpi::library() +
           ", which this build uses; start them with that library's mpirun");
  }
  refuse(several +
         ", but this build has no MPI to join them; start one, or build where MPI is installed");
}

Context Processes::place(const std::string& device, int threads) {
  if (!are_several()) return Context::named(device, threads);
  const auto here = static_cast<std::size_t>(rank());

  // Processes that a launcher has bound to processors of their own share none of them.
  const auto processors = gather(processors_here());
  if (threads == 0)
    threads = std::max(
        1, Context::cpu().threads() / static_cast<int>(std::count(
                                          processors.begin(), processors.end(), processors[here])));

  const auto hosts = gather(host_name());
  const auto before = std::count(hosts.begin(), hosts.begin() + rank(), hosts[here]);
  const auto devices = cuda_devices();
  const bool choose = (device == "auto" || device == "cuda") && !devices.empty();
  const auto chosen = [&] { return devices[before % std::ssize(devices)].ordinal; };
  const Context ctx = Context::named(choose ? "cuda:" + std::to_string(chosen()) : device, threads);

  const bool on_cpu = ctx.backend() == Backend::cpu;
  if (any(on_cpu) && any(!on_cpu))
    throw InputError(
        "--device " + device +
        ": some processes have a CUDA device and some have none; give --device cpu, or start them "
        "where there are devices");
  if (on_cpu) return ctx;
  auto places = gather(host_name() + " " + std::to_string(ctx.ordinal()));
  std::sort(places.begin(), places.end());
  const bool own_devices = std::adjacent_find(places.begin(), places.end()) == places.end();
  if constexpr (built_with_nccl)
    if (own_devices) device_sums_ = nccl::join(*exchange_, ctx);
  return ctx;
}

}  // namespace orrery
