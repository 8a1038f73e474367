#include "apps/reconstruct/options.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <tuple>

#include "apps/option_checks.hpp"
#include "apps/precision.hpp"
#include "apps/program.hpp"
#include "kernels/check.hpp"

namespace orrery {

namespace {

/// The presets, as measured in docs/method.md.
Options preset(const std::string& name) {
  Options options;
  options.preset = name;
  if (name == "standard") {
    options.width = 96;
  } else if (name == "paper") {
    // CryoAI's widths and the paper's learning rates; its lambda is not stated.
    options.width = 256;
    options.modulant_layers = 3;
    options.envelope_layers = 2;
    options.modulant_frequency = 40;
    options.envelope_frequency = 30;
    options.amplitude = "flat";
    options.density_prior = "encoder";
    options.density_over = "rotations";
    options.target = "neural";
    options.loss = "absolute";
    options.penalty = 0;
    options.coarse_box = 0;
    options.steps = 20000;
    options.learning_rate = 1e-5;
    options.schedule = "steps";
    options.finish = 0;
  }
  return options;
}

/// Binds every option to its field; the fields' values at that moment are the defaults shown, and
/// written into config.toml.
void bind(CLI::App& app, Options& o) {
  app.option_defaults()->always_capture_default()->multi_option_policy(
      CLI::MultiOptionPolicy::TakeLast);
  const auto positive = CLI::PositiveNumber;
  const auto not_negative = CLI::NonNegativeNumber;
  auto one_of = [](std::initializer_list<const char*> names) {
    return CLI::IsMember(std::vector<std::string>(names.begin(), names.end()));
  };

  app.add_option("--volume", o.volume,
                 "density map (MRC, CCP4, gzip) to take moments of, or to score against")
      ->group("Input");
  app.add_option("--moments", o.moments, "moments.h5 to reconstruct from, as moments writes it")
      ->group("Input");
  app.add_option("--particles", o.particles,
                 "images (STAR, .cs, .mrcs) to reconstruct from: runs moments on them first")
      ->group("Input");
  app.add_option("--voxel-size", o.voxel_size, "angstrom; overrides the map's header")
      ->check(not_negative)
      ->group("Input");
  app.add_option("--box", o.box, "voxels an edge to work at: odd, at most the input's")
      ->check(not_negative)
      ->group("Input");
  app.add_option("--target", o.target, "ground truth: the map, or a FourierNet fitted to it")
      ->check(one_of({"exact", "neural"}))
      ->group("Input");
  app.add_option("--views", o.views, "views: CSV (rot, tilt, psi, weight) or STAR")->group("Input");
  app.add_option("--view-mixture", o.view_mixture,
                 "components of a random mixture of views, where none are given")
      ->check(CLI::Range(1, 1000))
      ->group("Input");
  app.add_option("--in-plane", o.in_plane, "concentration of in-plane angles; 0 is uniform")
      ->check(not_negative)
      ->group("Input");

  app.add_flag("--half-maps", o.half_maps, "also reconstruct from each half of the images")
      ->group("Input");
  app.add_option("--target-rank", o.target_rank,
                 "leading eigenvectors that stand for the second moment; 0: the whole matrix")
      ->check(CLI::Range(0, 100000))
      ->group("Input");

  app.add_option("-o,--output", o.output, "folder for the results")->group("Run");
  app.add_option("--preset", o.preset, "quick, standard or paper; other options override it")
      ->check(one_of({"quick", "standard", "paper"}))
      ->group("Run");
  app.add_option("--device", o.device, "auto, cpu, cuda or cuda:1")->group("Run");
  app.add_option("--threads", o.threads, "worker threads; 0 takes all processors")
      ->check(CLI::Range(0, 4096))
      ->group("Run");
  app.add_option("--precision", o.precision,
                 "of the model's products: tf32, 3xtf32 or fp32; CPU: fp32 or less")
      ->check(one_of({"tf32", "3xtf32", "fp32"}))
      ->group("Run");
  app.add_option("--seed", o.seed, "of everything random")->check(not_negative)->group("Run");
  app.add_flag("--overwrite", o.overwrite, "replace another run's results")
      ->configurable(false)
      ->group("Run");
  app.add_flag("--resume", o.resume, "continue from the folder's checkpoint")
      ->configurable(false)
      ->group("Run");
  app.add_flag("--quiet", o.quiet, "print warnings and errors only")
      ->configurable(false)
      ->group("Run");
  app.add_flag("--dry-run", o.dry_run, "say what would be done and what memory it takes")
      ->configurable(false)
      ->group("Run");
  app.add_option("--checkpoint-seconds", o.checkpoint_seconds, "time between checkpoints")
      ->check(CLI::Range(1, 1000000))
      ->group("Run");

  app.add_option("--directions", o.directions, "points of the spherical design")
      ->check(CLI::Range(2, 2000))
      ->group("Quadrature");
  app.add_option("--angles", o.angles, "in-plane angles a direction")
      ->check(CLI::Range(1, 360))
      ->group("Quadrature");

  app.add_option("--width", o.width, "of both sine networks")
      ->check(CLI::Range(1, 1024))
      ->group("Priors");
  app.add_option("--modulant-layers", o.modulant_layers, "hidden sine layers after the first")
      ->check(CLI::Range(0, 16))
      ->group("Priors");
  app.add_option("--envelope-layers", o.envelope_layers, "hidden sine layers after the first")
      ->check(CLI::Range(0, 16))
      ->group("Priors");
  app.add_option("--modulant-frequency", o.modulant_frequency, "w0; 0: by the box")
      ->check(not_negative)
      ->group("Priors");
  app.add_option("--envelope-frequency", o.envelope_frequency, "w0; 0: by the box")
      ->check(not_negative)
      ->group("Priors");
  app.add_option("--head", o.head, "CryoAI's, or the paper's a exp(ib)")
      ->check(one_of({"cryoai", "polar"}))
      ->group("Priors");
  app.add_option("--symmetry", o.symmetry, "how the volume is made real")
      ->check(one_of({"average", "half-space"}))
      ->group("Priors");
  app.add_option("--latent", o.latent, "length of the latent z_v; 0 leaves it out")
      ->check(CLI::Range(0, 256))
      ->group("Priors");
  app.add_option("--amplitude", o.amplitude, "radial amplitude of the network's output")
      ->check(one_of({"profile", "flat"}))
      ->group("Priors");
  app.add_option("--density-prior", o.density_prior, "of the views")
      ->check(one_of({"encoder", "weights", "known"}))
      ->group("Priors");
  app.add_option("--density-over", o.density_over, "what has a probability of its own")
      ->check(one_of({"directions", "rotations"}))
      ->group("Priors");
  app.add_option("--penalty", o.penalty, "weight of the real-space penalty; -1: by the input")
      ->check(CLI::Range(-1.0, 1e6))
      ->group("Priors");
  app.add_option("--support", o.support, "radius of the support ball, fraction of the box")
      ->check(CLI::Range(0.05, 0.87))
      ->group("Priors");

  app.add_option("--loss", o.loss, "relative, absolute (the paper's) or squared errors")
      ->check(one_of({"relative", "absolute", "squared"}))
      ->group("Optimisation");
  app.add_option("--lambda", o.lambda, "weight of the second moment")
      ->check(not_negative)
      ->group("Optimisation");
  app.add_option("--weighting", o.weighting,
                 "of coefficients: by their noise, none, or auto: by it where it is known")
      ->check(one_of({"auto", "noise", "none"}))
      ->group("Optimisation");
  app.add_option("--steps", o.steps, "of Adam; -1: by the box")
      ->check(CLI::Range(-1, 10000000))
      ->group("Optimisation");
  app.add_option("--learning-rate", o.learning_rate, "at the first step")
      ->check(positive)
      ->group("Optimisation");
  app.add_option("--schedule", o.schedule, "cosine, constant, or steps (a tenth after half way)")
      ->check(one_of({"cosine", "constant", "steps"}))
      ->group("Optimisation");
  app.add_option("--density-rate", o.density_rate, "learning-rate factor of free view weights")
      ->check(positive)
      ->group("Optimisation");
  app.add_option("--clip", o.clip, "largest gradient norm; 0 does not clip")
      ->check(not_negative)
      ->group("Optimisation");
  app.add_option("--coarse-box", o.coarse_box,
                 "frequencies an edge that Adam and the first L-BFGS see; 0: all, -1: by the box")
      ->check(CLI::Range(-1, 100000))
      ->group("Optimisation");
  app.add_option("--coarse-fraction", o.coarse_fraction, "of the L-BFGS evaluations spent there")
      ->check(CLI::Range(0.0, 1.0))
      ->group("Optimisation");
  app.add_option("--finish", o.finish, "L-BFGS evaluations after Adam; -1: by the box")
      ->check(CLI::Range(-1, 10000000))
      ->group("Optimisation");
  app.add_option("--restarts", o.restarts, "independent starts, the best kept")
      ->check(CLI::Range(1, 100))
      ->group("Optimisation");

  app.set_config("--config", "", "TOML file with any of these options");
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.set_version_flag("--version", version_text("reconstruct"));
}

void check_together(const Options& o) {
  if (o.box != 0 && (o.box % 2 == 0 || o.box < 5))
    throw InputError("--box " + std::to_string(o.box) +
                     ": the box must be odd and at least 5; use " +
                     std::to_string(std::max(5, o.box - 1)));
  if (o.coarse_box > 0 && (o.coarse_box % 2 == 0 || o.coarse_box < 3))
    throw InputError("--coarse-box " + std::to_string(o.coarse_box) +
                     ": must be odd and at least 3; use " + std::to_string(o.coarse_box + 1));
  require_finite({{"--voxel-size", o.voxel_size},
                  {"--in-plane", o.in_plane},
                  {"--modulant-frequency", o.modulant_frequency},
                  {"--envelope-frequency", o.envelope_frequency},
                  {"--penalty", o.penalty},
                  {"--lambda", o.lambda},
                  {"--learning-rate", o.learning_rate},
                  {"--density-rate", o.density_rate},
                  {"--clip", o.clip}});
  if (o.steps == 0 && o.finish == 0)
    throw InputError("--steps 0 and --finish 0 leave nothing to do; give one of them a number");
  if (o.coarse_box > 0 && o.finish == 0)
    throw InputError(
        "--coarse-box " + std::to_string(o.coarse_box) +
        " with --finish 0: only L-BFGS goes on to all frequencies; give it evaluations");
  for (const auto& [given, option, remedy] :
       {std::tuple{o.density_prior == "encoder", "--density-prior encoder",
                   "give --density-prior weights"},
        {o.latent > 0, "--latent", "leave it out"}})
    if (o.target_rank > 0 && given)
      throw InputError(std::string("--target-rank: ") + option +
                       " reads the second moment as a matrix; " + remedy);
  if (o.resume && o.overwrite)
    throw InputError("--resume and --overwrite contradict one another; give one of them");
}

/// Moments from images come without a truth, and only they have noise.
void check_truth(const Options& o) {
  if (!o.from_images()) {
    if (o.half_maps)
      throw InputError("--half-maps: only images have halves; give --moments or --particles");
    if (o.weighting == "noise")
      throw InputError("--weighting noise: the moments of a map have no noise; give --moments");
    return;
  }
  if (!o.moments.empty() && !o.particles.empty())
    throw InputError("--moments and --particles: give one of them; the latter form the former");
  for (const auto& [given, option, remedy] :
       {std::tuple{o.target == "neural", "--target neural", "give --target exact"},
        {o.density_prior == "known", "--density-prior known", "give --density-prior weights"},
        {!o.views.empty(), "--views", "leave it out"},
        {o.in_plane > 0, "--in-plane", "leave it out"}})
    if (given)
      throw InputError(std::string(option) + " needs the truth, which images come without; " +
                       remedy);
}

/// CLI11 takes arguments from the back.
std::vector<std::string> reversed(std::vector<std::string> arguments) {
  std::reverse(arguments.begin(), arguments.end());
  return arguments;
}

/// A look at a few options before all others are known; mistakes are left to the second look.
void look_ahead(CLI::App& app, const std::vector<std::string>& arguments) {
  app.set_help_flag();
  app.allow_extras();
  app.allow_config_extras(true);
  try {
    app.parse(reversed(arguments));
  } catch (const CLI::ParseError&) {
  }
}

/// The options of the run that is to be resumed, where none are named: its folder's config.toml.
std::string resumed_config(const std::vector<std::string>& arguments) {
  CLI::App app;
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  Options options;
  std::string config;
  app.add_option("-o,--output", options.output);
  app.add_flag("--resume", options.resume);
  app.add_option("--config", config);
  look_ahead(app, arguments);
  const auto saved = std::filesystem::path(options.output) / "config.toml";
  const bool wanted = options.resume && config.empty() && std::filesystem::is_regular_file(saved);
  return wanted ? saved.string() : "";
}

/// The preset, whose values are the other options' defaults.
std::string preset_name(const std::vector<std::string>& arguments) {
  CLI::App app;
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  std::string name = Options{}.preset;
  app.add_option("--preset", name);
  app.set_config("--config");
  look_ahead(app, arguments);
  return name;
}

}  // namespace

std::optional<int> parse_options(int argc, char** argv, Options& options,
                                 std::string& config_text) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  if (const std::string config = resumed_config(arguments); !config.empty())
    arguments.insert(arguments.end(), {"--config", config});
  options = preset(preset_name(arguments));

