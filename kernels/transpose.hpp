#pragma once

#include "kernels/context.hpp"
#include "kernels/view.hpp"

namespace orrery {

/// to[j,i] = from[i,j]
/// Shapes   from (r,c)  to (c,r), which must not overlap.
/// Throws   std::invalid_argument on a shape mismatch.
/// Cost     every number read and written once, in whole cache lines. T is float or double.
template <class T>
void transpose(const Context& ctx, View<const T, 2> from, View<T, 2> to);

}  // namespace orrery
