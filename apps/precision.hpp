#pragma once

#include <string>

#include "kernels/precision.hpp"

namespace orrery {

/// By the name users give: "tf32", "3xtf32" or "fp32". The command line knows no other.
Precision precision_named(const std::string& name);

}  // namespace orrery
