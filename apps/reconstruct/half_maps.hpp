#pragma once

#include <vector>

#include "apps/reconstruct/options.hpp"
#include "geometry/comparison.hpp"
#include "geometry/volume.hpp"

namespace orrery {

/// The options for reconstructing one half (0 or 1) of the images: all the same but the random
/// start. Started from the whole's parameters, or alike, the halves would share its mistakes too;
/// so they share the priors and nothing else.
Options half_options(const Options& options, int half);

/// Reconstructions from the two random halves of the images, in the frame of the whole's, and their
/// agreement. That is not the accuracy of either: what the priors make up may be alike in both.
struct HalfMaps {
  Volume first, second;
  std::vector<double> fsc;
  Resolution resolution;  // FSC 0.143
};

/// Aligns the first to the whole and the second to the first, either hand.
HalfMaps compare_halves(const Context& ctx, const Volume& whole, const Volume& first,
                        const Volume& second);

}  // namespace orrery
