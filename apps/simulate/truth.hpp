#pragma once

#include <string>
#include <vector>

#include "apps/simulate/options.hpp"
#include "geometry/volume.hpp"

namespace orrery {

/// What is seen, exactly as used, scaled to Frobenius norm 1.
struct SimulatedTruth {
  Volume volume;
  std::string what;                // for people: the file's name, or "the phantom"
  std::vector<std::string> notes;  // what the user should be told
};

/// The map, the model's density or the phantom at the size asked for; of odd size where moments are
/// formed. Throws InputError for unusable input.
SimulatedTruth read_truth(const Context& ctx, const SimulateOptions& options);

}  // namespace orrery
