#include "apps/moments/results.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/program.hpp"
#include "apps/view_moments_file.hpp"
#include "io/files.hpp"
#include "orrery/version.hpp"

namespace orrery {

namespace {

std::vector<float> as_floats(const std::vector<double>& numbers) {
  return {numbers.begin(), numbers.end()};
}

/// Relative standard error of a whole moment: root of the mean square errors' sum over its norm.
template <class T>
double relative_error(const std::vector<T>& moment, const std::vector<T>& error) {
  double squares = 0, errors = 0;
  for (std::size_t i = 0; i < moment.size(); ++i) {
    if (!std::isfinite(error[i])) continue;
    squares += double(moment[i]) * double(moment[i]);
    errors += double(error[i]) * double(error[i]);
  }
  return squares > 0 ? std::sqrt(errors / squares) : INFINITY;
}

nlohmann::ordered_json summary_of(const MomentsOptions& o, const io::ParticleTable& table,
                                  const Preparation& preparation, const ViewMoments& m,
                                  const EstimateFigures& estimate, const RunFigures& figures) {
  nlohmann::ordered_json s;
  s["particles_file"] = o.particles;
  s["images"] = estimate.images;
  s["images_left_out"] = figures.particles - estimate.images;
  s["n"] = m.n;
  s["voxel_size"] = m.voxel_size;
  s["first_moment_relative_error"] = estimate.first_error;
  s["second_moment_relative_error"] = estimate.second_error;
  s["unobserved_share"] = estimate.unobserved;
  s["noise_variance"] = m.noise_variance;
  s["noise_spectrum"] = m.noise_spectrum;
  s["mean_power"] = preparation.power();
  s["signal_to_noise_ratio"] = preparation.power() / m.noise_variance - 1;
  s["contrast_standard_errors"] = preparation.contrast();
  s["inverted"] = preparation.inverted();
  s["normalised"] = o.normalises();
  s["whitened"] = o.whitens();
  s["ctf_corrected"] = uses_ctf(o, table);
  s["shifts_applied"] = table.has_origins && o.shifts == "use";
  s["shift_deviation_voxels"] = m.shift_deviation;
  for (const auto& half : m.halves) s["images_of_halves"].push_back(half.observations);
  s["images_surveyed"] = preparation.surveyed();
  s["problems"] = figures.problems;
  s["seed"] = o.seed;
  s["seconds"] = figures.seconds;
  s["images_per_second"] = figures.images_per_second;
  s["peak_memory_bytes"] = peak_memory_bytes();
  s["device"] = figures.device;
  s["threads"] = figures.threads;
  s["processes"] = figures.processes;
  s["version"] = version;
  s["commit"] = commit;
  return s;
}

}  // namespace

EstimateFigures write_results(const MomentsOptions& options, const io::ParticleTable& table,
                              const Preparation& preparation, Estimation estimation,
                              double pixel_size, const RunFigures& figures) {
  const double shrink = double(preparation.n()) / double(preparation.size());
  ViewMoments m;
  m.n = static_cast<int>(preparation.n());
  m.voxel_size = pixel_size / shrink;
  m.noise_variance = preparation.noise_variance();
  m.noise_spectrum = preparation.noise_spectrum();
  m.shift_deviation = options.shift_sigma * shrink;
  m.source = options.particles;

  auto& halves = estimation.halves();
  if (halves.size() == 2) {
    for (const auto& half : halves) {
      auto& kept = m.halves.emplace_back();
      kept.observations = half.images();
      if (half.images() == 0) continue;
      auto part = half.estimate(preparation.noise(), false);
      kept.first = as_floats(part.first);
      kept.second = std::move(part.second);
    }
    if (halves[0].images() == 0 || halves[1].images() == 0) m.halves.clear();
    halves[0].add(halves[1]);
    halves.pop_back();
  }
  auto all = halves[0].estimate(preparation.noise());
  halves.clear();
  EstimateFigures estimate;
  estimate.images = all.images;
  estimate.first_error = relative_error(all.first, all.first_error);
  estimate.second_error = relative_error(all.second, all.second_error);
  const double pixels = double(all.first.size());
  estimate.unobserved = double(all.unobserved) / (pixels * (pixels + 1) / 2);
  m.observations = all.images;
  m.first = as_floats(all.first);
  m.first_error = as_floats(all.first_error);
  m.second = std::move(all.second);
  m.second_error = std::move(all.second_error);
  std::error_code ignored;
  std::filesystem::remove(options.summary_file(), ignored);  // it speaks of other moments
  write_view_moments(options.output, m);
  io::write_text(options.summary_file(),
                 summary_of(options, table, preparation, m, estimate, figures).dump(2) + "\n");
  return estimate;
}

}  // namespace orrery
