#include "apps/evaluate/options.hpp"

#include <CLI/CLI.hpp>
#include <iostream>

#include "apps/program.hpp"
#include "kernels/check.hpp"

namespace orrery {

std::optional<int> parse_options(int argc, char** argv, EvaluateOptions& options) {
  auto& o = options;
  CLI::App app{
      "Align map B to map A over rotations, small shifts and both hands, and compare them."};
  app.get_formatter()->column_width(34);
  app.add_option("A", o.reference, "reference map (MRC, CCP4, gzip)")->required();
  app.add_option("B", o.map, "map to compare with it")->required();
  app.add_flag_callback(
      "--no-align", [&] { o.align = false; }, "compare the maps as they lie");
  app.add_option("--mask-radius", o.mask_radius, "angstrom; compare inside this ball alone")
      ->check(CLI::PositiveNumber);
  app.add_option("--box", o.box, "voxels an edge to compare at: odd, at most A's")
      ->check(CLI::PositiveNumber);
  app.add_option("--voxel-size", o.voxel_size, "angstrom; overrides both maps' headers")
      ->check(CLI::PositiveNumber);
  app.add_option("-o,--output", o.output,
                 "folder for aligned.mrc, fsc.star, fsc.csv, summary.json");
  app.add_flag("--overwrite", o.overwrite, "write into a folder that is not empty");
  app.add_flag("--json", o.json, "print one JSON object instead of a table");
  app.add_option("--device", o.device, "auto, cpu, cuda or cuda:1")->capture_default_str();
  app.add_option("--threads", o.threads, "worker threads; 0 takes all processors")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  app.set_version_flag("--version", version_text("evaluate"));
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& done) {
    return app.exit(done);
  } catch (const CLI::ParseError& error) {
    std::cerr << "evaluate: " << error.what() << "; see evaluate --help\n";
    return 2;
  }
  if (o.box != 0 && (o.box % 2 == 0 || o.box < 5))
    throw InputError("--box " + std::to_string(o.box) +
                     ": the box must be odd and at least 5; use " +
                     std::to_string(std::max(5, o.box - 1)));
  return std::nullopt;
}

}  // namespace orrery
