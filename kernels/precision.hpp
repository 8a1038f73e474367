#pragma once

#include <type_traits>

namespace orrery {

/// How matrices of floats are multiplied in our own kernels. Sums are kept in FP32 always; numbers
/// are rounded to the precision when they are multiplied, nowhere else. Double knows one precision
/// only, its own. So does the CPU, but for processors with matrix tiles (AMX): there anything but
/// fp32 means 16 bits after the leading one, see kernels/sine_network_tiles.hpp.
enum class Precision {
  fp32,        // FP32 multiply-adds, without tensor cores
  three_tf32,  // each number as the sum of two TF32 numbers, three products: FP32 but for its last
               // bits, on tensor cores
  tf32         // 10 bits after the leading one: a relative error of 2^-11 in each number
};

/// Calls f with the precision as a constant: a std::integral_constant.
template <class F>
void with_precision(Precision precision, const F& f) {
  switch (precision) {
    case Precision::fp32:
      return f(std::integral_constant<Precision, Precision::fp32>{});
    case Precision::three_tf32:
      return f(std::integral_constant<Precision, Precision::three_tf32>{});
    case Precision::tf32:
      return f(std::integral_constant<Precision, Precision::tf32>{});
  }
}

}  // namespace orrery
