// cryoSPARC's .cs files. Its conventions are not published with the format; these are relied on:
//  - pose is a rotation vector p whose matrix exp([p]x), by Rodrigues' formula, carries the plane
//    of the image into the volume: a slice samples the volume's transform at exp([p]x) (kx, ky, 0).
//    Ours samples at R^T k, so R = exp(-[p]x);
//  - shift has RELION's sign, in pixels of alignments3D/psize_A;
//  - split is 0 or 1; angles are in radians; defoci and the CTF's signs are RELION's.
// The first two are what pyem's csparc2star and cryoDRGN's parse_pose_csparc do, written down
// independently of one another.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "geometry/rotation.hpp"
#include "io/particle_formats.hpp"
#include "kernels/check.hpp"

namespace orrery::io {

namespace {

using Field = StructuredArray::Field;

constexpr double degrees = 180 / std::numbers::pi;  // in a radian

constexpr std::array<CtfColumn, 9> ctf_columns = {
    {{"ctf/df1_A", &CtfParameters::defocus_u, true},
     {"ctf/df2_A", &CtfParameters::defocus_v, true},
     {"ctf/df_angle_rad", &CtfParameters::defocus_angle, true, degrees},
     {"ctf/accel_kv", &CtfParameters::voltage, true},
     {"ctf/cs_mm", &CtfParameters::spherical_aberration, true},
     {"ctf/amp_contrast", &CtfParameters::amplitude_contrast, true},
     {"ctf/phase_shift_rad", &CtfParameters::phase_shift, false, degrees},
     {"ctf/bfactor", &CtfParameters::b_factor, false},
     {"ctf/scale", &CtfParameters::scale, false}}};

constexpr std::array aberrations = {"ctf/tilt_A", "ctf/trefoil_A", "ctf/tetra_A", "ctf/anisomag"};

class CryosparcParticles {
 public:
  CryosparcParticles(const std::filesystem::path& path, const ParticleReadOptions& options)
      : path_(path), options_(options), array_(path), stacks_(path, options) {
    table_.source = path;
  }

  ParticleTable read() {
    if (array_.rows() == 0) throw InputError(path_.string() + ": has no particles; give some");
    find_columns();
    table_.particles.reserve(static_cast<std::size_t>(array_.rows()));
    for (Index row = 0; row < array_.rows(); ++row) table_.particles.push_back(particle_of(row));
    table_.stacks = std::move(stacks_.paths);
    table_.groups = std::move(groups_.groups);
    return std::move(table_);
  }

 private:
  /// The field of that name if it has so many numbers.
  const Field* numbers(const char* name, std::size_t count = 1) const {
    const auto* field = array_.find(name);
    if (field != nullptr && (!field->is_number() || field->count != count))
      throw InputError(fmt::format("{}: field {} should hold {} number{}; save the dataset again",
                                   path_.string(), name, count, count == 1 ? "" : "s"));
    return field;
  }

  void find_columns() {
    stack_ = array_.find("blob/path");
    image_ = numbers("blob/idx");
    if (stack_ == nullptr || image_ == nullptr || stack_->is_number())
      throw InputError(
          path_.string() +
          ": has no fields blob/path and blob/idx, which say where a particle's image is; they may "
          "be in the job's passthrough file - export the particles, which joins the two");
    shape_ = numbers("blob/shape", 2);
    pixel_size_ = numbers("blob/psize_A");
    find_ctf_columns();
    pose_ = numbers("alignments3D/pose", 3);
    shift_ = numbers("alignments3D/shift", 2);
    shift_pixel_size_ = numbers("alignments3D/psize_A");
    split_ = numbers("alignments3D/split");
    table_.has_views = pose_ != nullptr;
    table_.has_origins = shift_ != nullptr;
    table_.has_halves = split_ != nullptr;
    if (const auto* sign = numbers("blob/sign"); sign != nullptr && array_.number(0, *sign) < 0)
      table_.notes.push_back("blob/sign is -1: cryoSPARC takes these images as dark on light");
    note_aberrations();
  }

  void find_ctf_columns() {
    table_.has_ctf = array_.find("ctf/df1_A") || array_.find("ctf/df2_A");
    if (!table_.has_ctf) {
      table_.notes.push_back(no_ctf_note);
      return;
    }
    std::vector<std::string> missing;
    for (const auto& column : ctf_columns) {
      if (const auto* field = numbers(column.name))
        ctf_.push_back({field, &column});
      else if (column.is_needed)
        missing.push_back(column.name);
    }
    if (!missing.empty())
      throw InputError(
          fmt::format("{}: the CTF is there in part: {} {} missing; export the particles of a job "
                      "that has the whole of it",
                      path_.string(), fmt::join(missing, ", "), missing.size() > 1 ? "are" : "is"));
  }

