#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace orrery::io {

/// One curve of a chart: points joined by straight lines.
struct Curve {
  std::string name;
  std::vector<double> x, y;
};

/// Curves over a common axis.
struct Panel {
  std::string title = {}, x_label = {}, y_label = {};
  std::vector<Curve> curves = {};
};

/// The panels one below the other as an SVG picture, with axes, grid lines at round numbers and a
/// legend; every browser shows it. Atomic. Points that are not finite break their curve.
/// Throws InputError where the file can't be written, std::invalid_argument without panels, for a
/// panel with no finite point, or for curves whose x and y differ in number.
void write_chart(const std::filesystem::path& path, const std::vector<Panel>& panels);

}  // namespace orrery::io
