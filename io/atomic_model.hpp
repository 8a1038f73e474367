#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "geometry/volume.hpp"
#include "io/mrc.hpp"

namespace orrery::io {

/// An atom of a model: its atomic number, where it is (angstrom), and its share of the time there.
struct Atom {
  int element = 0;
  Vector3 position = {0, 0, 0};
  double occupancy = 1;
};

struct AtomicModel {
  std::vector<Atom> atoms;
  std::vector<std::string> notes;  // what a user should be told about how it was read
};

/// Reads the first model of a PDB or mmCIF file, plain or gzip; which of them it is, the content
/// tells. Waters are left out, and so are atoms of unknown elements; notes say so.
/// Throws InputError naming file, field and remedy: missing or damaged files, neither kind, fields
/// that are no numbers, no atoms.
AtomicModel read_atomic_model(const std::filesystem::path& path);

struct ModelDensityOptions {
  double resolution = 8;  // angstrom
  double voxel_size = 0;  // angstrom; 0: a third of the resolution
  int box = 0;            // voxels an edge; 0: an odd number that leaves a margin around the model
};

/// The model as electrons see it: each atom its electron scattering factor (five Gaussians,
/// International Tables C, table 4.3.2.2), blurred by B = 4 resolution^2, so that amplitudes at
/// 1/resolution fall to 1/e; the file's own B factors are not used. The atoms' mean lies at the
/// centre voxel, and the volume's origin keeps the model's coordinates. Values are in volt times
/// 47.88 (f in angstrom, per cubic angstrom).
/// Throws InputError, beginning with `name`, where the model does not fit the box or the voxels are
/// too large for the resolution.
Volume density_of(const AtomicModel& model, const ModelDensityOptions& options,
                  const std::string& name);

}  // namespace orrery::io
