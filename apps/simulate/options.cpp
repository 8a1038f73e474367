#include "apps/simulate/options.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <iostream>
#include <limits>
#include <string>
#include <vector>

#include "apps/option_checks.hpp"
#include "apps/program.hpp"
#include "kernels/check.hpp"

namespace orrery {

namespace {

/// An MRC header counts them in 32 bits.
constexpr std::int64_t most_images_of_a_stack = std::numeric_limits<std::int32_t>::max();

void bind(CLI::App& app, SimulateOptions& o) {
  app.option_defaults()->always_capture_default()->multi_option_policy(
      CLI::MultiOptionPolicy::TakeLast);
  const auto not_negative = CLI::NonNegativeNumber;
  const auto defocus = CLI::Range(-1e7, 1e7);

  app.add_option("--volume", o.volume, "density map (MRC, CCP4, gzip)")->group("What is seen");
  app.add_option("--model", o.model, "atomic model (PDB, mmCIF, gzip); the phantom without either")
      ->group("What is seen");
  app.add_option("--resolution", o.resolution, "angstrom, of the model's density; 0: 8")
      ->check(CLI::Range(0.0, 1e4))
      ->group("What is seen");
  app.add_option("--voxel-size", o.voxel_size,
                 "angstrom; overrides the map's header; a model's is a third of its resolution")
      ->check(CLI::Range(0.0, 1e4))
      ->group("What is seen");
  app.add_option("--box", o.box, "pixels an edge of the images; 0: the map's, or the model's need")
      ->check(CLI::Range(0, 4096))
      ->group("What is seen");

  app.add_option("--images", o.images, "how many")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40))
      ->group("Images");
  app.add_option("--views", o.views, "views to draw from: CSV (rot, tilt, psi, weight) or STAR")
      ->group("Images");
  app.add_option("--view-mixture", o.view_mixture,
                 "components of a random mixture of views, where none are given")
      ->check(CLI::Range(1, 1000))
      ->group("Images");
  app.add_option("--in-plane", o.in_plane, "concentration of in-plane angles; 0 is uniform")
      ->check(CLI::Range(0.0, 1e6))
      ->group("Images");
  app.add_option("--shift-sigma", o.shift_sigma, "standard deviation of shifts, pixels")
      ->check(CLI::Range(0.0, 4096.0))
      ->group("Images");
  app.add_option("--contrast-sigma", o.contrast_sigma, "standard deviation of contrast, about 1")
      ->check(CLI::Range(0.0, 1.0))
      ->group("Images");
  app.add_option("--noise-sigma", o.noise_sigma,
                 "standard deviation of the noise, a pixel; -1: by --snr, or 0.5")
      ->group("Noise");
  app.add_option("--snr", o.snr, "power of images over that of the noise; 0: by --noise-sigma")
      ->check(not_negative)
      ->group("Noise");
  app.add_option("--noise", o.noise, "white, or colored: strong at low frequencies")
      ->check(CLI::IsMember(std::vector<std::string>{"white", "colored"}))
      ->group("Noise");

  app.add_flag("--ctf", o.ctf, "images have a contrast transfer function")->group("CTF");
  app.add_option("--voltage", o.voltage, "kV")->check(CLI::Range(1.0, 1e5))->group("CTF");
  app.add_option("--spherical-aberration", o.spherical_aberration, "mm")
      ->check(CLI::Range(0.0, 1e3))
      ->group("CTF");
  app.add_option("--amplitude-contrast", o.amplitude_contrast, "of 0 to 1")
      ->check(CLI::Range(0.0, 0.999))
      ->group("CTF");
  app.add_option("--defocus-min", o.defocus_min, "angstrom, positive under focus")
      ->check(defocus)
      ->group("CTF");
  app.add_option("--defocus-max", o.defocus_max, "angstrom")->check(defocus)->group("CTF");
  app.add_option("--astigmatism", o.astigmatism, "standard deviation of the defocus' difference, A")
      ->check(CLI::Range(0.0, 1e7))
      ->group("CTF");
  app.add_option("--phase-shift", o.phase_shift, "degrees, of a phase plate")
      ->check(CLI::Range(-360.0, 360.0))
      ->group("CTF");
  app.add_option("--micrographs", o.micrographs,
                 "with a defocus of their own each; 0: one for a hundred images")
      ->check(not_negative)
      ->group("CTF");

