#include "io/particles.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "io/files.hpp"
#include "io/image_stack.hpp"
#include "io/npy_header.hpp"
#include "io/numbers.hpp"
#include "io/particle_formats.hpp"
#include "kernels/check.hpp"

namespace orrery::io {

namespace {

using Path = std::filesystem::path;

ParticleTable read_stack_particles(const Path& path, const ParticleReadOptions& options) {
  const ImageStack stack(path);
  ParticleTable table;
  table.source = path;
  table.stacks = {path};
  table.groups = {{.name = "opticsGroup1",
                   .pixel_size = options.pixel_size.value_or(stack.pixel_size()),
                   .image_size = static_cast<int>(stack.size())}};
  table.particles.resize(static_cast<std::size_t>(stack.count()));
  for (Index i = 0; i < stack.count(); ++i) table.particles[static_cast<std::size_t>(i)].image = i;
  table.notes.push_back(
      "a stack alone says nothing of its images: they are taken as centred projections without a "
      "contrast transfer function");
  return table;
}

enum class Kind { star, cryosparc, stack };

Kind kind_of(const Path& path) {
  const RandomAccessFile file(path);
  std::array<char, 1024> start;
  const auto count = file.read(0, std::as_writable_bytes(std::span(start)));
  const std::string_view text(start.data(), count);
  if (count == 0) throw InputError(path.string() + ": is empty; give a file of particles");
  const auto extension = path.extension();
  if (is_npy(file) || extension == ".cs") return Kind::cryosparc;
  if (extension == ".star") return Kind::star;
  if (extension == ".mrcs" || extension == ".mrc" || extension == ".st") return Kind::stack;
  if (count > 211 && text.substr(208, 3) == "MAP") return Kind::stack;
  if (text.find("data_") != text.npos && text.find('\0') == text.npos) return Kind::star;
  throw InputError(path.string() +
                   ": is neither a STAR file, nor a .cs file, nor an MRC stack; give one of these");
}

/// A STAR field: in quotes where blanks would tear it.
std::string field_of(const std::string& text) {
  if (!text.empty() && text.find_first_of(" \t#") == text.npos) return text;
  return (text.find('"') == text.npos ? '"' : '\'') + text +
         (text.find('"') == text.npos ? '"' : '\'');
}

/// Of one microscope.
bool same_optics(const CtfParameters& a, const CtfParameters& b) {
  return std::ranges::all_of(relion_optics_columns, [&](const CtfColumn& column) {
    return a.*column.member == b.*column.member;
  });
}

/// The optics groups that RELION needs: the table's, split where particles of one differ in their
/// voltage, aberration or amplitude contrast.
struct WrittenGroups {
  struct Group {
    OpticsGroup optics;
    int source;
    CtfParameters ctf;
  };
  std::vector<Group> groups;
  std::vector<int> of_particle;

  explicit WrittenGroups(const ParticleTable& table) {
    of_particle.reserve(table.particles.size());
    int last = -1;
    for (const auto& particle : table.particles) {
      if (last < 0 || !holds(groups[static_cast<std::size_t>(last)], particle))
        last = index_of(table, particle);
      of_particle.push_back(last);
    }
  }

