#include "apps/reconstruct/particles.hpp"

#include "apps/moments/run.hpp"

namespace orrery {

namespace {

/// As if these words stood after `moments`.
MomentsOptions moments_options(const Options& options) {
  MomentsOptions o;
  parse_options({options.particles, "--output",
                 (std::filesystem::path(options.output) / "moments.h5").string(), "--box",
                 std::to_string(options.box), "--seed", std::to_string(options.seed), "--precision",
                 options.precision == "fp32" ? "fp32" : "3xtf32"},
                o);
  o.quiet = options.quiet;
  return o;
}

}  // namespace

int form_particle_moments(const Context& ctx, Options& options, OutputChoice& output,
                          Console& console, const Processes& processes) {
  // What is there, all learn from one: files come while others are still looking.
  const auto is_there = [&](const std::filesystem::path& file) {
    return processes.from_first(std::filesystem::exists(file));
  };
  MomentsOptions of_images = moments_options(options);
  const bool begun = is_there(of_images.checkpoint_file());
  const bool done = is_there(of_images.output) && !begun && options.resume;
  if (begun && !is_there(output.path / "checkpoint.h5")) options.resume = output.resume = false;
  of_images.resume = begun && !options.overwrite;
  of_images.overwrite = options.overwrite;

  const OutputFolder folder(output, "", processes);
  const int code = done ? 0 : estimate_moments(ctx, of_images, console, processes);
  options.moments = of_images.output;
  return code;
}

int box_of_particles(const Options& options) { return moments_box(moments_options(options)); }

}  // namespace orrery