  app.add_option("-o,--output", o.output, "particles.star, or with --moments-only moments.h5")
      ->group("Run");
  app.add_flag("--moments-only", o.moments_only, "accumulate the moments and store no image")
      ->group("Run");
  app.add_option("--images-per-stack", o.images_per_stack, "where a stack is full")
      ->check(CLI::Range(std::int64_t{1}, most_images_of_a_stack))
      ->group("Run");
  app.add_option("--seed", o.seed, "of everything random")->check(not_negative)->group("Run");
  app.add_option("--device", o.device, "auto, cpu, cuda or cuda:1")->group("Run");
  app.add_option("--threads", o.threads, "worker threads; 0 takes all processors")
      ->check(CLI::Range(0, 4096))
      ->group("Run");
  app.add_option("--precision", o.precision,
                 "of the moments' products, on processors with matrix tiles: 3xtf32 or fp32")
      ->check(CLI::IsMember(std::vector<std::string>{"3xtf32", "fp32"}))
      ->group("Run");
  app.add_flag("--append", o.append, "let the images join those that an earlier run wrote")
      ->configurable(false)
      ->group("Run");
  app.add_flag("--overwrite", o.overwrite, "replace what an earlier run wrote")
      ->configurable(false)
      ->group("Run");
  app.add_flag("--quiet", o.quiet, "print warnings and errors only")
      ->configurable(false)
      ->group("Run");
  app.set_config("--config", "", "TOML file of these options")->group("Run");
  app.set_version_flag("--version", version_text("simulate"));
}

void refuse_if(bool wrong, const char* message) {
  if (wrong) throw InputError(message);
}

void check_together(const SimulateOptions& o) {
  require_finite({{"--resolution", o.resolution},
                  {"--voxel-size", o.voxel_size},
                  {"--in-plane", o.in_plane},
                  {"--shift-sigma", o.shift_sigma},
                  {"--contrast-sigma", o.contrast_sigma},
                  {"--noise-sigma", o.noise_sigma},
                  {"--snr", o.snr},
                  {"--voltage", o.voltage},
                  {"--spherical-aberration", o.spherical_aberration},
                  {"--amplitude-contrast", o.amplitude_contrast},
                  {"--defocus-min", o.defocus_min},
                  {"--defocus-max", o.defocus_max},
                  {"--astigmatism", o.astigmatism},
                  {"--phase-shift", o.phase_shift}});
  refuse_if(o.output.empty(),
            "-o: where to is missing; give particles.star, or with "
            "--moments-only moments.h5");
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
  refuse_if(o.resolution > 0 && o.model.empty(),
            "--resolution: is that of a --model's density; a map has its own");
  refuse_if(o.snr > 0 && o.noise_sigma >= 0,
            "--snr and --noise-sigma: each decides the noise; give one of the two");
  refuse_if(o.noise_sigma < 0 && o.noise_sigma != -1, "--noise-sigma: must be at least 0");
  refuse_if(o.defocus_max < o.defocus_min,
            "--defocus-max: is less than --defocus-min; give them the other way round");
  refuse_if(o.moments_only && o.images < 2,
            "--images: moments with their errors take at least 2 images");
  refuse_if(o.moments_only && o.box > 0 && o.box % 2 == 0,
            "--box: moments are formed on an odd number of voxels; give the next one below");
  refuse_if(o.box > 0 && o.box < 3, "--box: must be at least 3");
}

/// The command line as it is meant: any of the optics there asks for a CTF. From a file of options
/// they do not, as one that a run recorded names all of them.
std::vector<std::string> words_of(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  for (const char* name :
       {"--voltage", "--spherical-aberration", "--amplitude-contrast", "--defocus-min",
        "--defocus-max", "--astigmatism", "--phase-shift", "--micrographs"})
    if (on_command_line(argc, argv, name)) {
      words.insert(words.begin(), "--ctf");
      break;
    }
  std::reverse(words.begin(), words.end());  // CLI11 takes them from the back
  return words;
}

}  // namespace

std::optional<int> parse_options(int argc, char** argv, SimulateOptions& options) {
  CLI::App app{"Simulate noisy projections of a volume, or the moments of very many of them.",
               "simulate"};
  app.get_formatter()->column_width(34);
  bind(app, options);
  try {
    app.parse(words_of(argc, argv));
  } catch (const CLI::Success& done) {
    return app.exit(done);
  } catch (const CLI::ParseError& error) {
    std::cerr << "simulate: " << error.what() << "; see simulate --help\n";
    return 2;
  }
  for (const char* name : {"--view-mixture", "--in-plane"})
    if (!options.views.empty() && on_command_line(argc, argv, name))
      throw InputError(std::string(name) +
                       ": --views gives the views, so that nothing is drawn from a mixture; leave "
                       "one of the two out");
  check_together(options);
  if (options.micrographs == 0) options.micrographs = (options.images + 99) / 100;
  options.micrographs = std::min(options.micrographs, options.images);
  if (options.noise_sigma < 0 && options.snr == 0) options.noise_sigma = 0.5;
  options.config_text = app.config_to_str(true, false);
  return std::nullopt;
}

}  // namespace orrery
