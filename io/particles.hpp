#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "kernels/ctf.hpp"
#include "kernels/view.hpp"

namespace orrery::io {

/// What one line of a particle file says, in the conventions of RELION: a positive origin says that
/// the image has to be moved by it to bring the particle to the centre (checked against its own
/// shifted projections).
struct Particle {
  int stack = 0;    // index into ParticleTable::stacks
  Index image = 0;  // in that stack, from 0
  int group = 0;    // index into ParticleTable::groups
  CtfParameters ctf;
  double rot = 0, tilt = 0, psi = 0;  // degrees
  double origin_x = 0, origin_y = 0;  // angstrom, RELION's sign
  int half = 0;                       // 1 or 2: rlnRandomSubset; 0: not given
};

/// An optics group: images taken alike.
struct OpticsGroup {
  std::string name;
  double pixel_size = 0;  // angstrom of the images as they are stored; 0: not given
  int image_size = 0;     // pixels an edge; 0: not given
};

struct ParticleTable {
  std::filesystem::path source;
  std::vector<std::filesystem::path> stacks;
  std::vector<OpticsGroup> groups;
  std::vector<Particle> particles;
  bool has_ctf = false, has_views = false, has_origins = false, has_halves = false;
  std::vector<std::string> notes;  // what a user should be told about how it was read
};

struct ParticleReadOptions {
  std::filesystem::path
      data_folder;  // where stacks' relative paths start; empty: see read_particles
  std::optional<double> pixel_size;  // angstrom; overrides the file's
};

/// Reads the particles of
///  - STAR files of RELION up to 3.0 (one table, pixel size from rlnDetectorPixelSize and
///    rlnMagnification or rlnImagePixelSize) and of 3.1, 4 and 5 (data_optics and data_particles);
///    quoted strings, any order of columns, `000001@stack.mrcs`;
///  - cryoSPARC's .cs metadata (a NumPy structured array): blob/path, blob/idx, ctf/*,
///    alignments3D/*;
///  - a plain stack .mrcs or .mrc: every image, nothing known about it.
/// Relative paths of stacks are tried from the data folder, from the file's own folder and its
/// parents, and from where the program was started.
/// Throws InputError naming file, column and remedy: columns that are needed and missing (a CTF
/// that is there in part counts as such), fields that are no numbers, image numbers that no stack
/// has, particles of unknown optics groups, files of no known kind, no particles at all. Stacks are
/// not opened here.
ParticleTable read_particles(const std::filesystem::path& path,
                             const ParticleReadOptions& options = {});

/// Writes a STAR file of RELION 3.1 with data_optics and data_particles; stacks are written
/// relative to the file's folder where they lie below it. Columns that the table does not have are
/// left out. Atomic.
void write_particles(const std::filesystem::path& path, const ParticleTable& table);

}  // namespace orrery::io
