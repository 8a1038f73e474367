#include "apps/program.hpp"

#include <cstdio>
#include <fstream>
#include <new>

#include "kernels/check.hpp"
#include "kernels/context.hpp"
#include "kernels/gemm.hpp"
#include "orrery/version.hpp"

namespace orrery {

int run_program(const std::string& program, const std::string& memory_remedy,
                const std::function<int()>& body) {
  const auto fail = [&](int code, const std::string& message) {
    std::fprintf(stderr, "%s: %s\n", program.c_str(), message.c_str());
    return code;
  };
  try {
    return body();
  } catch (const InputError& error) {
    return fail(2, error.what());
  } catch (const std::bad_alloc&) {
    return fail(2, "out of memory; " + memory_remedy);
  } catch (const std::exception& error) {
    return fail(1, error.what());
  }
}

std::string version_text(const std::string& program) {
  std::string text = program + " (Orrery) " + version + ", commit " + commit +
                     "\nbackends built in: cpu" + (built_with_cuda ? ", cuda" : "") +
                     "\ndevices: " + Context::cpu().description();
  for (const auto& device : cuda_devices())
    text += "; cuda:" + std::to_string(device.ordinal) + " " + device.name;
  return text + "\nBLAS: " + blas_description();
}

std::int64_t peak_memory_bytes() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line))
    if (line.starts_with("VmHWM:")) return 1024 * std::stoll(line.substr(6));
  return 0;
}

}  // namespace orrery
