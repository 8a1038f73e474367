#pragma once

#include <CLI/CLI.hpp>

namespace orrery {

/// `mra train`: the networks that turn moments into signals and densities.
void add_train(CLI::App& app);

}  // namespace orrery
