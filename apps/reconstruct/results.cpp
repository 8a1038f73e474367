#include "apps/reconstruct/results.hpp"

#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "apps/program.hpp"
#include "apps/view_moments_file.hpp"
#include "io/files.hpp"
#include "io/fsc.hpp"
#include "io/mrc.hpp"
#include "io/picture.hpp"
#include "io/tables.hpp"
#include "orrery/version.hpp"

namespace orrery {

namespace {

/// The volume placed over the truth in the map's own coordinates.
Volume located(Volume volume, const Volume& truth) {
  volume.origin = truth.origin;
  volume.voxel_size = truth.voxel_size;
  return volume;
}

/// The views in the frame of the aligned volume. If moved = A.v then the slice of v at R is the
/// slice of `moved` at R A^T; for the other hand, -I.v at R equals v at Rz(pi) R.
std::vector<Rotation> views_of_aligned(const std::vector<Rotation>& views,
                                       const Alignment& alignment) {
  const Rotation back = transposed(alignment.rotation);
  const Rotation half_turn = rotation_about_z(std::numbers::pi);
  std::vector<Rotation> turned;
  for (const auto& view : views)
    turned.push_back(alignment.mirror ? half_turn * view * back : view * back);
  return turned;
}

void write_views(const std::filesystem::path& path, const Options& options, const Problem& problem,
                 const Reconstruction::Outcome& outcome, const Score& score) {
  Quadrature turned = problem.quadrature;
  turned.views = views_of_aligned(problem.quadrature.views, score.alignment);
  for (Vector3& direction : turned.design.points) direction = score.alignment.rotation * direction;
  const auto true_weights = true_view_weights(options, turned);
  io::Table table;
  table.columns = {"rot", "tilt", "psi", "weight", "weight_true"};
  for (std::size_t j = 0; j < turned.views.size(); ++j) {
    const EulerAngles angles = to_euler(turned.views[j]);
    table.rows.push_back(
        {angles.rot, angles.tilt, angles.psi, outcome.view_weights[j], true_weights[j]});
  }
  io::write_csv(path, table);
}

void write_loss(const std::filesystem::path& path, const std::vector<ProgressLine>& history) {
  io::Table table;
  table.columns = {
      "restart", "finishing", "step",         "first_moment_error", "second_moment_error",
      "penalty", "loss",      "learning_rate"};
  for (const auto& line : history)
    table.rows.push_back({double(line.restart), double(line.finishing), double(line.step),
                          line.value.errors.first, line.value.errors.second, line.value.penalty,
                          line.value.total, line.learning_rate});
  io::write_csv(path, table);
}

}  // namespace

Score score_against(const Context& ctx, const Volume& truth, const Volume& volume) {
  Score score;
  score.alignment = align(ctx, truth, volume);
  const auto& a = score.alignment;
  score.aligned = located(rotated(ctx, volume, a.rotation, a.shift, a.mirror), truth);
  score.fsc = fourier_shell_correlation(ctx, truth, score.aligned);
  score.resolution = resolution_at(score.fsc, 0.5, truth.box());
  score.relative_error = relative_error(truth, score.aligned);
  return score;
}

void write_moments(const Context& ctx, const std::filesystem::path& path, const Problem& problem) {
  const auto first = download(ctx, problem.target.first);
  const auto second = download(ctx, problem.target.second);
  ViewMoments moments;  // exact: no images were drawn
  moments.n = problem.truth.n;
  moments.voxel_size = problem.truth.voxel_size;
  moments.first.assign(first.view().begin(), first.view().end());
  moments.second.assign(second.view().begin(), second.view().end());
  write_view_moments(path, moments);
}

void write_results(const Context& ctx, const std::filesystem::path& folder, const Options& options,
                   const Problem& problem, const Reconstruction::Outcome& outcome,
                   const Score& score, const std::vector<ProgressLine>& history,
                   const RunFacts& facts) {
  const Volume& truth = problem.truth;
  const std::string made_by = std::string("Orrery ") + version + " reconstruct";
  io::write_map(folder / "volume.mrc", score.aligned, {made_by, "aligned to truth.mrc"});
  io::write_map(folder / "volume_mirror.mrc", located(mirrored(score.aligned), truth),
                {made_by, "the other hand of volume.mrc"});
  io::write_fsc(folder, score.fsc, truth.box());
  write_views(folder / "views.csv", options, problem, outcome, score);
  write_loss(folder / "loss.csv", history);
  io::write_png(folder / "picture.png", io::render_isosurfaces({truth, score.aligned}, 3.0, 360));

  nlohmann::ordered_json summary;
  summary["first_moment_error"] = outcome.errors.first;
  summary["second_moment_error"] = outcome.errors.second;
  summary["volume_error"] = score.relative_error;
  summary["resolution_angstrom"] = score.resolution.angstrom;
  summary["resolution_shell"] = score.resolution.shell;
  summary["hand"] = score.alignment.mirror ? "mirror" : "same";
  summary["neural_truth_error"] = problem.neural_truth_error;
  summary["quadrature_error"] = problem.quadrature_error;
  summary["steps"] = facts.steps;
  summary["seconds"] = facts.seconds;
  summary["seconds_per_step"] = facts.seconds_per_step;
  summary["decoder_points_per_step"] = facts.decoder_points;
  summary["parameters"] = facts.parameter_count;
  summary["peak_memory_bytes"] = peak_memory_bytes();
  summary["device"] = facts.device;
  summary["threads"] = ctx.threads();
  summary["seed"] = options.seed;
  summary["preset"] = options.preset;
  summary["volume"] = options.volume.empty() ? "phantom" : options.volume;
  summary["n"] = truth.n;
  summary["voxel_size"] = truth.voxel_size;
  summary["quadrature_points"] = problem.quadrature.view_count();
  summary["restarts"] = options.restarts;
  summary["version"] = version;
  summary["commit"] = commit;
  io::write_text(folder / "summary.json", summary.dump(2) + "\n");
}

}  // namespace orrery
