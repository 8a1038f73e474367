#include "tests/support/backends.hpp"

namespace orrery::test {

std::vector<BackendUnderTest> device_backends() {
#if defined(ORRERY_EMULATED)
  return {{"emulated", true, ""}};
#else
  if (!built_with_cuda) return {{"cuda", false, "this build has no CUDA"}};
  if (cuda_devices().empty()) return {{"cuda", false, "no CUDA device on this machine"}};
  return {{"cuda", true, ""}};
#endif
}

std::vector<BackendUnderTest> all_backends() {
  auto backends = device_backends();
  backends.insert(backends.begin(), {"cpu", true, ""});
  return backends;
}

Context make_context(const BackendUnderTest& backend) {
  return backend.name == "cpu" ? Context::cpu() : Context::cuda(0);
}

}  // namespace orrery::test
