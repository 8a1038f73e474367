#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "apps/moments/estimation.hpp"

namespace orrery {

/// How far a run has come, beside its sums.
struct RunState {
  std::int64_t position = 0;          // particles that are done with, among those to be read
  std::vector<std::string> problems;  // of images left out on the way
};

/// What a checkpoint must agree with: the options that decide the numbers, and the particles of all
/// processes.
std::string run_identity(const MomentsOptions& options, const io::ParticleTable& table,
                         std::span<const Index> particles);

/// Writes state and sums, atomically and without a copy of the sums: killed at any moment, there is
/// either the checkpoint before or this one. Of several processes each writes its own.
void write_checkpoint(const std::filesystem::path& path, const std::string& identity,
                      const RunState& state, const Estimation& estimation,
                      const Processes& processes = Processes::alone());

/// Throws InputError where there is no checkpoint, it is damaged, or it belongs to another run or
/// to another number of processes.
RunState read_checkpoint(const std::filesystem::path& path, const std::string& identity,
                         Estimation& estimation, const Processes& processes = Processes::alone());

}  // namespace orrery
