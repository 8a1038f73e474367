#include "io/fsc.hpp"

#include "io/tables.hpp"

namespace orrery::io {

void write_fsc(const std::filesystem::path& folder, const std::vector<double>& fsc,
               double box_angstrom, const std::string& name) {
  Table star, csv;
  star.columns = {"rlnSpectralIndex", "rlnResolution", "rlnAngstromResolution",
                  "rlnFourierShellCorrelation"};
  csv.columns = {"shell", "resolution_angstrom", "fsc"};
  for (std::size_t index = 0; index < fsc.size(); ++index) {
    const double shell = static_cast<double>(index);
    const double angstrom = index == 0 ? 999 : box_angstrom / shell;
    star.rows.push_back({shell, shell / box_angstrom, angstrom, fsc[index]});
    csv.rows.push_back({shell, angstrom, fsc[index]});
  }
  write_star(folder / (name + ".star"), "fsc", star);
  write_csv(folder / (name + ".csv"), csv);
}

}  // namespace orrery::io