  void note_aberrations() {
    std::vector<std::string> found;
    for (const char* name : aberrations)
      if (const auto* field = array_.find(name); field != nullptr && field->is_number())
        for (std::size_t i = 0; i < field->count; ++i)
          if (array_.number(0, *field, i) != 0 && (found.empty() || found.back() != name))
            found.push_back(name);
    if (!found.empty())
      table_.notes.push_back(
          fmt::format("aberrations that are not corrected for: {}", fmt::join(found, ", ")));
  }

  Particle particle_of(Index row) {
    Particle particle;
    auto name = array_.text(row, *stack_);
    name.erase(0, name.find_first_not_of("> "));  // imports are marked so
    if (name.empty()) refuse(row, "blob/path is empty");
    particle.stack = stacks_.index_of(name);
    particle.image = static_cast<Index>(array_.number(row, *image_));
    if (particle.image < 0) refuse(row, "blob/idx is negative");
    for (const auto& [field, column] : ctf_)
      particle.ctf.*column->member = column->factor * array_.number(row, *field);
    if (table_.has_ctf)
      if (const auto problem = problem_of(particle.ctf); !problem.empty()) refuse(row, problem);
    const double pixel_size = pixel_size_of(row);
    particle.group = groups_.index_of(pixel_size, image_size_of(row), particle.ctf);
    if (pose_ != nullptr) {
      const auto pose = entries<3>(row, *pose_);
      const auto euler = to_euler(from_rotation_vector({-pose[0], -pose[1], -pose[2]}));
      particle.rot = euler.rot;
      particle.tilt = euler.tilt;
      particle.psi = euler.psi;
    }
    if (shift_ != nullptr) {
      const double unit = shift_pixel_size_ ? array_.number(row, *shift_pixel_size_) : pixel_size;
      if (!(unit > 0)) refuse(row, "shifts are in pixels of unknown size; give --pixel-size");
      const auto shift = entries<2>(row, *shift_);
      particle.origin_x = unit * shift[0];
      particle.origin_y = unit * shift[1];
    }
    if (split_ != nullptr) particle.half = array_.number(row, *split_) == 0 ? 1 : 2;
    return particle;
  }

  double pixel_size_of(Index row) const {
    if (options_.pixel_size) return *options_.pixel_size;
    return pixel_size_ ? checked_pixel_size(path_, array_.number(row, *pixel_size_)) : 0;
  }

  int image_size_of(Index row) const {
    if (shape_ == nullptr) return 0;
    const auto shape = entries<2>(row, *shape_);
    if (shape[0] != shape[1])
      refuse(row, fmt::format("its image is {} x {} pixels, but must be square; extract it again",
                              shape[1], shape[0]));
    return static_cast<int>(shape[0]);
  }

  template <std::size_t count>
  std::array<double, count> entries(Index row, const Field& field) const {
    std::array<double, count> numbers;
    for (std::size_t i = 0; i < count; ++i) {
      numbers[i] = array_.number(row, field, i);
      if (!std::isfinite(numbers[i]))
        refuse(row, fmt::format("{} is not finite; leave it out", field.name));
    }
    return numbers;
  }

  [[noreturn]] void refuse(Index row, const std::string& what) const {
    throw InputError(fmt::format("{}: particle {}: {}", path_.string(), row + 1, what));
  }

  std::filesystem::path path_;
  ParticleReadOptions options_;
  StructuredArray array_;
  StackList stacks_;
  OpticsGroups groups_;
  ParticleTable table_;

  struct CtfField {
    const Field* field;
    const CtfColumn* column;
  };
  std::vector<CtfField> ctf_;
  const Field *stack_ = nullptr, *image_ = nullptr, *shape_ = nullptr, *pixel_size_ = nullptr;
  const Field *pose_ = nullptr, *shift_ = nullptr, *shift_pixel_size_ = nullptr, *split_ = nullptr;
};

}  // namespace

ParticleTable read_cryosparc_particles(const std::filesystem::path& path,
                                       const ParticleReadOptions& options) {
  return CryosparcParticles(path, options).read();
}

}  // namespace orrery::io
