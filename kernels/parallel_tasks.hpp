#pragma once

#include <exception>

#include "kernels/context.hpp"

namespace orrery {

/// Calls f(i) for each i in [0, count) on up to `threads` host threads, each taking the next call
/// when it is done with one. The calls are independent of one another; what one throws is thrown
/// again once all are done, which OpenMP would not let through by itself.
template <class F>
void for_each_task(int threads, Index count, const F& f) {
  std::exception_ptr failure;
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
  for (Index i = 0; i < count; ++i) {
    try {
      f(i);
    } catch (...) {
#pragma omp critical(orrery_failure)
      failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace orrery
