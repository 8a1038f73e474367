#pragma once

#include <filesystem>
#include <vector>

namespace orrery::io {

/// A Fourier shell correlation, shells 0, 1, ... of |k| in cycles a box, as fsc.star with RELION's
/// columns (rlnSpectralIndex, rlnResolution in 1/angstrom, rlnAngstromResolution,
/// rlnFourierShellCorrelation) and as fsc.csv (shell, resolution_angstrom, fsc). As in RELION,
/// shell 0 is given a resolution of 999 angstrom.
void write_fsc(const std::filesystem::path& folder, const std::vector<double>& fsc,
               double box_angstrom);

}  // namespace orrery::io
