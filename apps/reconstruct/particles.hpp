#pragma once

#include "apps/console.hpp"
#include "apps/output_folder.hpp"
#include "apps/reconstruct/options.hpp"
#include "kernels/context.hpp"

namespace orrery {

/// --particles: forms the moments of the images as the program `moments` would, at its own
/// settings, in the output folder, and names them as --moments. A run that is resumed has them
/// already; an estimate that was interrupted goes on where it stood when the same command is given
/// again, with --resume or without: the reconstruction, which has then yet to begin, is not resumed
/// any more. The exit code: 0, or 130 when interrupted. Throws InputError for unusable particles,
/// and where the folder holds another run.
int form_particle_moments(const Context& ctx, Options& options, OutputChoice& output,
                          Console& console, const Processes& processes = Processes::alone());

/// The box that these moments will have. Reads the particles' table and the stacks' headers.
int box_of_particles(const Options& options);

}  // namespace orrery
