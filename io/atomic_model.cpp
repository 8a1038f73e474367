#include "io/atomic_model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <gemmi/c4322.hpp>
#include <gemmi/dencalc.hpp>
#include <gemmi/pdb.hpp>
#include <gemmi/resinfo.hpp>
#include <optional>
#include <string_view>

#include "io/compressed_file.hpp"
#include "kernels/check.hpp"

namespace orrery::io {

namespace {

using Scattering = gemmi::C4322<double>;

std::string contents_of(const std::filesystem::path& path) {
  CompressedFile file(path);
  constexpr std::size_t block = 1 << 20, most = std::size_t{1} << 31;
  std::string text;
  while (true) {
    const std::size_t before = text.size();
    text.resize(before + block);
    const auto count = file.read(std::as_writable_bytes(std::span(text).subspan(before)));
    text.resize(before + count);
    if (count < block) return text;
    if (text.size() >= most)
      throw InputError(path.string() + ": is larger than 2 GiB, too large for an atomic model");
  }
}

/// Gathers atoms, and counts those that are left out.
class Collector {
 public:
  void add(gemmi::Element element, const std::string& residue, const Atom& atom) {
    if (gemmi::find_tabulated_residue(residue).is_water()) {
      ++waters_;
    } else if (element == gemmi::El::X || !Scattering::has(element.elem)) {
      ++unknown_;
    } else {
      model_.atoms.push_back(atom);
      model_.atoms.back().element = element.ordinal();
    }
  }

  AtomicModel finish(const std::filesystem::path& path) {
    if (waters_ > 0) model_.notes.push_back(fmt::format("{} atoms of water left out", waters_));
    if (unknown_ > 0)
      model_.notes.push_back(fmt::format("{} atoms of unknown elements left out", unknown_));
    if (model_.atoms.empty())
      throw InputError(path.string() +
                       ": holds no atoms that scatter; give a PDB or mmCIF file of a molecule");
    for (const Atom& atom : model_.atoms)
      for (const double x : {atom.position[0], atom.position[1], atom.position[2], atom.occupancy})
        if (!std::isfinite(x))
          throw InputError(path.string() +
                           ": an atom has a coordinate or occupancy that is not finite");
    return std::move(model_);
  }

 private:
  AtomicModel model_;
  int waters_ = 0, unknown_ = 0;
};

AtomicModel read_pdb(const std::filesystem::path& path, const std::string& text) {
  gemmi::Structure structure;
  try {
    structure = gemmi::read_pdb_from_memory(text.data(), text.size(), path.string());
  } catch (const std::runtime_error& error) {
    throw InputError(path.string() + ": cannot be read as PDB: " + error.what());
  }
  Collector collector;
  if (!structure.models.empty())
    for (const auto& chain : structure.models[0].chains)
      for (const auto& residue : chain.residues)
        for (const auto& atom : residue.atoms)
          collector.add(atom.element, residue.name,
                        {0, {atom.pos.x, atom.pos.y, atom.pos.z}, atom.occ});
  auto model = collector.finish(path);
  if (structure.models.size() > 1)
    model.notes.push_back(fmt::format("the first of {} models is used", structure.models.size()));
  return model;
}

/// The words of an mmCIF file one after the other: blanks separate them, # starts a comment, quotes
/// end where a blank follows, and text between lines that start with ; is one word.
class CifWords {
 public:
  explicit CifWords(std::string_view text) : text_(text) {}

