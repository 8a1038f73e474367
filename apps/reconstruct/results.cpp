#include "apps/reconstruct/results.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <numbers>

#include "apps/program.hpp"
#include "io/files.hpp"
#include "io/fsc.hpp"
#include "io/isosurface.hpp"
#include "io/mrc.hpp"
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
                 const Findings& findings) {
  const Alignment alignment = findings.alignment();
  Quadrature turned = problem.quadrature;
  turned.views = views_of_aligned(problem.quadrature.views, alignment);
  for (Vector3& direction : turned.design.points) direction = alignment.rotation * direction;
  io::Table table;
  table.columns = {"rot", "tilt", "psi", "weight"};
  for (std::size_t j = 0; j < turned.views.size(); ++j) {
    const EulerAngles angles = to_euler(turned.views[j]);
    table.rows.push_back({angles.rot, angles.tilt, angles.psi, findings.outcome.view_weights[j]});
  }
  if (problem.reference && !problem.reference->view_weights.empty()) {
    table.columns.push_back("weight_true");
    const auto true_weights = true_view_weights(options, turned);
    for (std::size_t j = 0; j < table.rows.size(); ++j) table.rows[j].push_back(true_weights[j]);
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

using Json = nlohmann::ordered_json;

Json summary_of_moments(const Options& options, const Problem& problem, const Findings& findings) {
  const MomentErrors& errors = findings.outcome.errors;
  Json json;
  json["first_moment_error"] = errors.first;
  json["second_moment_error"] = errors.second;
  if (findings.noise) {
    json["first_moment_noise"] = findings.noise->first;
    json["second_moment_noise"] = findings.noise->second;
    json["reached_noise"] = findings.noise->reached_by(errors);
  }
  if (problem.moments.observations > 0) json["observations"] = problem.moments.observations;
  if (options.target_rank > 0) {
    const double remainder = relative_remainder(problem.target);
    json["target_rank"] = options.target_rank;
    json["target_remainder"] = remainder;
    json["second_moment_error_within"] = problem.exact ? 0 : std::numbers::sqrt2 * remainder;
  }
  if (problem.quadrature_error) json["quadrature_error"] = *problem.quadrature_error;
  return json;
}

Json summary_of_score(const Score& score, const Reference& reference) {
  Json json;
  json["volume_error"] = score.relative_error;
  if (!reference.same_scale) json["volume_scale"] = score.scale;
  json["resolution_angstrom"] = score.resolution.angstrom;
  json["resolution_shell"] = score.resolution.shell;
  json["hand"] = score.alignment.mirror ? "mirror" : "same";
  json["neural_truth_error"] = reference.neural_truth_error;
  return json;
}

Json summary_of_halves(const HalfMaps& halves) {
  Json json;
  json["half_maps_agree_to_angstrom"] = halves.resolution.angstrom;
  json["half_maps_agree_to_shell"] = halves.resolution.shell;
  json["half_maps_agree_throughout"] = !halves.resolution.reached;
  return json;
}

Json summary_of_collapse(const CollapseFigures& figures) {
  Json json;
  json["radial_share"] = figures.radial_share;
  json["hollowness"] = figures.hollowness;
  json["negative_share"] = figures.negative_share;
  json["effective_directions"] = figures.effective_directions;
  return json;
}

Json summary_of_run(const Context& ctx, const Options& options, const Problem& problem,
                    const RunFacts& facts) {
  Json json;
  json["steps"] = facts.steps;
  json["seconds"] = facts.seconds;
  json["seconds_per_step"] = facts.seconds_per_step;
  json["decoder_points_per_step"] = facts.decoder_points;
  json["parameters"] = facts.parameter_count;
  json["peak_memory_bytes"] = peak_memory_bytes();
  json["device"] = facts.device;
  json["threads"] = ctx.threads();
  json["processes"] = facts.processes;
  json["seed"] = options.seed;
  json["preset"] = options.preset;
  if (!options.particles.empty()) json["particles"] = options.particles;
  if (!options.moments.empty()) json["moments"] = options.moments;
  if (problem.reference) json["volume"] = options.volume.empty() ? "phantom" : options.volume;
  json["n"] = problem.moments.n;
  json["voxel_size"] = problem.moments.voxel_size;
  json["quadrature_points"] = problem.quadrature.view_count();
  json["restarts"] = options.restarts;
  json["version"] = version;
  json["commit"] = commit;
  return json;
}

void write_half_maps(const std::filesystem::path& folder, const HalfMaps& halves,
                     const std::string& made_by) {
  for (const auto& [name, volume] :
       {std::pair{"half1.mrc", &halves.first}, {"half2.mrc", &halves.second}})
    io::write_map(folder / name, *volume, {made_by, "from a random half of the images"});
  io::write_fsc(folder, halves.fsc, halves.first.box(), "half_fsc");
}

}  // namespace

Score score_against(const Context& ctx, const Reference& reference, const Volume& volume) {
  const Volume& truth = reference.volume;
  Score score;
  score.alignment = align(ctx, truth, volume);
  const auto& a = score.alignment;
  score.aligned = located(rotated(ctx, volume, a.rotation, a.shift, a.mirror), truth);
  score.fsc = fourier_shell_correlation(ctx, truth, score.aligned);
  score.resolution = resolution_at(score.fsc, 0.5, truth.box());
  if (!reference.same_scale)
    score.scale =
        correlation(truth, score.aligned) * frobenius_norm(truth) / frobenius_norm(score.aligned);
  Volume scaled = score.aligned;
  for (float& x : scaled.voxels) x = static_cast<float>(x * score.scale);
  score.relative_error = relative_error(truth, scaled);
  return score;
}

void write_results(const Context& ctx, const std::filesystem::path& folder, const Options& options,
                   const Problem& problem, const Findings& findings) {
  const std::string made_by = std::string("Orrery ") + version + " reconstruct";
  const std::string frame = findings.score ? "aligned to truth.mrc" : "as it was found";
  io::write_map(folder / "volume.mrc", findings.volume(), {made_by, frame});
  io::write_map(folder / "volume_mirror.mrc", mirrored(findings.volume()),
                {made_by, "the other hand of volume.mrc"});
  write_views(folder / "views.csv", options, problem, findings);
  write_loss(folder / "loss.csv", findings.history);

  Json summary = summary_of_moments(options, problem, findings);
  std::vector<Volume> pictured = {findings.volume()};
  if (findings.score) {
    const Reference& reference = problem.reference.value();
    pictured.insert(pictured.begin(), reference.volume);
    io::write_fsc(folder, findings.score->fsc, reference.volume.box());
    summary.update(summary_of_score(*findings.score, reference));
  }
  if (findings.halves) {
    write_half_maps(folder, *findings.halves, made_by);
    summary.update(summary_of_halves(*findings.halves));
  }
  io::write_png(folder / "picture.png", io::render_isosurfaces(pictured, 3.0, 360));
  summary.update(summary_of_collapse(findings.collapse));
  summary.update(summary_of_run(ctx, options, problem, findings.facts));
  io::write_text(folder / "summary.json", summary.dump(2) + "\n");
}

std::string in_words(const Findings& findings) {
  const MomentErrors& errors = findings.outcome.errors;
  std::string text =
      fmt::format("first moment {:.5f}, second moment {:.5f}", errors.first, errors.second);
  if (const auto& noise = findings.noise)
    text += fmt::format("; noise alone {:.5f} and {:.5f}, {}", noise->first, noise->second,
                        noise->reached_by(errors) ? "reached" : "not reached");
  if (const auto& score = findings.score)
    text += fmt::format("; volume error {:.3f}, resolution {:.2f} A (FSC 0.5), hand {}",
                        score->relative_error, score->resolution.angstrom,
                        score->alignment.mirror ? "mirror" : "same");
  if (const auto& halves = findings.halves)
    text += fmt::format(
        "\nthe halves' maps agree with one another to {:.2f} A (FSC 0.143), which is not their "
        "accuracy: both were fitted with the same priors",
        halves->resolution.angstrom);
  return text;
}

}  // namespace orrery
