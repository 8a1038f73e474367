#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/evaluate/options.hpp"
#include "geometry/alignment.hpp"

namespace orrery {

/// Two maps on one grid of odd size, and what was done to bring them there.
struct MapPair {
  Volume reference, map;
  std::vector<std::string> notes;
};

/// Reads A and B and Fourier-crops both to one grid: the asked box, or A's largest odd one, lowered
/// to 101 voxels where rotations of a larger one would take minutes.
/// Throws InputError where a map cannot be used or the boxes differ by more than 1 %.
MapPair read_pair(const Context& ctx, const EvaluateOptions& options);

/// How B compares with A. Both are taken inside the ball |k| <= (n-1)/2, where alone a rotation is
/// defined, and inside the mask.
struct Evaluation {
  Alignment alignment;  // carries B onto A; its correlation is that of the maps as compared
  Volume aligned;       // B on A's grid, unmasked
  std::vector<double> fsc;
  Resolution half, seventh;          // FSC 0.5 and 0.143
  double relative_error = 0;         // the paper's (29), of densities as they are
  double scale = 1;                  // factor on B that makes the error least,
  double scaled_relative_error = 0;  // and that least error
};
Evaluation evaluate(const Context& ctx, const Volume& reference, const Volume& map, bool align_maps,
                    double mask_radius_angstrom);

nlohmann::ordered_json to_json(const Evaluation& evaluation);
std::string to_table(const Evaluation& evaluation);

/// Makes the folder -o, or clears an earlier comparison away. Throws InputError naming -o when it
/// can't be used, or holds another run and is not to be overwritten.
void prepare_folder(const EvaluateOptions& options);
/// aligned.mrc, fsc.star, fsc.csv and, last, summary.json.
void write_results(const std::filesystem::path& folder, const Evaluation& evaluation);

}  // namespace orrery
