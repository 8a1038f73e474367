#include "apps/program.hpp"

#include <cstdio>
#include <fstream>
#include <new>

#include "kernels/check.hpp"
#include "kernels/context.hpp"
#include "kernels/gemm.hpp"
#include "orrery/version.hpp"

namespace orrery {

namespace {

struct Ending {
  int code = 0;
  std::string failure = {};  // empty: it went well, or another process tells
};

Ending ending_of(const std::string& memory_remedy, const std::function<int()>& body) {
  try {
    return {body()};
  } catch (const AnotherFailed& failure) {
    return {failure.code};
  } catch (const InputError& error) {
    return {2, error.what()};
  } catch (const std::bad_alloc&) {
    return {2, "out of memory; " + memory_remedy};
  } catch (const std::exception& error) {
    return {1, error.what()};
  }
}

int tell(const std::string& program, const Ending& ending) {
  if (!ending.failure.empty())
    std::fprintf(stderr, "%s: %s\n", program.c_str(), ending.failure.c_str());
  return ending.code;
}

}  // namespace

int run_program(const std::string& program, const std::string& memory_remedy,
                const std::function<int()>& body) {
  const auto only_one = [] {
    if (Processes::launched_count() == 1) return Processes::alone();
    if (Processes::launched_rank() > 0) throw AnotherFailed{2};
    throw InputError("runs as one process; start it without mpirun");
  };
  return run_processes(program, memory_remedy, only_one, [&](Processes&) { return body(); });
}

int run_processes(const std::string& program, const std::string& memory_remedy,
                  const std::function<Processes()>& start,
                  const std::function<int(Processes&)>& body) {
  auto processes = Processes::alone();
  Ending ending = ending_of(memory_remedy, [&] {
    processes = start();
    return 0;
  });
  if (ending.code != 0) return tell(program, ending);
  if (!processes.is_first() && !std::freopen("/dev/null", "w", stdout)) return 1;

  // Nobody is gone before all are done: the last to fail must still be heard.
  ending = ending_of(memory_remedy, [&] {
    const int code = body(processes);
    processes.meet();
    return code;
  });
  if (!ending.failure.empty() && !processes.tell_failure(ending.code)) ending.failure.clear();
  return tell(program, ending);
}

std::string in_each_of(const Processes& processes) {
  if (!processes.are_several()) return "";
  return " in each of " + std::to_string(processes.count()) + " processes";
}

std::string version_text(const std::string& program) {
  std::string text = program + " (Orrery) " + version + ", commit " + commit +
                     "\nbackends built in: cpu" + (built_with_cuda ? ", cuda" : "") +
                     "\ndevices: " + Context::cpu().description();
  for (const auto& device : cuda_devices())
    text += "; cuda:" + std::to_string(device.ordinal) + " " + device.name;
  return text + "\nBLAS: " + blas_description() + "\nprocesses: " + Processes::support();
}

std::int64_t peak_memory_bytes() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line))
    if (line.starts_with("VmHWM:")) return 1024 * std::stoll(line.substr(6));
  return 0;
}

}  // namespace orrery
