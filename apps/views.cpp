#include "apps/views.hpp"

#include <cmath>

#include "io/tables.hpp"
#include "kernels/check.hpp"

namespace orrery {

ViewTable read_views(const std::string& path) {
  const bool star = path.ends_with(".star");
  const io::Table table = star ? io::read_star(path, {"rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"})
                               : io::read_csv(path);
  const int rot = table.column(star ? "rlnAngleRot" : "rot");
  const int tilt = table.column(star ? "rlnAngleTilt" : "tilt");
  const int psi = table.column(star ? "rlnAnglePsi" : "psi");
  int weight = -1;
  for (std::size_t c = 0; c < table.columns.size(); ++c)
    if (table.columns[c] == "weight") weight = static_cast<int>(c);
  ViewTable given;
  for (const auto& row : table.rows) {
    for (const int angle : {rot, tilt, psi})
      if (!std::isfinite(row[angle]))
        throw InputError(path + ": row " + std::to_string(given.weights.size() + 1) + ", column " +
                         table.columns[angle] + ": is not a finite number; give degrees");
    given.views.push_back(from_euler({row[rot], row[tilt], row[psi]}));
    given.weights.push_back(weight < 0 ? 1.0 : row[weight]);
    if (!(given.weights.back() >= 0) || !std::isfinite(given.weights.back()))
      throw InputError(path + ": row " + std::to_string(given.weights.size()) +
                       " has a negative or non-finite weight; weights must be at least 0");
  }
  if (given.views.empty())
    throw InputError(path + ": the table holds no views; give at least one row");
  return given;
}

ViewDensity view_mixture(int components, double in_plane, std::uint64_t seed) {
  ViewDensity density = random_view_density(components, seed + 1);
  density.in_plane_concentration = in_plane;
  return density;
}

}  // namespace orrery
