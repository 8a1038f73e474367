#include "apps/moments/options.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "apps/command_line.hpp"
#include "apps/output_folder.hpp"
#include "kernels/check.hpp"

namespace orrery {

namespace {

void bind_input(CLI::App& app, MomentsOptions& o) {
  app.add_option("PARTICLES", o.particles, "STAR file, cryoSPARC .cs file, or a stack of images")
      ->required()
      ->configurable(false);
  app.option_defaults()->group("Input");
  app.add_option("--datadir", o.data_folder, "folder that the paths of stacks start from");
  app.add_option("--pixel-size", o.pixel_size, "angstrom; overrides the file's")->check(positive());
  app.add_option("--box", o.box,
                 "frequencies an edge that are kept, an odd number; 0: the images', up to 63")
      ->check(not_negative());
  app.add_flag("--skip-bad", o.skip_bad, "leave out images and stacks that cannot be read");
}

void bind_images(CLI::App& app, MomentsOptions& o) {
  app.option_defaults()->group("Images");
  add_choice(app, "--ctf,!--no-ctf", o.ctf,
             "correct for the CTF; by itself where the file has one");
  app.add_option("--shifts", o.shifts, "the file's known shifts: use or ignore")
      ->check(one_of({"use", "ignore"}));
  app.add_option("--invert", o.invert, "contrast: yes for dark particles, auto detects them")
      ->check(one_of({"auto", "yes", "no"}));
  add_choice(app, "--normalise,!--no-normalise", o.normalise,
             "by the background's mean and deviation; by itself unless the noise is given");
  app.add_option("--diameter", o.diameter,
                 "angstrom, of the particle: outside is background; 0: the images' edge")
      ->check(not_negative());

  app.option_defaults()->group("Noise");
  app.add_option(
         "--noise-sigma", o.noise_sigma,
         "standard deviation of the noise, a pixel; estimated from the background otherwise")
      ->check(not_negative());
  add_choice(app, "--whiten,!--no-whiten", o.whiten,
             "let the noise's power depend on the frequency; by itself unless it is given");
  app.add_option("--shift-sigma", o.shift_sigma,
                 "standard deviation of shifts that are not known, pixels: kept for the model")
      ->check(not_negative());
}

void bind_run(CLI::App& app, MomentsOptions& o) {
  add_run_options(app, o, "the random halves");
  add_checkpoint_options(app, o.checkpoint_seconds, o.resume);
  app.add_option("-o,--output", o.output, "file for the moments");
  add_choice(app, "--halves,!--no-halves", o.halves,
             "also the moments of two random halves of the images");
  app.add_option("--batch", o.batch, "images that are summed in one go; 0: by the box")
      ->check(between(0, 1 << 20));
  app.add_option("--precision", o.precision,
                 "of the products that are summed, on processors with matrix tiles: 3xtf32 or fp32")
      ->check(one_of({"3xtf32", "fp32"}));
}

void check_together(const MomentsOptions& o) {
  require_odd_box("--box", o.box, 5);
  if (o.noise_sigma && o.normalise.value_or(false))
    throw InputError(
        "--noise-sigma is that of the images as stored, which --normalise changes; give one of "
        "them");
  if (o.noise_sigma && o.whiten.value_or(false))
    throw InputError(
        "--noise-sigma is one number for all frequencies, which --whiten estimates one by one; "
        "give one of them");
  if (o.resume && o.overwrite)
    throw InputError("--resume and --overwrite contradict one another; give one of them");
  if (std::filesystem::path(o.output).extension() != ".h5")
    throw InputError("-o " + o.output +
                     ": moments go to a file that ends in .h5; give such a name, as moments.h5");
}

}  // namespace

std::filesystem::path MomentsOptions::checkpoint_file(int rank) const {
  auto file = std::filesystem::path(output).replace_extension(".checkpoint");
  if (rank > 0) file += "." + std::to_string(rank);
  return file;
}

std::optional<int> parse_options(std::vector<std::string> words, MomentsOptions& options) {
  CLI::App app{"Estimate the first two moments of views from particle images, in one pass.",
               "moments"};
  set_form(app);
  bind_input(app, options);
  bind_images(app, options);
  bind_run(app, options);
  if (const auto code = parse(app, std::move(words))) return code;
  check_together(options);
  options.deciding_options = deciding_lines(config_text(app), {"datadir"});
  return std::nullopt;
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