  /// Empty at the end; `quoted` words are values whatever they look like.
  struct Word {
    std::string_view text;
    bool quoted = false, end = false;
    bool is_value() const {
      return !end && (quoted || !(text.starts_with('_') || text == "loop_" ||
                                  text.starts_with("data_") || text.starts_with("save_")));
    }
  };
  Word next() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (is_blank(c)) {
        ++at_;
      } else {
        break;
      }
    }
    if (at_ >= text_.size()) return {{}, false, true};
    const std::size_t first = at_;
    if (text_[at_] == ';' && (at_ == 0 || text_[at_ - 1] == '\n')) {
      const auto end = std::min(text_.find("\n;", at_), text_.size());
      at_ = std::min(end + 2, text_.size());
      return {text_.substr(first + 1, end - first - 1), true};
    }
    if (const char quote = text_[at_]; quote == '\'' || quote == '"') {
      for (std::size_t i = first + 1; i < text_.size() && text_[i] != '\n'; ++i)
        if (text_[i] == quote && (i + 1 == text_.size() || is_blank(text_[i + 1]))) {
          at_ = i + 1;
          return {text_.substr(first + 1, i - first - 1), true};
        }
    }
    while (at_ < text_.size() && !is_blank(text_[at_])) ++at_;
    return {text_.substr(first, at_ - first), false};
  }

 private:
  static bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

  std::string_view text_;
  std::size_t at_ = 0;
};

/// The table _atom_site, whose columns come in any order.
class AtomSites {
 public:
  AtomSites(const std::filesystem::path& path, const std::string& text)
      : path_(path), words_(text) {}

  AtomicModel read() {
    auto word = words_.next();
    while (!word.end) {
      if (word.quoted || word.text != "loop_") {
        word = words_.next();
        continue;
      }
      std::vector<std::string_view> columns;
      for (word = words_.next(); !word.end && !word.quoted && word.text.starts_with('_');
           word = words_.next())
        columns.push_back(word.text);
      if (columns.empty() || !columns[0].starts_with("_atom_site.")) continue;
      read_rows(columns, word);
      return collector_.finish(path_);
    }
    throw InputError(path_.string() +
                     ": has no table _atom_site; give an mmCIF file with coordinates");
  }

 private:
  void read_rows(const std::vector<std::string_view>& columns, CifWords::Word word) {
    const auto find = [&](std::string_view name, bool needed) -> std::optional<std::size_t> {
      for (std::size_t c = 0; c < columns.size(); ++c)
        if (columns[c].substr(sizeof("_atom_site.") - 1) == name) return c;
      if (needed)
        throw InputError(path_.string() + ": the table _atom_site has no column " +
                         std::string(name) + "; give an mmCIF file with coordinates");
      return std::nullopt;
    };
    const std::size_t symbol = *find("type_symbol", true);
    const std::array<std::size_t, 3> axes = {*find("Cartn_x", true), *find("Cartn_y", true),
                                             *find("Cartn_z", true)};
    const auto occupancy = find("occupancy", false), residue = find("label_comp_id", false),
               model = find("pdbx_PDB_model_num", false);
    std::vector<std::string_view> row;
    std::string first_model;
    while (word.is_value()) {
      row.clear();
      for (; row.size() < columns.size() && word.is_value(); word = words_.next())
        row.push_back(word.text);
      ++rows_;
      if (row.size() < columns.size())
        throw InputError(fmt::format("{}: row {} of _atom_site ends early; fetch the file again",
                                     path_.string(), rows_));
      if (model && rows_ == 1) first_model = row[*model];
      if (model && row[*model] != first_model) continue;
      Atom atom;
      for (int axis = 0; axis < 3; ++axis) atom.position[axis] = number(row[axes[axis]]);
      if (occupancy && row[*occupancy] != "?" && row[*occupancy] != ".")
        atom.occupancy = number(row[*occupancy]);
      collector_.add(gemmi::Element(std::string(row[symbol])),
                     residue ? std::string(row[*residue]) : std::string(), atom);
    }
  }

  double number(std::string_view text) const {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    // A standard uncertainty may follow in parentheses.
    if (error != std::errc() || (end != text.data() + text.size() && *end != '('))
      throw InputError(fmt::format("{}: row {} of _atom_site has \"{}\" where a number belongs",
                                   path_.string(), rows_, text));
    return value;
  }

  std::filesystem::path path_;
  CifWords words_;
  Collector collector_;
  int rows_ = 0;
};

