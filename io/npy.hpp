#pragma once

#include <filesystem>
#include <memory>

#include "io/observations.hpp"

namespace orrery::io {

/// Observations from a NumPy array file: see open_observations.
std::unique_ptr<ObservationReader> open_npy(const std::filesystem::path& path);

}  // namespace orrery::io
