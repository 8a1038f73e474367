#pragma once

#include <CLI/CLI.hpp>

namespace orrery {

/// `mra moments`: debiased moments of a user's own observations.
void add_moments(CLI::App& app);

}  // namespace orrery
