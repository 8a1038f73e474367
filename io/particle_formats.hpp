#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "io/particles.hpp"
#include "io/structured_array.hpp"

namespace orrery::io {

// What the readers of particles.hpp share; each reads one family of files.
ParticleTable read_star_particles(const std::filesystem::path& path,
                                  const ParticleReadOptions& options);
ParticleTable read_cryosparc_particles(const std::filesystem::path& path,
                                       const ParticleReadOptions& options);

/// The stacks that a particle file names, each found once.
class StackList {
 public:
  StackList(const std::filesystem::path& source, const ParticleReadOptions& options);
  /// Index of the stack of that name among `paths`.
  int index_of(std::string_view name);

  std::vector<std::filesystem::path> paths;

 private:
  std::filesystem::path find(const std::filesystem::path& name) const;

  std::vector<std::filesystem::path> folders_;
  bool has_data_folder_;
  std::string last_name_;  // neighbours mostly share their stack
  int last_ = -1;
  std::unordered_map<std::string, int> index_;
};

/// Optics groups of files that have none: particles of one pixel size, voltage, aberration and
/// amplitude contrast.
class OpticsGroups {
 public:
  int index_of(double pixel_size, int image_size, const CtfParameters& ctf);

  std::vector<OpticsGroup> groups;

 private:
  std::vector<CtfParameters> ctf_;
};

/// What is wrong with a particle's CTF, and "" where nothing is.
std::string problem_of(const CtfParameters& ctf);

/// The pixel size given by the user, who is told where it is no positive number.
double checked_pixel_size(const std::filesystem::path& path, double pixel_size);

/// One number of CtfParameters and its column.
struct CtfColumn {
  const char* name;
  double CtfParameters::*member;
  bool is_needed;
  double factor = 1;  // from the file's unit to ours
};

/// RELION's, in its units, which are ours: first those of a particle, then those of optics groups.
inline constexpr std::array<CtfColumn, 9> relion_ctf_columns = {
    {{"rlnDefocusU", &CtfParameters::defocus_u, true},
     {"rlnDefocusV", &CtfParameters::defocus_v, true},
     {"rlnDefocusAngle", &CtfParameters::defocus_angle, true},
     {"rlnPhaseShift", &CtfParameters::phase_shift, false},
     {"rlnCtfBfactor", &CtfParameters::b_factor, false},
     {"rlnCtfScalefactor", &CtfParameters::scale, false},
     {"rlnVoltage", &CtfParameters::voltage, true},
     {"rlnSphericalAberration", &CtfParameters::spherical_aberration, true},
     {"rlnAmplitudeContrast", &CtfParameters::amplitude_contrast, true}}};
inline constexpr auto relion_particle_columns = std::span(relion_ctf_columns).first<6>();
inline constexpr auto relion_optics_columns = std::span(relion_ctf_columns).last<3>();

inline constexpr const char* no_ctf_note =
    "it has no defocus: images are taken as projections without a contrast transfer function";

}  // namespace orrery::io
