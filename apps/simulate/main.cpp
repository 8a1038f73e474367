#include <fmt/format.h>

#include <cmath>

#include "apps/console.hpp"
#include "apps/interruption.hpp"
#include "apps/precision.hpp"
#include "apps/program.hpp"
#include "apps/simulate/append.hpp"
#include "apps/simulate/memory.hpp"
#include "apps/simulate/simulation.hpp"
#include "apps/simulate/summary.hpp"
#include "apps/simulate/truth.hpp"
#include "apps/stopwatch.hpp"
#include "io/files.hpp"
#include "io/mrc.hpp"
#include "io/particles.hpp"
#include "kernels/check.hpp"

namespace orrery {
namespace {

constexpr int interrupted = 130;

std::string progress_text(std::int64_t done, std::int64_t images, double seconds) {
  const double rate = static_cast<double>(done) / seconds;
  return fmt::format("{} of {} images, {:.0f} a second, {} left", done, images, rate,
                     duration_text(static_cast<double>(images - done) / rate));
}

/// Of the noise a pixel, once the signal is known. Throws InputError unless both are such that
/// images and their second moments are finite.
double noise_sigma(const SimulateOptions& options, const std::string& what, double power) {
  if (!(std::isfinite(power) && power > 0))
    throw InputError(what +
                     ": its projections have no power that noise could be measured by; see that it "
                     "is not flat, and that --voxel-size and the CTF's options are meant so");
  const double sigma = options.snr > 0 ? std::sqrt(power / options.snr) : options.noise_sigma;
  constexpr double least = 1e-12, most = 1e12;
  if (sigma != 0 && !(sigma >= least && sigma <= most))
    throw InputError(fmt::format(
        "{}: a pixel's noise would have the standard deviation {:.3g}; give noise between {:g} and "
        "{:g}, or --noise-sigma 0 for none",
        options.snr > 0 ? "--snr" : "--noise-sigma", sigma, least, most));
  return sigma;
}

/// What is seen, through what, and where it goes.
struct Scene {
  const Context& ctx;
  const SimulateOptions& options;
  Console& console;
  SimulationOutput& output;
  const SimulatedTruth& truth;
  const ImageMaker& maker;
  double sigma;  // of the noise a pixel
  nlohmann::ordered_json summary;
  Stopwatch stopwatch = {};
  Interruption interruption = {};

