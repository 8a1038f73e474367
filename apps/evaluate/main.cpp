#include <iostream>
#include <new>

#include "apps/evaluate/evaluation.hpp"
#include "kernels/check.hpp"

namespace orrery {
namespace {

int run(int argc, char** argv) {
  EvaluateOptions options;
  if (const auto code = parse_options(argc, argv, options)) return *code;
  const Context ctx = Context::named(options.device, options.threads);
  if (!options.output.empty()) prepare_folder(options);

  const MapPair pair = read_pair(ctx, options);
  for (const auto& note : pair.notes) std::cerr << "evaluate: " << note << '\n';
  const Evaluation result =
      evaluate(ctx, pair.reference, pair.map, options.align, options.mask_radius);
  std::cout << (options.json ? to_json(result).dump(2) + "\n" : to_table(result));
  if (!options.output.empty()) write_results(options.output, result);
  return 0;
}

}  // namespace
}  // namespace orrery

int main(int argc, char** argv) {
  try {
    return orrery::run(argc, argv);
  } catch (const orrery::InputError& error) {
    std::cerr << "evaluate: " << error.what() << '\n';
    return 2;
  } catch (const std::bad_alloc&) {
    std::cerr << "evaluate: out of memory; lower --box\n";
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "evaluate: " << error.what() << '\n';
    return 1;
  }
}
