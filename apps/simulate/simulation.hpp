#pragma once

#include <functional>
#include <optional>

#include "apps/simulate/imaging.hpp"
#include "apps/simulate/output.hpp"
#include "apps/view_moments_file.hpp"

namespace orrery {

/// Called after each batch with the images done; false ends the work.
using ImagesDone = std::function<bool(std::int64_t)>;

/// Writes the stacks, and the STAR file last. False when it was ended early: then nothing is left.
bool simulate_images(const Context& ctx, const SimulateOptions& options, const ImageMaker& maker,
                     double sigma, double pixel_size, SimulationOutput& output,
                     const ImagesDone& done);

struct SimulatedMoments {
  ViewMoments moments;
  // Relative errors against the exact moments, and what the estimate's own standard errors let
  // expect; absent where the exact ones would take too long.
  struct Errors {
    double first = 0, second = 0, expected_first = 0, expected_second = 0;
  };
  std::optional<Errors> errors;
};

/// The moments of images that are never stored; nothing when it was ended early.
std::optional<SimulatedMoments> simulate_moments(const Context& ctx, const SimulateOptions& options,
                                                 const ImageMaker& maker, const Volume& truth,
                                                 double sigma, const ImagesDone& done);

}  // namespace orrery
