#pragma once

#include <initializer_list>
#include <stdexcept>
#include <string>

#include "kernels/view.hpp"

namespace orrery {

/// What the user gave cannot be used: the message names the file or option, the field and the
/// remedy in one sentence. Programs print it and exit with code 2.
struct InputError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Throws std::invalid_argument("operation: problem") unless `holds`.
void require(bool holds, const char* operation, const char* problem);

namespace detail {
[[noreturn]] void fail_shape(const char* operation, const char* operand, const Index* found,
                             const Index* expected, int rank);
}

/// Throws std::invalid_argument naming operation, operand and both shapes unless they agree.
///     require_shape("conv1d_forward", "weight", weight, {O, C, T});
template <class T, int Rank>
void require_shape(const char* operation, const char* operand, View<T, Rank> view,
                   const Index (&expected)[Rank]) {
  for (int d = 0; d < Rank; ++d)
    if (view.extents[d] != expected[d])
      detail::fail_shape(operation, operand, view.extents, expected, Rank);
}

}  // namespace orrery
