#pragma once

#include <functional>
#include <optional>

#include "apps/simulate/imaging.hpp"
#include "apps/simulate/output.hpp"
#include "apps/view_moments_file.hpp"
#include "io/particles.hpp"

namespace orrery {

/// Called after each batch with the images done; false ends the work.
using ImagesDone = std::function<bool(std::int64_t)>;

/// Writes the stacks, and gives the STAR file that speaks of them; nothing when it was ended early.
std::optional<io::ParticleTable> simulate_images(const Context& ctx, const SimulateOptions& options,
                                                 const ImageMaker& maker, double sigma,
                                                 double pixel_size, SimulationOutput& output,
                                                 const ImagesDone& done);

struct SimulatedMoments {
  ViewMoments moments;
  // Relative errors against the exact moments, and what the estimate's own standard errors let
  // expect, both over what was observed; absent where the exact ones would take too long.
  struct Errors {
    double first = 0, second = 0, expected_first = 0, expected_second = 0;
  };
  std::optional<Errors> errors;
};

/// The moments of images that are never stored, and those of the first and the second half of them,
/// which differ by one image at most; nothing when it was ended early.
std::optional<SimulatedMoments> simulate_moments(const Context& ctx, const SimulateOptions& options,
                                                 const ImageMaker& maker, const Volume& truth,
                                                 double sigma, const ImagesDone& done);

}  // namespace orrery