Vector3 mean_position(const std::vector<Atom>& atoms) {
  Vector3 mean = {0, 0, 0};
  for (const Atom& atom : atoms)
    for (int axis = 0; axis < 3; ++axis)
      mean[axis] += atom.position[axis] / static_cast<double>(atoms.size());
  return mean;
}

double radius_about(const Vector3& centre, const std::vector<Atom>& atoms) {
  double radius = 0;
  for (const Atom& atom : atoms)
    radius = std::max(radius, std::hypot(atom.position[0] - centre[0], atom.position[1] - centre[1],
                                         atom.position[2] - centre[2]));
  return radius;
}

}  // namespace

AtomicModel read_atomic_model(const std::filesystem::path& path) {
  const std::string text = contents_of(path);
  // mmCIF starts with a data block, after comments at most.
  const auto first = CifWords(text).next();
  if (!first.end && !first.quoted && first.text.starts_with("data_"))
    return AtomSites(path, text).read();
  if (text.find("ATOM") == std::string::npos)
    throw InputError(path.string() +
                     ": is neither PDB (no ATOM records) nor mmCIF (no data block); give one of "
                     "the two, plain or packed by gzip");
  return read_pdb(path, text);
}

Volume density_of(const AtomicModel& model, const ModelDensityOptions& options,
                  const std::string& name) {
  require(options.resolution > 0, "density_of", "the resolution must be positive");
  Volume v;
  v.voxel_size = options.voxel_size > 0 ? options.voxel_size : options.resolution / 3;
  if (v.voxel_size > 0.5 * options.resolution)
    throw InputError(
        fmt::format("{}: voxels of {:.4g} A cannot show a resolution of {:.4g} A; ask for "
                    "--voxel-size {:.4g} or less, or a coarser --resolution",
                    name, v.voxel_size, options.resolution, 0.5 * options.resolution));
  // Beyond a resolution's length a blurred atom has fallen below 1e-4 of its height.
  const Vector3 centre = mean_position(model.atoms);
  const double needed = 2 * (radius_about(centre, model.atoms) + options.resolution);
  const int fitting = static_cast<int>(std::ceil(needed / v.voxel_size)) | 1;
  v.n = options.box > 0 ? options.box : fitting;
  if (v.n < fitting - 1)
    throw InputError(
        fmt::format("{}: the model needs a box of {:.0f} A, but {} voxels of {:.4g} A are {:.0f} "
                    "A; ask for --box {} or larger voxels",
                    name, needed, v.n, v.voxel_size, v.box(), fitting));
  if (v.n > 1024)
    throw InputError(
        fmt::format("{}: {} voxels an edge are too many; ask for larger voxels (--voxel-size) or a "
                    "coarser --resolution",
                    name, v.n));

  gemmi::DensityCalculator<Scattering, float> calculator;
  calculator.grid.spacegroup = &gemmi::get_spacegroup_p1();
  calculator.grid.unit_cell.set(v.box(), v.box(), v.box(), 90, 90, 90);
  calculator.grid.set_size(v.n, v.n, v.n);
  // Atoms are cut off where they fall below a few millionths of their height.
  const double blur = 4 * options.resolution * options.resolution;
  calculator.cutoff = static_cast<float>(1e-6 * std::pow(4 * gemmi::pi() / blur, 1.5));
  const double to_box = (v.n / 2) * v.voxel_size;
  for (int axis = 0; axis < 3; ++axis) v.origin[axis] = centre[axis] - to_box;
  gemmi::Atom blurred;
  blurred.b_iso = static_cast<float>(blur);
  for (const Atom& atom : model.atoms) {
    blurred.element = gemmi::Element(atom.element);
    blurred.occ = static_cast<float>(atom.occupancy);
    blurred.pos = gemmi::Position(atom.position[0] - v.origin[0], atom.position[1] - v.origin[1],
                                  atom.position[2] - v.origin[2]);
    calculator.add_atom_density_to_grid(blurred);
  }
  v.voxels = std::move(calculator.grid.data);
  return v;
}

}  // namespace orrery::io
