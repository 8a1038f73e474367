#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "kernels/context.hpp"

namespace orrery::test {

/// A backend that a parity test should run on, or the reason why it can't.
struct BackendUnderTest {
  std::string name;  // "cpu", "emulated" or "cuda"
  bool available = true;
  std::string reason;
};

/// How gtest prints it.
inline void PrintTo(const BackendUnderTest& backend, std::ostream* out) { *out << backend.name; }

/// cpu always; emulated in the emulated build; cuda in a CUDA build.
std::vector<BackendUnderTest> all_backends();
/// All but the CPU: what parity tests compare with it.
std::vector<BackendUnderTest> device_backends();

Context make_context(const BackendUnderTest& backend);

/// For INSTANTIATE_TEST_SUITE_P: test names end in the backend's name.
inline constexpr auto backend_name = [](const auto& test) -> std::string {
  return test.param.name;
};

}  // namespace orrery::test

/// First line of a test parameterised over backends.
#define ORRERY_REQUIRE_BACKEND(backend) \
  if (!(backend).available) GTEST_SKIP() << (backend).name << ": " << (backend).reason
