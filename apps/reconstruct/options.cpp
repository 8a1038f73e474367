#include "apps/reconstruct/options.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "apps/command_line.hpp"
#include "apps/precision.hpp"
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

// The fields' values when they are bound are the defaults shown, and written into config.toml.

void bind_input(CLI::App& app, Options& o) {
  app.option_defaults()->group("Input");
  app.add_option("--volume", o.volume,
                 "density map (MRC, CCP4, gzip) to take moments of, or to score against");
  app.add_option("--moments", o.moments, "moments.h5 to reconstruct from, as moments writes it");
  app.add_option("--particles", o.particles,
                 "images (STAR, .cs, .mrcs) to reconstruct from: runs moments on them first");
  app.add_option("--voxel-size", o.voxel_size, "angstrom; overrides the map's header")
      ->check(not_negative());
  app.add_option("--box", o.box, "voxels an edge to work at: odd, at most the input's")
      ->check(not_negative());
  app.add_option("--target", o.target, "ground truth: the map, or a FourierNet fitted to it")
      ->check(one_of({"exact", "neural"}));
  app.add_option("--views", o.views, "views: CSV (rot, tilt, psi, weight) or STAR");
  app.add_option("--view-mixture", o.view_mixture,
                 "components of a random mixture of views, where none are given")
      ->check(between(1, 1000));
  app.add_option("--in-plane", o.in_plane, "concentration of in-plane angles; 0 is uniform")
      ->check(not_negative());
  app.add_flag("--half-maps", o.half_maps, "also reconstruct from each half of the images");
  app.add_option("--target-rank", o.target_rank,
                 "leading eigenvectors that stand for the second moment; 0: the whole matrix")
      ->check(between(0, 100000));
}

void bind_quadrature(CLI::App& app, Options& o) {
  app.option_defaults()->group("Quadrature");
  app.add_option("--directions", o.directions, "points of the spherical design")
      ->check(between(2, 2000));
  app.add_option("--angles", o.angles, "in-plane angles a direction")->check(between(1, 360));
}

void bind_priors(CLI::App& app, Options& o) {
  app.option_defaults()->group("Priors");
  app.add_option("--width", o.width, "of both sine networks")->check(between(1, 1024));
  app.add_option("--modulant-layers", o.modulant_layers, "hidden sine layers after the first")
      ->check(between(0, 16));
  app.add_option("--envelope-layers", o.envelope_layers, "hidden sine layers after the first")
      ->check(between(0, 16));
  app.add_option("--modulant-frequency", o.modulant_frequency, "w0; 0: by the box")
      ->check(not_negative());
  app.add_option("--envelope-frequency", o.envelope_frequency, "w0; 0: by the box")
      ->check(not_negative());
  app.add_option("--head", o.head, "CryoAI's, or the paper's a exp(ib)")
      ->check(one_of({"cryoai", "polar"}));
  app.add_option("--symmetry", o.symmetry, "how the volume is made real")
      ->check(one_of({"average", "half-space"}));
  app.add_option("--latent", o.latent, "length of the latent z_v; 0 leaves it out")
      ->check(between(0, 256));
  app.add_option("--amplitude", o.amplitude, "radial amplitude of the network's output")
      ->check(one_of({"profile", "flat"}));
  app.add_option("--density-prior", o.density_prior, "of the views")
      ->check(one_of({"encoder", "weights", "known"}));
  app.add_option("--density-over", o.density_over, "what has a probability of its own")
      ->check(one_of({"directions", "rotations"}));
  app.add_option("--penalty", o.penalty, "weight of the real-space penalty; -1: by the input")
      ->check(between(-1, 1e6));
  app.add_option("--support", o.support, "radius of the support ball, fraction of the box")
      ->check(between(0.05, 0.87));
}