 private:
  static bool holds(const Group& group, const Particle& particle) {
    return group.source == particle.group && same_optics(group.ctf, particle.ctf);
  }
  int index_of(const ParticleTable& table, const Particle& particle) {
    const auto found = std::find_if(groups.begin(), groups.end(),
                                    [&](const Group& group) { return holds(group, particle); });
    if (found != groups.end()) return static_cast<int>(found - groups.begin());
    auto optics = table.groups.at(static_cast<std::size_t>(particle.group));
    const auto parts = std::count_if(groups.begin(), groups.end(), [&](const Group& group) {
      return group.source == particle.group;
    });
    if (optics.name.empty()) optics.name = fmt::format("opticsGroup{}", particle.group + 1);
    if (parts > 0) optics.name += fmt::format("_{}", parts + 1);
    groups.push_back({std::move(optics), particle.group, particle.ctf});
    return static_cast<int>(groups.size()) - 1;
  }
};

/// A loop's header, its columns numbered.
class LoopHeader {
 public:
  explicit LoopHeader(const char* block) : text_(fmt::format("\ndata_{}\n\nloop_\n", block)) {}
  void add(const char* column) { text_ += fmt::format("_{} #{}\n", column, ++count_); }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  int count_ = 0;
};

std::string optics_table(const ParticleTable& table, const WrittenGroups& written) {
  const bool has_pixel_size =
      std::any_of(table.groups.begin(), table.groups.end(),
                  [](const OpticsGroup& group) { return group.pixel_size > 0; });
  const bool has_size = std::any_of(table.groups.begin(), table.groups.end(),
                                    [](const OpticsGroup& group) { return group.image_size > 0; });
  LoopHeader header("optics");
  header.add("rlnOpticsGroup");
  header.add("rlnOpticsGroupName");
  if (table.has_ctf)
    for (const auto& column : relion_optics_columns) header.add(column.name);
  if (has_pixel_size) header.add("rlnImagePixelSize");
  if (has_size) header.add("rlnImageSize");
  header.add("rlnImageDimensionality");
  std::string text = "\n# version 30001\n" + header.text();
  int number = 0;
  for (const auto& group : written.groups) {
    text += fmt::format("{} {}", ++number, field_of(group.optics.name));
    if (table.has_ctf)
      for (const auto& column : relion_optics_columns)
        text += ' ' + shortest(group.ctf.*column.member);
    if (has_pixel_size) text += ' ' + shortest(group.optics.pixel_size);
    if (has_size) text += fmt::format(" {}", group.optics.image_size);
    text += " 2\n";
  }
  return text + "\n\n# version 30001\n";
}

std::string particles_header(const ParticleTable& table) {
  LoopHeader header("particles");
  header.add("rlnImageName");
  header.add("rlnOpticsGroup");
  if (table.has_ctf)
    for (const auto& column : relion_particle_columns) header.add(column.name);
  if (table.has_views)
    for (const char* name : {"rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"}) header.add(name);
  if (table.has_origins)
    for (const char* name : {"rlnOriginXAngst", "rlnOriginYAngst"}) header.add(name);
  if (table.has_halves) header.add("rlnRandomSubset");
  return header.text();
}

void append_particle(std::string& text, const ParticleTable& table, const Particle& particle,
                     const std::string& stack, int group) {
  text += field_of(fmt::format("{:06}@{}", particle.image + 1, stack));
  text += fmt::format(" {}", group + 1);
  const auto add = [&](double number) { text += ' ' + shortest(number); };
  if (table.has_ctf)
    for (const auto& column : relion_particle_columns) add(particle.ctf.*column.member);
  if (table.has_views)
    for (const double angle : {particle.rot, particle.tilt, particle.psi}) add(angle);
  if (table.has_origins)
    for (const double origin : {particle.origin_x, particle.origin_y}) add(origin);
  if (table.has_halves) text += fmt::format(" {}", particle.half);
  text += '\n';
}

/// As a STAR file in `folder` names it: relative where it lies below the folder.
std::string written_name(const Path& stack, const Path& folder) {
  std::error_code ignored;
  const auto whole = std::filesystem::weakly_canonical(std::filesystem::absolute(stack), ignored);
  const auto from = std::filesystem::weakly_canonical(std::filesystem::absolute(folder), ignored);
  const auto relative = whole.lexically_relative(from);
  const bool is_below = !relative.empty() && *relative.begin() != "..";
  return (is_below ? relative : whole).string();
}

}  // namespace

ParticleTable read_particles(const Path& path, const ParticleReadOptions& options) {
  if (options.pixel_size) checked_pixel_size(path, *options.pixel_size);
  switch (kind_of(path)) {
    case Kind::star:
      return read_star_particles(path, options);
    case Kind::cryosparc:
      return read_cryosparc_particles(path, options);
    default:
      return read_stack_particles(path, options);
  }
}

void write_particles(const Path& path, const ParticleTable& table) {
  const auto count = static_cast<int>(table.stacks.size());
  const auto groups = static_cast<int>(table.groups.size());
  require(std::all_of(table.particles.begin(), table.particles.end(),
                      [&](const Particle& particle) {
                        return particle.stack >= 0 && particle.stack < count &&
                               particle.group >= 0 && particle.group < groups;
                      }),
          "write_particles", "a particle's stack or group is not in the table");
  const auto folder = path.has_parent_path() ? path.parent_path() : Path(".");
  std::vector<std::string> names;
  for (const auto& stack : table.stacks) names.push_back(written_name(stack, folder));

  const WrittenGroups written(table);
  GrowingFile file(path);
  std::string text = optics_table(table, written) + particles_header(table);
  constexpr std::size_t worth_writing = 1 << 20;
  for (std::size_t i = 0; i < table.particles.size(); ++i) {
    const auto& particle = table.particles[i];
    append_particle(text, table, particle, names[static_cast<std::size_t>(particle.stack)],
                    written.of_particle[i]);
    if (text.size() < worth_writing) continue;
    file.append(text);
    text.clear();
  }
  file.append(text + '\n');
  file.close();
}

StackList::StackList(const Path& source, const ParticleReadOptions& options)
    : has_data_folder_(!options.data_folder.empty()) {
  if (has_data_folder_) folders_.push_back(options.data_folder);
  auto folder = std::filesystem::absolute(source).parent_path();
  folders_.push_back(source.has_parent_path() ? source.parent_path() : Path("."));
  while (folder.has_relative_path()) {
    folder = folder.parent_path();
    folders_.push_back(folder);
  }
  folders_.push_back(".");
}

int StackList::index_of(std::string_view name) {
  if (name == last_name_ && last_ >= 0) return last_;
  last_name_ = name;
  const auto [entry, is_new] = index_.try_emplace(last_name_, static_cast<int>(paths.size()));
  if (is_new) paths.push_back(find(last_name_));
  return last_ = entry->second;
}

Path StackList::find(const Path& name) const {
  std::error_code ignored;
  const auto is_there = [&](const Path& path) {
    return std::filesystem::is_regular_file(path, ignored);
  };
  if (has_data_folder_) {
    const auto& data_folder = folders_.front();
    // Stacks are often copied together into one folder.
    for (const auto& path : {data_folder / name.relative_path(), data_folder / name.filename()})
      if (is_there(path)) return path;
  }
  if (name.is_absolute()) return name;
  for (const auto& folder : folders_)
    if (const auto path = (folder / name).lexically_normal(); is_there(path)) return path;
  return (folders_.front() / name).lexically_normal();
}

int OpticsGroups::index_of(double pixel_size, int image_size, const CtfParameters& ctf) {
  for (std::size_t i = groups.size(); i-- > 0;)  // neighbours are mostly alike
    if (groups[i].pixel_size == pixel_size && groups[i].image_size == image_size &&
        same_optics(ctf_[i], ctf))
      return static_cast<int>(i);
  ctf_.push_back(ctf);
  groups.push_back({fmt::format("opticsGroup{}", groups.size() + 1), pixel_size, image_size});
  return static_cast<int>(groups.size()) - 1;
}

std::string problem_of(const CtfParameters& ctf) {
  for (const double number : numbers_of(ctf))
    if (!std::isfinite(number)) return "a number of its CTF is not finite; correct it";
  if (!(ctf.voltage > 0 && ctf.voltage < 10000))
    return fmt::format("the voltage is {:g}, but should be in kV (300); correct it", ctf.voltage);
  if (!(ctf.amplitude_contrast >= 0 && ctf.amplitude_contrast < 1))
    return fmt::format(
        "the amplitude contrast is {:g}, but must be at least 0 and below 1; correct it",
        ctf.amplitude_contrast);
  return "";
}

double checked_pixel_size(const Path& path, double pixel_size) {
  if (!(pixel_size > 0) || !std::isfinite(pixel_size))
    throw InputError(
        fmt::format("{}: the pixel size {:g} is not a positive number of angstrom; correct it or "
                    "give --pixel-size",
                    path.string(), pixel_size));
  return pixel_size;
}

}  // namespace orrery::io
