#include "apps/precision.hpp"

namespace orrery {

Precision precision_named(const std::string& name) {
  return name == "fp32"     ? Precision::fp32
         : name == "3xtf32" ? Precision::three_tf32
                            : Precision::tf32;
}

}  // namespace orrery
