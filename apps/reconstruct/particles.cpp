#include "apps/reconstruct/particles.hpp"

#include "apps/moments/run.hpp"

namespace orrery {

namespace {

MomentsOptions moments_options(const Options& options) {
  MomentsOptions o;
  o.particles = options.particles;
  o.output = (std::filesystem::path(options.output) / "moments.h5").string();
  o.box = options.box;
  o.seed = options.seed;
  if (options.precision == "fp32") o.precision = "fp32";
  o.quiet = options.quiet;
  o.resume = !options.overwrite && std::filesystem::exists(o.checkpoint_file());
  o.overwrite = !o.resume;
  return o;
}

}  // namespace

int form_particle_moments(const Context& ctx, Options& options, const OutputChoice& output,
                          Console& console) {
  const OutputFolder folder(output, "");
  const MomentsOptions of_images = moments_options(options);
  const bool done = options.resume && std::filesystem::exists(of_images.output);
  const int code = done ? 0 : estimate_moments(ctx, of_images, console);
  options.moments = of_images.output;
  return code;
}

int box_of_particles(const Options& options) { return moments_box(moments_options(options)); }

}  // namespace orrery
