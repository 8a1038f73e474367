// RELION's STAR files. Up to version 3.0 one table has everything; since 3.1 what images of one
// microscope session share is in a table of optics groups. A number is looked for in the particles'
// table first and in their optics group then, as RELION does.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <initializer_list>
#include <tuple>

#include "io/particle_formats.hpp"
#include "io/star.hpp"
#include "kernels/check.hpp"

namespace orrery::io {

namespace {

using Row = std::span<const StarField>;

/// What optics may say that is not modelled, and what it says where there is nothing of it.
struct Aberration {
  const char* column;
  double none;
};
constexpr std::array<Aberration, 6> aberrations = {{{"rlnBeamTiltX", 0},
                                                    {"rlnBeamTiltY", 0},
                                                    {"rlnMagMat00", 1},
                                                    {"rlnMagMat01", 0},
                                                    {"rlnMagMat10", 0},
                                                    {"rlnMagMat11", 1}}};

/// The numbers of one table, by column.
class Numbers {
 public:
  Numbers(const StarFile& file, const StarTable& table) : file_(file), table_(table) {}

  bool has(const char* column) const { return table_.find(column).has_value(); }
  bool has_any(std::initializer_list<const char*> columns) const {
    return std::any_of(columns.begin(), columns.end(), [&](auto column) { return has(column); });
  }
  bool has_all(std::initializer_list<const char*> columns) const {
    return std::all_of(columns.begin(), columns.end(), [&](auto column) { return has(column); });
  }
  /// The finite number in that column of a row.
  double at(Row row, std::size_t column) const {
    const double number = file_.number(table_, row, column);
    if (!std::isfinite(number))
      file_.fail(row[column].line, fmt::format("column _{}: {} is not a finite number; correct it",
                                               table_.columns[column], row[column].text));
    return number;
  }
  std::optional<double> at(Row row, const char* column) const {
    const auto index = table_.find(column);
    if (!index) return std::nullopt;
    return at(row, *index);
  }

 private:
  const StarFile& file_;
  const StarTable& table_;
};

/// Angstrom of a row's images, by any of the columns that RELION has had for it; 0 where there is
/// none. A detector's pixel size is in micrometres.
class PixelSize {
 public:
  PixelSize(const StarTable& table, Numbers numbers) : numbers_(numbers) {
    for (const char* name : {"rlnImagePixelSize", "rlnPixelSize"})
      if (!direct_) direct_ = table.find(name);
    detector_ = table.find("rlnDetectorPixelSize");
    magnification_ = table.find("rlnMagnification");
  }
  double of(const std::filesystem::path& path, Row row) const {
    if (direct_) return checked_pixel_size(path, numbers_.at(row, *direct_));
    if (!detector_ || !magnification_) return 0;
    return checked_pixel_size(
        path, 1e4 * numbers_.at(row, *detector_) / numbers_.at(row, *magnification_));
  }

 private:
  Numbers numbers_;
  std::optional<std::size_t> direct_, detector_, magnification_;
};

/// One row of the optics table.
struct Optics {
  OpticsGroup group;
  CtfParameters ctf;
  bool has_pixel_size = false;  // of its own; otherwise the particles' rows say it
};

class StarParticles {
 public:
  StarParticles(const std::filesystem::path& path, const ParticleReadOptions& options)
      : path_(path),
        options_(options),
        file_(path),
        particles_(find_particles()),
        optics_(find_optics()),
        numbers_(file_, particles_),
        stacks_(path, options) {
    table_.source = path;
  }

  ParticleTable read() {
    if (optics_ != nullptr) read_optics();
    find_columns();
    table_.particles.reserve(static_cast<std::size_t>(particles_.rows));
    file_.for_each_row(particles_, [&](Row row) { table_.particles.push_back(particle_of(row)); });
    if (table_.particles.empty())
      throw InputError(path_.string() + ": its table of particles has no rows; give one that has");
    table_.stacks = std::move(stacks_.paths);
    if (optics_ == nullptr) table_.groups = std::move(own_groups_.groups);
    for (const auto& optics : optics_rows_) table_.groups.push_back(optics.group);
    return std::move(table_);
  }

 private:
  const StarTable& find_particles() const {
    for (const auto& table : file_.tables())
      if (table.find("rlnImageName")) return table;
    std::vector<std::string> blocks;
    for (const auto& table : file_.tables()) blocks.push_back("data_" + table.block);
    throw InputError(fmt::format(
        "{}: no table has the column _rlnImageName, which says where a particle's image is ({}); "
        "give a file of extracted particles",
        path_.string(),
        blocks.empty() ? "it has no tables" : fmt::format("it has {}", fmt::join(blocks, ", "))));
  }
  const StarTable* find_optics() const {
    for (const auto& table : file_.tables())
      if (&table != &particles_ && table.find("rlnOpticsGroup")) return &table;
    return nullptr;
  }

