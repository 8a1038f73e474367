#pragma once

#include <CLI/CLI.hpp>

namespace orrery {

/// `mra predict`: signals and densities from moments, by a trained model.
void add_predict(CLI::App& app);

}  // namespace orrery