  CLI::App app{"Reconstruct a volume and the density of its views from their first two moments.",
               "reconstruct"};
  app.get_formatter()->column_width(34);
  bind(app, options);
  try {
    app.parse(reversed(arguments));
  } catch (const CLI::Success& done) {
    return app.exit(done);
  } catch (const CLI::ParseError& error) {
    throw InputError(std::string(error.what()) + "; see reconstruct --help");
  }
  check_together(options);
  check_truth(options);
  config_text = app.config_to_str(true, false);
  return std::nullopt;
}

void settle(Options& o, int n) {
  if (const Index pixels = Index{n} * n; o.target_rank >= pixels)
    throw InputError("--target-rank " + std::to_string(o.target_rank) + ": at " +
                     std::to_string(n) + " voxels the second moment has " + std::to_string(pixels) +
                     " eigenvectors; ask for fewer, or leave it out");
  const double frequency = std::round(10 * std::sqrt(std::max(1.0, n / 25.0)));
  if (o.modulant_frequency == 0) o.modulant_frequency = frequency;
  if (o.envelope_frequency == 0) o.envelope_frequency = frequency;
  const bool large = n > 40;
  const bool longer = o.preset == "standard";
  if (o.steps < 0) o.steps = (large ? 1000 : 500) * (longer ? 2 : 1);
  if (o.finish < 0) o.finish = large ? (longer ? 2400 : 1200) : (longer ? 500 : 150);
  if (o.coarse_box < 0) o.coarse_box = large && o.finish > 0 ? 25 : 0;
  if (o.penalty < 0) o.penalty = o.volume.empty() && !o.from_images() ? 0.1 : 0.001;
}

Precision precision_of(const Options& o) { return precision_named(o.precision); }

FourierNetSettings fourier_net_settings(const Options& o) {
  FourierNetSettings settings;
  settings.head = o.head == "polar" ? FourierHead::polar : FourierHead::cryoai;
  settings.symmetry =
      o.symmetry == "half-space" ? HermitianSymmetry::half_space : HermitianSymmetry::average;
  settings.width = o.width;
  settings.modulant_hidden_layers = o.modulant_layers;
  settings.envelope_hidden_layers = o.envelope_layers;
  settings.modulant_frequency = o.modulant_frequency;
  settings.envelope_frequency = o.envelope_frequency;
  settings.latent = o.latent;
  return settings;
}

LossSettings loss_settings(const Options& o) {
  LossSettings settings;
  settings.kind = o.loss == "absolute"  ? LossKind::absolute
                  : o.loss == "squared" ? LossKind::squared
                                        : LossKind::relative;
  settings.lambda = o.lambda;
  return settings;
}

}  // namespace orrery
