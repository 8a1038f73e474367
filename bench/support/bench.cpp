#include "bench/support/bench.hpp"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "kernels/check.hpp"
#include "kernels/gemm.hpp"

namespace orrery::bench {

namespace {

/// Of the source tree, or in a bundle of its share folder.
std::filesystem::path table_of_shapes() {
  const auto program = std::filesystem::read_symlink("/proc/self/exe");
  const auto bundled = program.parent_path().parent_path() / "share/orrery/bench/shapes.json";
  return std::filesystem::exists(bundled) ? bundled : ORRERY_SHAPES;
}

}  // namespace

std::vector<Shape> shapes_of(const std::string& key) {
  static const std::filesystem::path path = table_of_shapes();
  static const nlohmann::json table = [] {
    std::ifstream file(path);
    if (!file) throw InputError(path.string() + ": the table of shapes is not there");
    return nlohmann::json::parse(file);
  }();
  if (!table.contains(key)) throw InputError(path.string() + ": no shapes under \"" + key + "\"");
  return table.at(key).get<std::vector<Shape>>();
}

const std::vector<BackendToMeasure>& backends() {
  static const std::vector<BackendToMeasure> all = [] {
    std::vector<BackendToMeasure> found = {{"cpu", Context::cpu()}};
    const Context device = Context::named("auto", 0);
    if (device.backend() == Backend::cuda) found.push_back({"cuda", device});
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
