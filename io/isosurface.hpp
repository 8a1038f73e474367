#pragma once

#include <vector>

#include "geometry/volume.hpp"
#include "io/picture.hpp"

namespace orrery::io {

/// The volumes as shaded isosurfaces on white, a row of square tiles each: seen from the front
/// (along -z, x to the right, y up), from the right side (along -x, y up) and from the top (along
/// -y, x to the right). The surface lies at `level` standard deviations above the volume's mean; it
/// is smoothed by cubic interpolation to a grid of at least 128, then ray-marched with linear
/// interpolation. All tiles have the same scale, which the largest surface fills; a volume with
/// nothing above the level gives white tiles. Colours follow the rows: steel blue, amber, sage,
/// mauve.
/// The same volumes give the same picture, whatever the number of threads.
/// Throws std::invalid_argument without volumes or tiles of less than 8 pixels.
Picture render_isosurfaces(const std::vector<Volume>& volumes, double level, int tile_pixels);

}  // namespace orrery::io
