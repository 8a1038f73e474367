#include "apps/simulate/options.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "apps/command_line.hpp"
#include "kernels/check.hpp"

namespace orrery {

namespace {

/// An MRC header counts them in 32 bits.
constexpr std::int64_t most_images_of_a_stack = std::numeric_limits<std::int32_t>::max();

constexpr auto optics = {"--voltage",     "--spherical-aberration", "--amplitude-contrast",
                         "--defocus-min", "--defocus-max",          "--astigmatism",
                         "--phase-shift", "--micrographs"};

void bind_truth(CLI::App& app, SimulateOptions& o) {
  app.option_defaults()->group("What is seen");
  app.add_option("--volume", o.volume, "density map (MRC, CCP4, gzip)");
  app.add_option("--model", o.model, "atomic model (PDB, mmCIF, gzip); the phantom without either");
  app.add_option("--resolution", o.resolution, "angstrom, of the model's density; 0: 8")
      ->check(between(0, 1e4));
  app.add_option("--voxel-size", o.voxel_size,
                 "angstrom; overrides the map's header; a model's is a third of its resolution")
      ->check(between(0, 1e4));
  app.add_option("--box", o.box, "pixels an edge of the images; 0: the map's, or the model's need")
      ->check(between(0, 4096));
}

void bind_images(CLI::App& app, SimulateOptions& o) {
  app.option_defaults()->group("Images");
  app.add_option("--images", o.images, "how many")->check(between(1, std::int64_t{1} << 40));
  app.add_option("--views", o.views, "views to draw from: CSV (rot, tilt, psi, weight) or STAR");
  app.add_option("--view-mixture", o.view_mixture,
                 "components of a random mixture of views, where none are given")
      ->check(between(1, 1000));
  app.add_option("--in-plane", o.in_plane, "concentration of in-plane angles; 0 is uniform")
      ->check(between(0, 1e6));
  app.add_option("--shift-sigma", o.shift_sigma, "standard deviation of shifts, pixels")
      ->check(between(0, 4096));
  app.add_option("--contrast-sigma", o.contrast_sigma, "standard deviation of contrast, about 1")
      ->check(between(0, 1));

  app.option_defaults()->group("Noise");
  app.add_option("--noise-sigma", o.noise_sigma,
                 "standard deviation of the noise, a pixel; -1: by --snr, or 0.5")
      ->check(between(-1, 1e12));
  app.add_option("--snr", o.snr, "power of images over that of the noise; 0: by --noise-sigma")
      ->check(not_negative());
  app.add_option("--noise", o.noise, "white, or coloured: strong at low frequencies")
      ->check(one_of({"white", "coloured"}));
}

void bind_optics(CLI::App& app, SimulateOptions& o) {
  app.option_defaults()->group("CTF");
  const auto defocus = between(-1e7, 1e7);
  app.add_flag("--ctf", o.ctf, "images have a contrast transfer function");
  app.add_option("--voltage", o.voltage, "kV")->check(between(1, 1e5));
  app.add_option("--spherical-aberration", o.spherical_aberration, "mm")->check(between(0, 1e3));
  app.add_option("--amplitude-contrast", o.amplitude_contrast, "of 0 to 1")
      ->check(between(0, 0.999));
  app.add_option("--defocus-min", o.defocus_min, "angstrom, positive under focus")->check(defocus);
  app.add_option("--defocus-max", o.defocus_max, "angstrom")->check(defocus);
  app.add_option("--astigmatism", o.astigmatism, "standard deviation of the defocus' difference, A")
      ->check(between(0, 1e7));
  app.add_option("--phase-shift", o.phase_shift, "degrees, of a phase plate")
      ->check(between(-360, 360));
  app.add_option("--micrographs", o.micrographs,
                 "with a defocus of their own each; 0: one for a hundred images")
      ->check(not_negative());
}

void bind_run(CLI::App& app, SimulateOptions& o) {
  add_run_options(app, o);
  app.add_option("-o,--output", o.output, "particles.star, or with --moments-only moments.h5");
  app.add_flag("--moments-only", o.moments_only, "accumulate the moments and store no image");
  app.add_option("--images-per-stack", o.images_per_stack, "where a stack is full")
      ->check(between(1, most_images_of_a_stack));
  app.add_option("--precision", o.precision,
                 "of the moments' products, on processors with matrix tiles: 3xtf32 or fp32")
      ->check(one_of({"3xtf32", "fp32"}));
  app.add_flag("--append", o.append, "let the images join those that an earlier run wrote")
      ->configurable(false);
}

void refuse_if(bool wrong, const char* message) {
  if (wrong) throw InputError(message);
}

void check_together(const CLI::App& app, const SimulateOptions& o) {
  if (!o.views.empty()) refuse_idle(app, {"--view-mixture", "--in-plane"}, "beside --views");
  if (o.model.empty()) refuse_idle(app, {"--resolution"}, "on what is no --model");
  if (o.moments_only)
    refuse_idle(app, {"--images-per-stack"}, "beside --moments-only, which stores no image");
  else
    refuse_idle(app, {"--precision"}, "without --moments-only");
  refuse_if(o.output.empty(),
            "-o: where to is missing; give particles.star, or with --moments-only moments.h5");
  refuse_if(o.images == 0, "--images: how many is missing; give a number of images");
  refuse_if(o.append && o.overwrite,
            "--append and --overwrite contradict one another; give one of the two");
  refuse_if(o.append && o.moments_only,
            "--append: images join a data set, but moments are formed anew; leave it out");
  refuse_if(!o.volume.empty() && !o.model.empty(),
            "--volume and --model: only one thing can be seen at a time; give one of the two");
  refuse_if(o.voxel_size > 0 && o.voxel_size < 1e-3,
            "--voxel-size: is less than a thousandth of an angstrom; give the edge of a voxel in "
            "angstrom");
  refuse_if(o.snr > 0 && o.noise_sigma >= 0,
            "--snr and --noise-sigma: each decides the noise; give one of the two");
  refuse_if(o.noise_sigma < 0 && o.noise_sigma != -1, "--noise-sigma: must be at least 0");
  refuse_if(o.defocus_max < o.defocus_min,
            "--defocus-max: is less than --defocus-min; give them the other way round");
  refuse_if(o.moments_only && o.images < 2,
            "--images: moments with their errors take at least 2 images");
  if (o.moments_only) require_odd_box("--box", o.box, 3);
  refuse_if(o.box > 0 && o.box < 3, "--box: must be at least 3");
}

}  // namespace

std::optional<int> parse_options(std::vector<std::string> words, SimulateOptions& options) {
  CLI::App app{"Simulate noisy projections of a volume, or the moments of very many of them.",
               "simulate"};
  set_form(app);
  bind_truth(app, options);
  bind_images(app, options);
  bind_optics(app, options);
  bind_run(app, options);
  if (const auto code = parse(app, std::move(words))) return code;
  check_together(app, options);
  // Any of the optics asks for a CTF, which is then recorded too.
  if (std::ranges::any_of(optics, [&](const char* name) { return asked_for(app, name); })) {
    options.ctf = true;
    app.get_option("--ctf")->default_str("true");
  }
  if (options.micrographs == 0) options.micrographs = (options.images + 99) / 100;
  options.micrographs = std::min(options.micrographs, options.images);
  if (options.noise_sigma < 0 && options.snr == 0) options.noise_sigma = 0.5;
  options.config_text = config_text(app);
  return std::nullopt;
}

}  // namespace orrery
