#pragma once

#include <CLI/CLI.hpp>

namespace orrery {

/// `mra reconstruct`: signals and densities fitted to moments, by networks or by least squares.
void add_reconstruct(CLI::App& app);

}  // namespace orrery
