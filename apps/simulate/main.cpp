#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/console.hpp"
#include "apps/interruption.hpp"
#include "apps/precision.hpp"
#include "apps/program.hpp"
#include "apps/simulate/append.hpp"
#include "apps/simulate/memory.hpp"
#include "apps/simulate/simulation.hpp"
#include "apps/simulate/truth.hpp"
#include "io/files.hpp"
#include "io/mrc.hpp"
#include "io/particles.hpp"
#include "kernels/check.hpp"
#include "orrery/version.hpp"

namespace orrery {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point began) {
  return std::chrono::duration<double>(Clock::now() - began).count();
}

nlohmann::ordered_json views_of(const SimulateOptions& options, const ViewDensity& density) {
  if (!options.views.empty()) return options.views;
  nlohmann::ordered_json components;
  for (const auto& component : density.components)
    components.push_back({{"mean", component.mean},
                          {"concentration", component.concentration},
                          {"weight", component.weight}});
  return {{"components", components}, {"in_plane_concentration", density.in_plane_concentration}};
}

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
                     ": its projections have no power that noise could be measured by; see "
                     "that it is not flat, and that --voxel-size and the CTF's options are "
                     "meant so");
  const double sigma = options.snr > 0 ? std::sqrt(power / options.snr) : options.noise_sigma;
  constexpr double least = 1e-12, most = 1e12;
  if (sigma != 0 && !(sigma >= least && sigma <= most))
    throw InputError(fmt::format(
        "{}: a pixel's noise would have the standard deviation {:.3g}; give noise between {:g} and "
        "{:g}, or --noise-sigma 0 for none",
        options.snr > 0 ? "--snr" : "--noise-sigma", sigma, least, most));
  return sigma;
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
  if (options.box == 0) require_memory(ctx, options, truth.volume.n);
  for (const auto& note : truth.notes) console.warn(truth.what + ": " + note);
  SimulationOutput output(options, truth.volume.n);
  std::optional<EarlierImages> earlier;
  if (options.append) {
    earlier = read_earlier_images(output.main(), output.summary());
    options.images_before = std::ssize(earlier->table.particles);
  }
  const ImageMaker maker(ctx, options, truth.volume);
  const double power = maker.signal_power();
  const double sigma = noise_sigma(options, truth.what, power);
  const double snr = sigma > 0 ? power / (sigma * sigma) : 0;
  console.say(fmt::format("{}: {} images of {} x {} pixels of {:.4g} A on {}", truth.what,
                          options.images, truth.volume.n, truth.volume.n, truth.volume.voxel_size,
                          ctx.description()));
  console.say(sigma > 0 ? fmt::format("{} noise, sigma {:.4g} a pixel: SNR {:.3g}", options.noise,
                                      sigma, snr)
                        : std::string("no noise"));

  const auto began = Clock::now();
  const Interruption interruption;
  const auto done = [&](std::int64_t images) {
    console.live(images == options.images,
                 [&] { return progress_text(images, options.images, seconds_since(began)); });
    return !interruption;
  };
  nlohmann::ordered_json summary = {{"program", "simulate"},
                                    {"version", version},
                                    {"truth", truth.what},
                                    {"box", truth.volume.n},
                                    {"voxel_size", truth.volume.voxel_size},
                                    {"images", options.images_before + options.images},
                                    {"seed", options.seed},
                                    {"noise", options.noise},
                                    {"noise_sigma", sigma},
                                    {"snr", snr},
                                    {"signal_power", power},
                                    {"views", views_of(options, maker.circumstances().density())}};
  if (earlier) {
    require_alike(*earlier, options, truth.volume, output.truth(), summary);
    summary["appended_to"] = earlier->summary;
  }
  std::string result;
  double seconds = 0;
  // The main file is the last to be written: where it is, all is. Of a data set that grows it is
  // the first: up to then the data set is as it was.
  const auto finish = [&](const auto& write_main) {
    seconds = seconds_since(began);
    if (earlier) {
      write_main();
      output.keep();
    } else {
      io::write_map(output.truth(), truth.volume, {"what was seen, exactly as used"});
    }
    summary["seconds"] = seconds;
    summary["images_per_second"] = static_cast<double>(options.images) / seconds;
    summary["device"] = ctx.description();
    summary["peak_memory_bytes"] = peak_memory_bytes();
    summary["options"] = options.config_text;
    io::write_text(output.summary(), summary.dump(2) + "\n");
    if (earlier) return;
    write_main();
    output.keep();
  };
  if (options.moments_only) {
    auto simulated = simulate_moments(ctx, options, maker, truth.volume, sigma, done);
    console.end_live();
    if (!simulated) {
      console.warn("interrupted; nothing was written");
      return 130;
    }
    if (const auto& e = simulated->errors) {
      summary["moment_errors"] = {{"first", e->first},
                                  {"second", e->second},
                                  {"expected_first", e->expected_first},
                                  {"expected_second", e->expected_second}};
      result = fmt::format(
          "against the exact moments: first {:.5f} (expected {:.5f}), second {:.5f} (expected "
          "{:.5f})\n",
          e->first, e->expected_first, e->second, e->expected_second);
    }
    simulated->moments.source = fmt::format("simulate, {}, {} images, sigma {:.6g}, seed {}",
                                            truth.what, options.images, sigma, options.seed);
    output.begin();
    finish([&] { write_view_moments(output.main(), simulated->moments); });
  } else {
    if (earlier)
      output.begin_after(earlier->table.stacks);
    else
      output.begin();
    auto table = simulate_images(ctx, options, maker, sigma, truth.volume.voxel_size, output, done);
    console.end_live();
    if (!table) {
      console.warn("interrupted; the stacks written so far are removed");
      return 130;
    }
    if (earlier) table = joined(std::move(earlier->table), *table);
    finish([&] { io::write_particles(output.main(), *table); });
  }
  console.say(
      fmt::format("{}{} written in {}", result, output.main().string(), duration_text(seconds)));
  return 0;
}

}  // namespace
}  // namespace orrery

int main(int argc, char** argv) {
  return orrery::run_program("simulate", "lower --box", [&] { return orrery::run(argc, argv); });
}
