#pragma once

#include <cmath>

#include "kernels/view.hpp"

namespace orrery {

// What a reduction adds up, the same for both twins: the term of one pair of numbers, and how two
// partial results become one. 0 is the neutral element of each.

struct AddingTerm {
  ORRERY_HOST_DEVICE static double combine(double a, double b) { return a + b; }
};

struct SumTerm : AddingTerm {
  ORRERY_HOST_DEVICE static double of(double x, double) { return x; }
};

struct ProductTerm : AddingTerm {
  ORRERY_HOST_DEVICE static double of(double x, double y) { return x * y; }
};

struct SquaredDifferenceTerm : AddingTerm {
  ORRERY_HOST_DEVICE static double of(double x, double y) { return (x - y) * (x - y); }
};

struct MagnitudeTerm {
  ORRERY_HOST_DEVICE static double of(double x, double) { return fabs(x); }
  // Written so that a NaN on either side stays.
  ORRERY_HOST_DEVICE static double combine(double a, double b) { return a > b || a != a ? a : b; }
};

}  // namespace orrery
