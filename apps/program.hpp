#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "kernels/processes.hpp"

namespace orrery {

/// Runs a program's body and gives the exit code. Whatever the body throws becomes one sentence on
/// stderr after the program's name: an InputError with code 2, exhausted memory with code 2 and
/// `memory_remedy` ("lower --box"), anything else with code 1. A program that mpirun has started
/// several times is refused.
int run_program(const std::string& program, const std::string& memory_remedy,
                const std::function<int()>& body);

/// The same for a program that several processes can run together: those that `start` gives, which
/// is Processes::launched. Only the first one's stdout is seen. When one fails all end, with its
/// exit code and one sentence.
int run_processes(const std::string& program, const std::string& memory_remedy,
                  const std::function<Processes()>& start,
                  const std::function<int(Processes&)>& body);

/// " in each of 3 processes", to be told of what one of them runs on; nothing of one alone.
std::string in_each_of(const Processes& processes);

/// What --version prints: version and commit, backends, devices, BLAS library, what joins
/// processes.
std::string version_text(const std::string& program);

/// The most memory this process held. (What getrusage tells survives a program's start, so it may
/// be its parent's.)
std::int64_t peak_memory_bytes();

}  // namespace orrery
