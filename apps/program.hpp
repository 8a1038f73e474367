#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace orrery {

/// Runs a program's body and gives the exit code. Whatever the body throws becomes one sentence on
/// stderr after the program's name: an InputError with code 2, exhausted memory with code 2 and
/// `memory_remedy` ("lower --box"), anything else with code 1.
int run_program(const std::string& program, const std::string& memory_remedy,
                const std::function<int()>& body);

/// What --version prints: version and commit, backends, devices, BLAS library.
std::string version_text(const std::string& program);

/// The most memory this process held. (What getrusage tells survives a program's start, so it may
/// be its parent's.)
std::int64_t peak_memory_bytes();

}  // namespace orrery
