#include "bench/support/bench.hpp"

#include <fstream>
#include <nlohmann/json.hpp>

#include "kernels/check.hpp"
#include "kernels/gemm.hpp"

namespace orrery::bench {

std::vector<Shape> shapes_of(const std::string& key) {
  static const nlohmann::json table = [] {
    std::ifstream file(ORRERY_SHAPES);
    if (!file) throw InputError(ORRERY_SHAPES ": the table of shapes is not there");
    return nlohmann::json::parse(file);
  }();
  if (!table.contains(key))
    throw InputError(std::string(ORRERY_SHAPES) + ": no shapes under \"" + key + "\"");
  return table.at(key).get<std::vector<Shape>>();
}

const std::vector<BackendToMeasure>& backends() {
  static const std::vector<BackendToMeasure> all = [] {
    std::vector<BackendToMeasure> found = {{"cpu", Context::cpu()}};
    if (!cuda_devices().empty()) found.push_back({"cuda", Context::cuda(0)});
    return found;
  }();
  return all;
}

}  // namespace orrery::bench

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  for (const auto& backend : orrery::bench::backends())
    benchmark::AddCustomContext(backend.name, backend.context.description());
  benchmark::AddCustomContext("BLAS", orrery::blas_description());
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
