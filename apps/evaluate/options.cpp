#include "apps/evaluate/options.hpp"

#include "apps/command_line.hpp"

namespace orrery {

std::optional<int> parse_options(std::vector<std::string> words, EvaluateOptions& options) {
  auto& o = options;
  CLI::App app{
      "Align map B to map A over rotations, small shifts and both hands, and compare them.",
      "evaluate"};
  set_form(app);
  app.add_option("A", o.reference, "reference map (MRC, CCP4, gzip)")
      ->required()
      ->configurable(false);
  app.add_option("B", o.map, "map to compare with it")->required()->configurable(false);
  app.option_defaults()->group("Comparison");
  add_choice(app, "--align,!--no-align", o.align, "B to A first, or compare the maps as they lie");
  app.add_option("--mask-radius", o.mask_radius, "angstrom; compare inside this ball; 0: all")
      ->check(not_negative());
  app.add_option("--box", o.box, "voxels an edge to compare at: odd, at most A's")
      ->check(not_negative());
  app.add_option("--voxel-size", o.voxel_size, "angstrom; overrides both maps' headers")
      ->check(not_negative());
  app.add_flag("--json", o.json, "print one JSON object instead of a table");
  add_run_options(app, o, "");
  app.add_option("-o,--output", o.output,
                 "folder for aligned.mrc, fsc.star, fsc.csv, summary.json");
  if (const auto code = parse(app, std::move(words))) return code;
  require_odd_box("--box", o.box, 5);
  if (o.quiet) refuse_idle(app, {"--json"}, "beside --quiet");
  if (o.output.empty()) refuse_idle(app, {"--overwrite", "--quiet"}, "without -o");
  return std::nullopt;
}

}  // namespace orrery
