#include "apps/moments/options.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "apps/option_checks.hpp"
#include "apps/program.hpp"
#include "kernels/check.hpp"

namespace orrery {

namespace {

/// A flag and its opposite, of which neither need be given.
CLI::Option* add_choice(CLI::App& app, const std::string& names, std::optional<bool>& choice,
                        const std::string& description) {
  return app.add_flag_function(
      names, [&choice](std::int64_t count) { choice = count > 0; }, description);
}

void bind(CLI::App& app, MomentsOptions& o) {
  app.option_defaults()->always_capture_default()->multi_option_policy(
      CLI::MultiOptionPolicy::TakeLast);
  const auto one_of = [](std::initializer_list<const char*> names) {
    return CLI::IsMember(std::vector<std::string>(names.begin(), names.end()));
  };
  const auto not_negative = CLI::NonNegativeNumber;
  const auto positive = CLI::PositiveNumber;

  app.add_option("PARTICLES", o.particles, "STAR file, cryoSPARC .cs file, or a stack of images")
      ->required()
      ->configurable(false);
  const auto input = "Input";
  app.add_option("--datadir", o.data_folder, "folder that the paths of stacks start from")
      ->group(input);
  app.add_option("--pixel-size", o.pixel_size, "angstrom; overrides the file's")
      ->check(positive)
      ->group(input);
  app.add_option("--box", o.box,
                 "frequencies an edge that are kept, an odd number; 0: the images', up to 63")
      ->check(not_negative)
      ->group(input);
  app.add_flag("--skip-bad", o.skip_bad, "leave out images and stacks that cannot be read")
      ->group(input);

  const auto images = "Images";
  add_choice(app, "--ctf,!--no-ctf", o.ctf, "correct for the CTF; by itself where the file has one")
      ->group(images);
  app.add_option("--shifts", o.shifts, "the file's known shifts: use or ignore")
      ->check(one_of({"use", "ignore"}))
      ->group(images);
  app.add_option("--invert", o.invert, "contrast: yes for dark particles, auto detects them")
      ->check(one_of({"auto", "yes", "no"}))
      ->group(images);
  add_choice(app, "--normalise,!--no-normalise", o.normalise,
             "by the background's mean and deviation; by itself unless the noise is given")
      ->group(images);
  app.add_option("--diameter", o.diameter,
                 "angstrom, of the particle: outside is background; 0: the images' edge")
      ->check(not_negative)
      ->group(images);

  const auto noise = "Noise";
  app.add_option("--noise-variance", o.noise_variance,
                 "of a pixel; estimated from the background otherwise")
      ->check(not_negative)
      ->group(noise);
  add_choice(app, "--whiten,!--no-whiten", o.whiten,
             "let the noise's power depend on the frequency; by itself unless it is given")
      ->group(noise);
  app.add_option("--shift-deviation", o.shift_deviation,
                 "pixels, of shifts that are not known: kept for the model")
      ->check(not_negative)
      ->group(noise);

  const auto run = "Run";
  app.add_option("-o,--output", o.output, "file for the moments")->group(run);
  app.add_flag("--halves,!--no-halves", o.halves,
               "also the moments of two random halves of the images")
      ->group(run);
  app.add_option("--batch", o.batch, "images that are summed in one go; 0: by the box")
      ->check(CLI::Range(0, 1 << 20))
      ->group(run);
  app.add_option("--seed", o.seed, "of the random halves")->check(not_negative)->group(run);
  app.add_option("--device", o.device, "auto, cpu, cuda or cuda:1")->group(run);
  app.add_option("--threads", o.threads, "worker threads; 0 takes all processors")
      ->check(CLI::Range(0, 4096))
      ->group(run);
  app.add_option("--precision", o.precision,
                 "of the products that are summed, on processors with matrix tiles: 3xtf32 or fp32")
      ->check(one_of({"3xtf32", "fp32"}))
      ->group(run);
  app.add_option("--checkpoint-seconds", o.checkpoint_seconds, "time between checkpoints")
      ->check(not_negative)
      ->group(run);
  app.add_flag("--resume", o.resume, "go on from the checkpoint beside the output")
      ->configurable(false)
      ->group(run);
  app.add_flag("--overwrite", o.overwrite, "replace another run's results")
      ->configurable(false)
      ->group(run);
  app.add_flag("--quiet", o.quiet, "print warnings and errors only")
      ->configurable(false)
      ->group(run);
  app.set_config("--config", "", "TOML file with any of these options");
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.set_version_flag("--version", version_text("moments"));
}

void check_together(const MomentsOptions& o) {
  require_finite({{"--pixel-size", o.pixel_size.value_or(1)},
                  {"--noise-variance", o.noise_variance.value_or(1)},
                  {"--diameter", o.diameter},
                  {"--shift-deviation", o.shift_deviation},
                  {"--checkpoint-seconds", o.checkpoint_seconds}});
  if (o.box != 0 && (o.box % 2 == 0 || o.box < 5))
    throw InputError(fmt::format("--box {}: the box must be odd and at least 5; use {}", o.box,
                                 std::max(5, o.box - 1)));
  if (o.noise_variance && o.normalise.value_or(false))
    throw InputError(
        "--noise-variance is that of the images as stored, which --normalise changes; give one of "
        "them");
  if (o.noise_variance && o.whiten.value_or(false))
    throw InputError(
        "--noise-variance is one number for all frequencies, which --whiten estimates one by one; "
        "give one of them");
  if (o.resume && o.overwrite)
    throw InputError("--resume and --overwrite contradict one another; give one of them");
  if (o.output.empty() || std::filesystem::path(o.output).filename().empty())
    throw InputError("-o " + o.output + ": names no file; give one, such as moments.h5");
}

}  // namespace

std::filesystem::path MomentsOptions::summary_file() const {
  return std::filesystem::path(output).replace_extension(".json");
}
std::filesystem::path MomentsOptions::checkpoint_file(int rank) const {
  auto file = std::filesystem::path(output).replace_extension(".checkpoint");
  if (rank > 0) file += "." + std::to_string(rank);
  return file;
}

std::optional<int> parse_options(int argc, char** argv, MomentsOptions& options) {
  CLI::App app{"Estimate the first two moments of views from particle images, in one pass.",
               "moments"};
  app.get_formatter()->column_width(34);
  bind(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& done) {
    return app.exit(done);
  } catch (const CLI::ParseError& error) {
    throw InputError(std::string(error.what()) + "; see moments --help");
  }
  check_together(options);
  return std::nullopt;
}

std::string deciding_options(const MomentsOptions& o) {
  const auto number = [](const std::optional<double>& x) {
    return x ? fmt::format("{}", *x) : std::string("none");
  };
  return fmt::format(
      "pixel-size={}\nbox={}\nskip-bad={}\nctf={}\nshifts={}\ninvert={}\nnormalise={}\ndiameter={}"
      "\n"
      "noise-variance={}\nwhiten={}\nhalves={}\nbatch={}\nseed={}\nprecision={}\n",
      number(o.pixel_size), o.box, o.skip_bad, o.ctf ? (*o.ctf ? "yes" : "no") : "auto", o.shifts,
      o.invert, o.normalises(), o.diameter, number(o.noise_variance), o.whitens(), o.halves,
      o.batch, o.seed, o.precision);
}

int working_box(const MomentsOptions& o, std::int64_t image_size) {
  constexpr std::int64_t usual = 63;  // larger moments are for those who ask for them
  const auto largest = image_size - (image_size % 2 == 0 ? 1 : 0);
  if (o.box == 0) return static_cast<int>(std::min(usual, largest));
  if (o.box > largest)
    throw InputError(fmt::format("--box {}: the images have {} pixels an edge; give at most {}",
                                 o.box, image_size, largest));
  return o.box;
}

}  // namespace orrery