  void read_optics() {
    const Numbers numbers(file_, *optics_);
    const PixelSize pixel_size(*optics_, numbers);
    const auto id = *optics_->find("rlnOpticsGroup");
    const auto name = optics_->find("rlnOpticsGroupName");
    file_.for_each_row(*optics_, [&](Row row) {
      const int line = row[id].line;
      if (numbers.at(row, "rlnImageDimensionality").value_or(2) != 2)
        file_.fail(line,
                   "rlnImageDimensionality is not 2: these are no images but subtomograms; give "
                   "particles of two dimensions");
      if (numbers.at(row, "rlnCtfDataAreCtfPremultiplied").value_or(0) != 0)
        file_.fail(line,
                   "the images are multiplied by their CTF (rlnCtfDataAreCtfPremultiplied is 1); "
                   "extract them without that");
      Optics optics;
      optics.group.name =
          name ? std::string(row[*name].text) : "opticsGroup" + std::string(row[id].text);
      optics.group.pixel_size =
          options_.pixel_size ? *options_.pixel_size : pixel_size.of(path_, row);
      optics.has_pixel_size = optics.group.pixel_size > 0;
      optics.group.image_size = static_cast<int>(numbers.at(row, "rlnImageSize").value_or(0));
      for (const auto& column : relion_ctf_columns)
        if (const auto number = numbers.at(row, column.name)) optics.ctf.*column.member = *number;
      note_aberrations(numbers, row);
      if (!optics_index_.try_emplace(std::string(row[id].text), optics_rows_.size()).second)
        file_.fail(line, fmt::format("optics group {} is there twice; correct it", row[id].text));
      optics_rows_.push_back(std::move(optics));
    });
    if (optics_rows_.empty()) file_.fail(optics_->first_line, "the optics table has no rows");
  }

  void note_aberrations(const Numbers& numbers, Row row) {
    std::vector<std::string> found;
    for (const auto& [column, none] : aberrations)
      if (numbers.at(row, column).value_or(none) != none) found.push_back(column);
    for (const char* column : {"rlnOddZernike", "rlnEvenZernike"})
      if (const auto index = optics_->find(column))
        if (row[*index].text.find_first_of("123456789") != std::string_view::npos)
          found.push_back(column);
    if (!found.empty() && table_.notes.empty())
      table_.notes.push_back(
          fmt::format("aberrations that are not corrected for: {}", fmt::join(found, ", ")));
  }

  /// Which columns there are, and what the table has by them.
  void find_columns() {
    image_ = *particles_.find("rlnImageName");
    group_ = particles_.find("rlnOpticsGroup");
    if (optics_ != nullptr && !group_ && optics_rows_.size() > 1)
      throw InputError(path_.string() +
                       ": particles have no column _rlnOpticsGroup, but there are several optics "
                       "groups; add it");
    own_pixel_size_.emplace(particles_, numbers_);
    find_ctf_columns();

    const auto angles = {"rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"};
    table_.has_views = numbers_.has_all(angles);
    if (table_.has_views)
      for (std::size_t i = 0; i < 3; ++i) angles_[i] = *particles_.find(std::data(angles)[i]);
    else if (numbers_.has_any(angles))
      table_.notes.push_back(
          "of the angles rlnAngleRot, rlnAngleTilt, rlnAnglePsi some are missing: views are taken "
          "as unknown");
    for (const auto& [x, y, is_angstrom] : {std::tuple{"rlnOriginXAngst", "rlnOriginYAngst", true},
                                            {"rlnOriginX", "rlnOriginY", false}})
      if (!table_.has_origins && numbers_.has_all({x, y})) {
        table_.has_origins = true;
        origin_ = {*particles_.find(x), *particles_.find(y)};
        origin_is_angstrom_ = is_angstrom;
      }
    half_ = particles_.find("rlnRandomSubset");
    table_.has_halves = half_.has_value();
  }

  void find_ctf_columns() {
    table_.has_ctf = numbers_.has_any({"rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle"});
    if (!table_.has_ctf) {
      table_.notes.push_back(no_ctf_note);
      return;
    }
    std::vector<std::string> missing;
    for (const auto& column : relion_ctf_columns) {
      if (const auto index = particles_.find(column.name))
        ctf_.push_back({*index, column.member});
      else if (column.is_needed && !(optics_ != nullptr && optics_->find(column.name)))
        missing.push_back(column.name);
    }
    if (missing.empty()) return;
    const bool several = missing.size() > 1;
    throw InputError(
        fmt::format("{}: the CTF is there in part: column{} _{} {} missing; add {}, or remove the "
                    "columns of the defocus",
                    path_.string(), several ? "s" : "", fmt::join(missing, ", _"),
                    several ? "are" : "is", several ? "them" : "it"));
  }

