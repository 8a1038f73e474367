#include "apps/moments/results.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/estimated_view_moments.hpp"
#include "apps/program.hpp"
#include "io/files.hpp"
#include "orrery/version.hpp"

namespace orrery {

namespace {

/// Of the pairs of coefficients.
double unobserved_share(const ViewMoments& m) {
  const std::size_t pixels = m.first.size();
  std::int64_t unobserved = 0;
  for (std::size_t i = 0; i < pixels; ++i)
    for (std::size_t j = i; j < pixels; ++j)
      unobserved += std::isinf(m.second_error[i * pixels + j]);
  return double(unobserved) / (0.5 * double(pixels) * double(pixels + 1));
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
                              const Preparation& preparation, std::vector<ParticleMoments> halves,
                              double pixel_size, const RunFigures& figures) {
  const double shrink = double(preparation.n()) / double(preparation.size());
  ViewMoments m = view_moments_of(std::move(halves), preparation.noise());
  m.n = static_cast<int>(preparation.n());
  m.voxel_size = pixel_size / shrink;
  m.noise_variance = preparation.noise_variance();
  m.noise_spectrum = preparation.noise_spectrum();
  m.shift_deviation = options.shift_sigma * shrink;
  m.source = options.particles;
  const EstimateFigures estimate{.images = m.observations,
                                 .first_error = relative_standard_error(m.first, m.first_error),
                                 .second_error = relative_standard_error(m.second, m.second_error),
                                 .unobserved = unobserved_share(m)};

  const auto summary_file = summary_beside(options.output);
  std::error_code ignored;
  std::filesystem::remove(summary_file, ignored);
  write_view_moments(options.output, m);
  io::write_text(summary_file,
                 summary_of(options, table, preparation, m, estimate, figures).dump(2) + "\n");
  return estimate;
}

}  // namespace orrery