void bind_optimisation(CLI::App& app, Options& o) {
  app.option_defaults()->group("Optimisation");
  app.add_option("--loss", o.loss, "relative, absolute (the paper's) or squared errors")
      ->check(one_of({"relative", "absolute", "squared"}));
  app.add_option("--lambda", o.lambda, "weight of the second moment")->check(not_negative());
  app.add_option("--weighting", o.weighting,
                 "of coefficients: by their noise, none, or auto: by it where it is known")
      ->check(one_of({"auto", "noise", "none"}));
  app.add_option("--steps", o.steps, "of Adam; -1: by the box")->check(between(-1, 10000000));
  app.add_option("--learning-rate", o.learning_rate, "at the first step")->check(positive());
  app.add_option("--schedule", o.schedule, "cosine, constant, or steps (a tenth after half way)")
      ->check(one_of({"cosine", "constant", "steps"}));
  app.add_option("--density-rate", o.density_rate, "learning-rate factor of free view weights")
      ->check(positive());
  app.add_option("--clip", o.clip, "largest gradient norm; 0 does not clip")->check(not_negative());
  app.add_option("--coarse-box", o.coarse_box,
                 "frequencies an edge that Adam and the first L-BFGS see; 0: all, -1: by the box")
      ->check(between(-1, 100000));
  app.add_option("--coarse-fraction", o.coarse_fraction, "of the L-BFGS evaluations spent there")
      ->check(between(0, 1));
  app.add_option("--finish", o.finish, "L-BFGS evaluations after Adam; -1: by the box")
      ->check(between(-1, 10000000));
  app.add_option("--restarts", o.restarts, "independent starts, the best kept")
      ->check(between(1, 100));
}

void bind_run(CLI::App& app, Options& o) {
  add_run_options(app, o);
  add_checkpoint_options(app, o.checkpoint_seconds, o.resume);
  app.add_option("-o,--output", o.output, "folder for the results");
  app.add_option("--preset", o.preset, "quick, standard or paper; other options override it")
      ->check(one_of({"quick", "standard", "paper"}));
  app.add_option("--precision", o.precision,
                 "of the model's products: tf32, 3xtf32 or fp32; CPU: fp32 or less")
      ->check(one_of({"tf32", "3xtf32", "fp32"}));
  app.add_flag("--dry-run", o.dry_run, "say what would be done and what memory it takes")
      ->configurable(false);
}

void check_together(const CLI::App& app, const Options& o) {
  require_odd_box("--box", o.box, 5);
  if (o.coarse_box > 0) require_odd_box("--coarse-box", o.coarse_box, 3);
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
  if (!o.views.empty()) refuse_idle(app, {"--view-mixture", "--in-plane"}, "beside --views");
  if (o.density_prior != "weights")
    refuse_idle(app, {"--density-rate"}, "without --density-prior weights");
  if (o.penalty == 0) refuse_idle(app, {"--support"}, "beside --penalty 0");
}

/// Moments from images come without a truth, and only they have noise.
void check_truth(const CLI::App& app, const Options& o) {
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
        {o.density_prior == "known", "--density-prior known", "give --density-prior weights"}})
    if (given)
      throw InputError(std::string(option) + " needs the truth, which images come without; " +
                       remedy);
  refuse_idle(app, {"--views", "--view-mixture", "--in-plane"}, "on moments of images");
  if (o.volume.empty()) refuse_idle(app, {"--voxel-size"}, "without --volume");
}

/// The preset, whose values are the other options' defaults.
std::string preset_name(const std::vector<std::string>& words) {
  CLI::App app;
  app.option_defaults()->take_last();
  Options options;
  app.add_option("--preset", options.preset);
  app.set_config("--config");
  look_ahead(app, words);
  return options.preset;
}

}  // namespace

std::optional<int> parse_options(std::vector<std::string> words, Options& options) {
  words = with_resumed_options(std::move(words), options.output);
  options = preset(preset_name(words));
  CLI::App app{"Reconstruct a volume and the density of its views from their first two moments.",
               "reconstruct"};
  set_form(app);
  bind_input(app, options);
  bind_quadrature(app, options);
  bind_priors(app, options);
  bind_optimisation(app, options);
  bind_run(app, options);
  if (const auto code = parse(app, std::move(words))) return code;
  check_together(app, options);
  check_truth(app, options);
  options.config_text = config_text(app);
  return std::nullopt;
}

void settle(Options& o, int n) {
  if (const Index pixels = Index{n} * n; o.target_rank >= pixels)
    throw InputError("--target-rank " + std::to_string(o.target_rank) + ": at " +
                     std::to_string(n) + " voxels the second moment has " + std::to_string(pixels) +
                     " eigenvectors; give fewer, or leave it out");
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