  Particle particle_of(Row row) {
    Particle particle;
    particle.image = image_of(row, particle.stack);
    const Optics* optics = optics_of(row, particle.group);
    if (table_.has_ctf) {
      if (optics != nullptr) particle.ctf = optics->ctf;
      for (const auto& [column, member] : ctf_) particle.ctf.*member = numbers_.at(row, column);
      if (const auto problem = problem_of(particle.ctf); !problem.empty())
        file_.fail(row[image_].line, problem);
    }
    double pixel_size = 0;
    if (optics != nullptr && optics->has_pixel_size)
      pixel_size = optics->group.pixel_size;
    else
      pixel_size = options_.pixel_size ? *options_.pixel_size : own_pixel_size_->of(path_, row);
    if (optics == nullptr)
      particle.group = own_groups_.index_of(pixel_size, 0, particle.ctf);
    else
      take_pixel_size(row, pixel_size, optics_rows_[static_cast<std::size_t>(particle.group)]);
    if (table_.has_views) {
      particle.rot = numbers_.at(row, angles_[0]);
      particle.tilt = numbers_.at(row, angles_[1]);
      particle.psi = numbers_.at(row, angles_[2]);
    }
    if (table_.has_origins) read_origin(row, pixel_size, particle);
    if (half_) particle.half = half_of(row);
    return particle;
  }

  /// A group whose own row does not say how large its pixels are has the particles' size.
  void take_pixel_size(Row row, double pixel_size, Optics& optics) const {
    if (optics.group.pixel_size == 0) optics.group.pixel_size = pixel_size;
    if (std::abs(pixel_size - optics.group.pixel_size) > 1e-4 * optics.group.pixel_size)
      file_.fail(row[image_].line,
                 fmt::format("pixels of {:.6g} A, but others of optics group \"{}\" have {:.6g} A; "
                             "give them optics groups of their own",
                             pixel_size, optics.group.name, optics.group.pixel_size));
  }

  /// From `000001@folder/stack.mrcs`; a name alone is a file's first image.
  Index image_of(Row row, int& stack) {
    const auto& field = row[image_];
    const auto at = field.text.find('@');
    const auto name = at == field.text.npos ? field.text : field.text.substr(at + 1);
    Index number = 1;
    if (at != field.text.npos) {
      const auto* end = field.text.data() + at;
      const auto [last, error] = std::from_chars(field.text.data(), end, number);
      if (error != std::errc() || last != end || number < 1) number = 0;
    }
    if (number < 1 || name.empty())
      file_.fail(field.line, fmt::format("column _rlnImageName: \"{}\" should be an image's number "
                                         "from 1, @ and its stack; correct it",
                                         field.text));
    stack = stacks_.index_of(name);
    return number - 1;
  }

  /// Null in files without optics groups.
  const Optics* optics_of(Row row, int& group) {
    if (optics_ == nullptr) return nullptr;
    if (group_) {
      const auto& id = row[*group_];
      if (id.text != last_id_) {
        const auto found = optics_index_.find(std::string(id.text));
        if (found == optics_index_.end())
          file_.fail(id.line,
                     fmt::format("optics group {} is not in the optics table; add it", id.text));
        last_id_ = id.text;
        last_optics_ = found->second;
      }
      group = static_cast<int>(last_optics_);
    }
    return &optics_rows_[static_cast<std::size_t>(group)];
  }

  void read_origin(Row row, double pixel_size, Particle& particle) const {
    if (!origin_is_angstrom_ && pixel_size == 0)
      throw InputError(path_.string() +
                       ": origins are in pixels (rlnOriginX), but no column gives the pixel size; "
                       "give --pixel-size");
    const double unit = origin_is_angstrom_ ? 1 : pixel_size;
    particle.origin_x = unit * numbers_.at(row, origin_[0]);
    particle.origin_y = unit * numbers_.at(row, origin_[1]);
  }

  int half_of(Row row) const {
    const double half = numbers_.at(row, *half_);
    if (half != 0 && half != 1 && half != 2)
      file_.fail(row[*half_].line,
                 fmt::format("rlnRandomSubset is {:g}, but must be 1 or 2; correct it", half));
    return static_cast<int>(half);
  }

  std::filesystem::path path_;
  ParticleReadOptions options_;
  StarFile file_;
  const StarTable& particles_;
  const StarTable* optics_;
  Numbers numbers_;
  StackList stacks_;
  ParticleTable table_;

  std::vector<Optics> optics_rows_;
  std::unordered_map<std::string, std::size_t> optics_index_;
  std::string_view last_id_;  // neighbours mostly share their group
  std::size_t last_optics_ = 0;
  OpticsGroups own_groups_;

  struct CtfField {
    std::size_t column;
    double CtfParameters::*member;
  };
  std::vector<CtfField> ctf_;
  std::optional<PixelSize> own_pixel_size_;
  std::array<std::size_t, 3> angles_ = {};
  std::array<std::size_t, 2> origin_ = {};
  bool origin_is_angstrom_ = false;
  std::size_t image_ = 0;
  std::optional<std::size_t> group_, half_;
};

}  // namespace

ParticleTable read_star_particles(const std::filesystem::path& path,
                                  const ParticleReadOptions& options) {
  return StarParticles(path, options).read();
}

}  // namespace orrery::io
