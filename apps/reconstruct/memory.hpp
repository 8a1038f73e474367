#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/reconstruct/options.hpp"
#include "kernels/context.hpp"

namespace orrery {

/// What a run's largest arrays take in each of its processes, in bytes, before any of them is made.
struct MemoryNeed {
  struct Part {
    std::string name;
    std::int64_t bytes;
    bool on_host = false;  // always; the other parts lie where the work is done
  };
  std::vector<Part> parts;
  std::int64_t total() const;
  std::int64_t on_device() const;
  std::int64_t on_host() const { return total() - on_device(); }
};
MemoryNeed memory_need(const Options& options, int n, Backend backend, int processes = 1);

/// The largest odd box whose run takes no more than so many bytes of a CUDA device; 0 where none
/// does.
int largest_box(const Options& options, std::int64_t bytes, int processes = 1);

/// A --target-rank that a run without one could be given to need less memory; none where its priors
/// read the matrix, or where there is no such rank.
std::optional<Index> rank_to_try(const Options& options, int n);

/// Throws InputError saying what is needed, what is free and what to lower when it does not fit.
void require_memory(const Context& ctx, const Options& options, int n, int processes = 1);

}  // namespace orrery
