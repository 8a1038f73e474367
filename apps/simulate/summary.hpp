#pragma once

#include <nlohmann/json.hpp>

#include "apps/simulate/imaging.hpp"
#include "apps/simulate/truth.hpp"

namespace orrery {

/// What a run says in its summary of what is seen and of the noise: `power` is the mean square of a
/// pixel without it, `sigma` its standard deviation.
nlohmann::ordered_json summary_of(const SimulateOptions& options, const SimulatedTruth& truth,
                                  const ImageMaker& maker, double power, double sigma);

/// And, behind that, of the work.
void add_work(nlohmann::ordered_json& summary, const Context& ctx, const SimulateOptions& options,
              double seconds);

}  // namespace orrery
