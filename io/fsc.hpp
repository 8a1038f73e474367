#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace orrery::io {

/// A Fourier shell correlation, shells 0, 1, ... of |k| in cycles a box, as NAME.star with RELION's
/// columns (rlnSpectralIndex, rlnResolution in 1/angstrom, rlnAngstromResolution,
/// rlnFourierShellCorrelation) and as NAME.csv (shell, resolution_angstrom, fsc). As in RELION,
/// shell 0 is given a resolution of 999 angstrom.
void write_fsc(const std::filesystem::path& folder, const std::vector<double>& fsc,
               double box_angstrom, const std::string& name = "fsc");

}  // namespace orrery::io
