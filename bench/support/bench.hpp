#pragma once

#include <benchmark/benchmark.h>

#include <exception>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kernels/random.hpp"
#include "kernels/tensor.hpp"

namespace orrery::bench {

/// One row of bench/shapes.json: named whole numbers.
using Shape = std::map<std::string, Index>;

/// The rows under that key. Throws InputError when the file or the key is missing.
std::vector<Shape> shapes_of(const std::string& key);

struct BackendToMeasure {
  std::string name;
  Context context;
};
/// The CPU, and the first CUDA device where there is one.
const std::vector<BackendToMeasure>& backends();

/// A piece of work that can be run again and again, and what it takes: arithmetic operations, and
/// bytes that have to be read and written at least once.
template <class Run>
struct Work {
  double flop;
  double bytes;
  Run run;
};

/// A tensor of normal numbers.
template <class T, class... Extents>
auto random_tensor(const Context& ctx, Extents... extents) {
  Tensor<T, sizeof...(Extents)> tensor(ctx, extents...);
  fill_normal<T>(ctx, 1, 0, T(0), T(1), tensor.view().flat());
  return tensor;
}

/// Registers the benchmark "name/backend/shape" for each shape under `key` and each backend, or
/// that one alone. What "library_x" names is the ladder's upper rung for the kernel x of the same
/// shape. `prepare(ctx, shape)` takes memory and returns the Work; its result is run until the time
/// is known, once unmeasured before. Rates are shown as flop and bytes a second; what it throws
/// stands in its row as an error.
template <class Prepare>
bool measure(const std::string& name, const std::string& key, Prepare prepare,
             std::optional<Backend> only = {}) {
  for (const BackendToMeasure& backend : backends()) {
    if (only && backend.context.backend() != *only) continue;
    for (const Shape& shape : shapes_of(key)) {
      std::string label = name + "/" + backend.name;
      for (const auto& [field, value] : shape) label += "/" + field + ":" + std::to_string(value);
      auto timed = [prepare, shape, ctx = backend.context](benchmark::State& state) {
        try {
          auto work = prepare(ctx, shape);
          work.run();
          ctx.synchronize();
          for (auto _ : state) {
            work.run();
            ctx.synchronize();
          }
          using benchmark::Counter;
          state.counters["flop"] = Counter(work.flop, Counter::kIsIterationInvariantRate);
          state.counters["bytes"] = Counter(work.bytes, Counter::kIsIterationInvariantRate);
        } catch (const std::exception& error) {
          state.SkipWithError(error.what());  // and the others are measured
        }
      };
      // Wall-clock time: the work is spread over threads, or done by a device.
      benchmark::RegisterBenchmark(label.c_str(), timed)
          ->UseRealTime()
          ->Unit(benchmark::kMicrosecond);
    }
  }
  return true;
}

}  // namespace orrery::bench