  /// After each batch, with the images done; false where the work is to end.
  bool go_on(std::int64_t images) {
    console.live(images == options.images,
                 [&] { return progress_text(images, options.images, stopwatch.seconds()); });
    return !interruption;
  }
  void write_truth() const {
    io::write_map(output.truth(), truth.volume, {"what was seen, exactly as used"});
  }
  void write_summary(double seconds) {
    add_work(summary, ctx, options, seconds);
    io::write_text(output.summary(), summary.dump(2) + "\n");
  }
  int done(double seconds) {
    console.say(fmt::format("{} written in {}", output.main().string(), duration_text(seconds)));
    return 0;
  }
};

int form_moments(Scene& scene) {
  const auto& options = scene.options;
  auto simulated =
      simulate_moments(scene.ctx, options, scene.maker, scene.truth.volume, scene.sigma,
                       [&](std::int64_t images) { return scene.go_on(images); });
  scene.console.end_live();
  if (!simulated) {
    scene.console.warn("interrupted; nothing was written");
    return interrupted;
  }
  const double seconds = scene.stopwatch.seconds();
  simulated->moments.source =
      fmt::format("simulate, {}, {} images, sigma {:.6g}, seed {}", scene.truth.what,
                  options.images, scene.sigma, options.seed);
  if (const auto& e = simulated->errors) {
    scene.summary["moment_errors"] = {{"first", e->first},
                                      {"second", e->second},
                                      {"expected_first", e->expected_first},
                                      {"expected_second", e->expected_second}};
    scene.console.say(fmt::format(
        "against the exact moments: first {:.5f} (expected {:.5f}), second {:.5f} (expected "
        "{:.5f})",
        e->first, e->expected_first, e->second, e->expected_second));
  }
  // Where the main file is, all is.
  scene.output.begin();
  scene.write_truth();
  scene.write_summary(seconds);
  write_view_moments(scene.output.main(), simulated->moments);
  scene.output.keep();
  return scene.done(seconds);
}

/// Writes the stacks, and gives the table that speaks of them; nothing when it was interrupted.
std::optional<io::ParticleTable> make_images(Scene& scene) {
  auto table = simulate_images(scene.ctx, scene.options, scene.maker, scene.sigma,
                               scene.truth.volume.voxel_size, scene.output,
                               [&](std::int64_t images) { return scene.go_on(images); });
  scene.console.end_live();
  if (!table) scene.console.warn("interrupted; the stacks written so far are removed");
  return table;
}

int write_images(Scene& scene) {
  scene.output.begin();
  const auto table = make_images(scene);
  if (!table) return interrupted;
  const double seconds = scene.stopwatch.seconds();
  // Where the main file is, all is.
  scene.write_truth();
  scene.write_summary(seconds);
  io::write_particles(scene.output.main(), *table);
  scene.output.keep();
  return scene.done(seconds);
}

int append_images(Scene& scene, EarlierImages earlier) {
  require_alike(earlier, scene.options, scene.truth.volume, scene.output.truth(), scene.summary);
  scene.summary["appended_to"] = std::move(earlier.summary);
  scene.output.begin_after(earlier.table.stacks);
  const auto table = make_images(scene);
  if (!table) return interrupted;
  const double seconds = scene.stopwatch.seconds();
  // Up to its main file's replacement the data set is as it was.
  io::write_particles(scene.output.main(), joined(std::move(earlier.table), *table));
  scene.output.keep();
  scene.write_summary(seconds);
  return scene.done(seconds);
}

int run(int argc, char** argv) {
  SimulateOptions options;
  if (const auto code = parse_options({argv + 1, argv + argc}, options)) return *code;
  const Context ctx = Context::named(options.device, options.threads)
                          .with_precision(precision_named(options.precision));
  Console console("simulate", options.quiet);

  // What is seen, and through what.
  if (options.box > 0) require_memory(ctx, options, options.box);
  const SimulatedTruth truth = read_truth(ctx, options);
  const Volume& volume = truth.volume;
  if (options.box == 0) require_memory(ctx, options, volume.n);
  for (const auto& note : truth.notes) console.warn(truth.what + ": " + note);
  SimulationOutput output(options, volume.n);
  std::optional<EarlierImages> earlier;
  if (options.append) {
    earlier = read_earlier_images(output.main(), output.summary());
    options.images_before = std::ssize(earlier->table.particles);
  }
  const ImageMaker maker(ctx, options, volume);
  const double power = maker.signal_power(), sigma = noise_sigma(options, truth.what, power);
  const auto summary = summary_of(options, truth, maker, power, sigma);
  console.say(fmt::format("{}: {} images of {} x {} pixels of {:.4g} A on {}", truth.what,
                          options.images, volume.n, volume.n, volume.voxel_size,
                          ctx.description()));
  console.say(sigma > 0 ? fmt::format("{} noise, sigma {:.4g} a pixel: SNR {:.3g}", options.noise,
                                      sigma, summary.at("snr").get<double>())
                        : std::string("no noise"));

  Scene scene{ctx, options, console, output, truth, maker, sigma, summary};
  if (options.moments_only) return form_moments(scene);
  return earlier ? append_images(scene, *std::move(earlier)) : write_images(scene);
}

}  // namespace
}  // namespace orrery

int main(int argc, char** argv) {
  return orrery::run_program("simulate", "lower --box", [&] { return orrery::run(argc, argv); });
}
