#include <iostream>

#include "apps/evaluate/evaluation.hpp"
#include "apps/program.hpp"

namespace orrery {
namespace {

int run(int argc, char** argv) {
  EvaluateOptions options;
  if (const auto code = parse_options({argv + 1, argv + argc}, options)) return *code;
  const Context ctx = Context::named(options.device, options.threads);

  const MapPair pair = read_pair(ctx, options);
  for (const auto& note : pair.notes) std::cerr << "evaluate: " << note << '\n';
  if (!options.output.empty()) prepare_folder(options);
  const Evaluation result =
      evaluate(ctx, pair.reference, pair.map, options.align, options.mask_radius);
  if (!options.quiet)
    std::cout << (options.json ? to_json(result).dump(2) + "\n" : to_table(result));
  if (!options.output.empty()) write_results(options.output, result);
  return 0;
}

}  // namespace
}  // namespace orrery

int main(int argc, char** argv) {
  return orrery::run_program("evaluate", "lower --box", [&] { return orrery::run(argc, argv); });
}
