#pragma once

#include <CLI/CLI.hpp>

namespace orrery {

/// `mra reproduce`: the experiments of the paper, with its figures beside ours.
void add_reproduce(CLI::App& app);

}  // namespace orrery
