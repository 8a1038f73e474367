#pragma once

#include <CLI/CLI.hpp>

namespace orrery {

/// `mra simulate`: moments of simulated observations, and their truth.
void add_simulate(CLI::App& app);

}  // namespace orrery
