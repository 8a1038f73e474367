#pragma once

#include "apps/reconstruct/options.hpp"
#include "geometry/volume.hpp"
#include "kernels/context.hpp"

namespace orrery {

/// The FourierNet fitted to a volume and sampled on its grid again (the paper's neural ground
/// truth), with the relative error of the fit. Throws Diverged.
struct NeuralTruth {
  Volume volume;
  double relative_error = 0;
};
NeuralTruth fit_neural_truth(const Context& ctx, const Volume& volume, const Options& options);

}  // namespace orrery
