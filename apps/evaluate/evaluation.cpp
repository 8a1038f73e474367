#include "apps/evaluate/evaluation.hpp"

#include <fmt/format.h>

#include <cmath>

#include "apps/output_folder.hpp"
#include "io/files.hpp"
#include "io/fsc.hpp"
#include "io/mrc.hpp"
#include "kernels/check.hpp"
#include "orrery/version.hpp"

namespace orrery {

namespace {

constexpr int largest_box_to_align = 101;

io::MapRead read(const std::string& path, const EvaluateOptions& options) {
  io::MapReadOptions how;
  if (options.voxel_size > 0) how.voxel_size = options.voxel_size;
  return io::read_map(path, how);
}

int box_of(const EvaluateOptions& options, const Volume& reference) {
  const int most = odd_below(reference.n);
  if (options.box > most)
    throw InputError(fmt::format("--box {}: {} has only {} voxels an edge; give at most {}",
                                 options.box, options.reference, reference.n, most));
  if (options.box > 0) return options.box;
  return options.align ? std::min(most, largest_box_to_align) : most;
}

std::string hand(const Evaluation& e) { return e.alignment.mirror ? "mirror" : "same"; }

/// -0 is confusing in a table.
double tidy(double x) { return std::abs(x) < 5e-7 ? 0 : x; }

/// Where B's axis hardly tilts, rot and psi turn about the same axis and only their sum means
/// anything: rot is then 0.
EulerAngles angles_of(const Rotation& r) {
  constexpr double hardly = 1e-3;  // degrees
  const auto angles = to_euler(r);
  if (angles.tilt < hardly) return {0, angles.tilt, std::remainder(angles.rot + angles.psi, 360)};
  if (angles.tilt > 180 - hardly)
    return {0, angles.tilt, std::remainder(angles.psi - angles.rot, 360)};
  return angles;
}

std::string resolution_text(const Resolution& r) {
  return fmt::format("{:.2f} A (shell {:.2f}){}", r.angstrom, r.shell,
                     r.reached ? "" : ", or better: the curve stays above");
}

}  // namespace

MapPair read_pair(const Context& ctx, const EvaluateOptions& options) {
  auto a = read(options.reference, options), b = read(options.map, options);
  MapPair pair;
  for (const auto* one : {&a, &b})
    for (const auto& note : one->notes)
      pair.notes.push_back((one == &a ? options.reference : options.map) + ": " + note);

  const double box_a = a.volume.box(), box_b = b.volume.box();
  if (std::abs(box_b / box_a - 1) > 0.01)
    throw InputError(
        fmt::format("{}: its box of {:.4g} angstrom is not the {:.4g} angstrom of {}; crop or pad "
                    "one of the maps to the other's box, or give --voxel-size where a header is "
                    "wrong",
                    options.map, box_b, box_a, options.reference));
  if (std::abs(box_b / box_a - 1) > 1e-4)
    pair.notes.push_back(fmt::format("{}: its box of {:.5g} angstrom is taken as the {:.5g} of {}",
                                     options.map, box_b, box_a, options.reference));
  const int n = box_of(options, a.volume);
  if (n < 5)
    throw InputError(
        fmt::format("{}: a map of {} voxels an edge is too small to compare; it needs 5",
                    options.reference, a.volume.n));
  for (const auto* one : {&a, &b})
    if (one->volume.n != n)
      pair.notes.push_back(fmt::format("{}: resampled from {} to {} voxels in Fourier space",
                                       one == &a ? options.reference : options.map, one->volume.n,
                                       n));
  if (options.box == 0 && n < odd_below(a.volume.n))
    pair.notes.push_back(fmt::format(
        "compared at {} voxels of {:.4g} angstrom, to be quick; --box {} keeps them all", n,
        box_a / n, odd_below(a.volume.n)));

  pair.reference = fourier_crop(ctx, a.volume, n);
  pair.map = fourier_crop(ctx, b.volume, n);
  // Within the tolerance the boxes are the same box.
  pair.map.voxel_size = pair.reference.voxel_size;
  pair.map.origin = pair.reference.origin;
  return pair;
}

Evaluation evaluate(const Context& ctx, const Volume& reference, const Volume& map, bool align_maps,
                    double mask_radius_angstrom) {
  Evaluation e;
  const double ball = (reference.n - 1) / 2;
  if (align_maps) {
    e.alignment = align(ctx, reference, map);
    e.aligned = rotated(ctx, map, e.alignment.rotation, e.alignment.shift, e.alignment.mirror);
  } else {
    e.aligned = band_limited(ctx, map, ball);
  }
  Volume a = band_limited(ctx, reference, ball), b = e.aligned;
  if (mask_radius_angstrom > 0) {
    const double radius = mask_radius_angstrom / reference.voxel_size;
    a = masked(a, radius);
    b = masked(b, radius);
  }
  e.alignment.correlation = correlation(a, b);
  e.fsc = fourier_shell_correlation(ctx, a, b);
  e.half = resolution_at(e.fsc, 0.5, reference.box());
  e.seventh = resolution_at(e.fsc, 0.143, reference.box());
  e.relative_error = relative_error(a, b);
  e.scale = e.alignment.correlation * frobenius_norm(a) / frobenius_norm(b);
  e.scaled_relative_error = std::sqrt(std::max(0.0, 1 - std::pow(e.alignment.correlation, 2)));
  return e;
}

nlohmann::ordered_json to_json(const Evaluation& e) {
  const auto& r = e.alignment.rotation;
  const auto& s = e.alignment.shift;
  const auto euler = angles_of(r);
  const double voxel = e.aligned.voxel_size;
  nlohmann::ordered_json json;
  json["hand"] = hand(e);
  json["rotation_euler_degrees"] = {euler.rot, euler.tilt, euler.psi};
  json["rotation_matrix"] = {
      {r(0, 0), r(0, 1), r(0, 2)}, {r(1, 0), r(1, 1), r(1, 2)}, {r(2, 0), r(2, 1), r(2, 2)}};
  json["shift_voxels"] = s;
  json["shift_angstrom"] = {s[0] * voxel, s[1] * voxel, s[2] * voxel};
  json["fsc"] = e.fsc;
  json["resolution_0_5_angstrom"] = e.half.angstrom;
  json["resolution_0_5_reached"] = e.half.reached;
  json["resolution_0_143_angstrom"] = e.seventh.angstrom;
  json["resolution_0_143_reached"] = e.seventh.reached;
  json["relative_error"] = e.relative_error;
  json["scale"] = e.scale;
  json["scaled_relative_error"] = e.scaled_relative_error;
  json["correlation"] = e.alignment.correlation;
  json["n"] = e.aligned.n;
  json["voxel_size"] = voxel;
  json["version"] = version;
  return json;
}

std::string to_table(const Evaluation& e) {
  const auto& r = e.alignment.rotation;
  const auto& s = e.alignment.shift;
  const auto euler = angles_of(r);
  const double voxel = e.aligned.voxel_size;
  std::string text;
  const auto line = [&](const char* name, const std::string& value) {
    text += fmt::format("{:<20}{}\n", name, value);
  };
  line("grid", fmt::format("{} voxels of {:.4g} A", e.aligned.n, voxel));
  line("hand", hand(e));
  line("rotation", fmt::format("rot {:.3f}, tilt {:.3f}, psi {:.3f} degrees", tidy(euler.rot),
                               tidy(euler.tilt), tidy(euler.psi)));
  for (int row = 0; row < 3; ++row)
    line(row == 0 ? "rotation matrix" : "",
         fmt::format("{:9.6f} {:9.6f} {:9.6f}", tidy(r(row, 0)), tidy(r(row, 1)), tidy(r(row, 2))));
  line("shift", fmt::format("{:.3f}, {:.3f}, {:.3f} voxels ({:.3f}, {:.3f}, {:.3f} A)", tidy(s[0]),
                            tidy(s[1]), tidy(s[2]), tidy(s[0] * voxel), tidy(s[1] * voxel),
                            tidy(s[2] * voxel)));
  line("correlation", fmt::format("{:.6f}", e.alignment.correlation));
  line("relative error", fmt::format("{:.6f}; {:.6f} with B scaled by {:.6g}", e.relative_error,
                                     e.scaled_relative_error, e.scale));
  line("resolution, 0.5", resolution_text(e.half));
  line("resolution, 0.143", resolution_text(e.seventh));
  text += "\nshell  resolution (A)       FSC\n";
  for (std::size_t shell = 0; shell < e.fsc.size(); ++shell)
    text += fmt::format(
        "{:>5}  {:>14}  {:8.4f}\n", shell,
        shell == 0 ? "-" : fmt::format("{:.2f}", e.aligned.box() / static_cast<double>(shell)),
        tidy(e.fsc[shell]));
  return text;
}

void prepare_folder(const EvaluateOptions& options) {
  OutputFolder({.path = options.output,
                .overwrite = options.overwrite,
                .results = {"aligned.mrc", "fsc.star", "fsc.csv", "summary.json"}},
               "")
      .begin();
}

void write_results(const std::filesystem::path& folder, const Evaluation& e) {
  io::write_map(folder / "aligned.mrc", e.aligned,
                {std::string("Orrery ") + version + " evaluate", "B aligned to A"});
  io::write_fsc(folder, e.fsc, e.aligned.box());
  io::write_text(folder / "summary.json", to_json(e).dump(2) + "\n");
}

}  // namespace orrery
