#pragma once

#include "kernels/context.hpp"
#include "kernels/view.hpp"

namespace orrery {

/// Quotients i / divisor for a divisor that stays the same: by a product with its reciprocal, which
/// vectorises where integer division does not. Exact for i < 2^50: the half keeps the product away
/// from every integer by more than its rounding error.
struct Quotient {
  explicit Quotient(Index divisor) : reciprocal(1.0 / static_cast<double>(divisor)) {}
  ORRERY_HOST_DEVICE Index operator()(Index i) const {
    return static_cast<Index>((static_cast<double>(i) + 0.5) * reciprocal);
  }
  double reciprocal;
};

}  // namespace orrery
