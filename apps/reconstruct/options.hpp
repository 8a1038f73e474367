#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/reconstruct/priors.hpp"
#include "apps/run_options.hpp"
#include "moments/loss.hpp"
#include "nn/fourier_net.hpp"

namespace orrery {

/// Everything that decides a run. `config.toml` in the output folder holds all of it.
struct Options : RunOptions {
  // What is reconstructed.
  std::string volume;     // MRC map; empty: the built-in phantom, or with moments no truth at all
  std::string moments;    // moments.h5; empty: those of the volume
  std::string particles;  // STAR, .cs or a stack, whose moments are formed first
  double voxel_size = 0;  // angstrom; 0: as in the header, the phantom's 1
  int box = 0;            // voxels an edge; 0: the input's size, or the next odd one below
  std::string target = "exact";
  std::string views;  // CSV or STAR table of views; empty: a random mixture
  int view_mixture = 8;
  double in_plane = 0;  // concentration of the in-plane angle; 0: uniform
  bool half_maps = false;
  Index target_rank = 0;  // leading eigenvectors that stand for the second moment; 0: the matrix

  // Where the results go, and how the run is done.
  std::string output = "reconstruction";
  std::string preset = "quick";
  std::string precision = "tf32";
  bool resume = false;
  bool dry_run = false;
  double checkpoint_seconds = 60;
  std::string config_text;  // all options as TOML

  // Quadrature.
  int directions = 100;
  int angles = 12;

  // Priors.
  std::string head = "cryoai";
  std::string symmetry = "average";
  Index width = 64;
  Index modulant_layers = 2;
  Index envelope_layers = 1;
  double modulant_frequency = 0;  // w0; 0: as the box needs, see settle
  double envelope_frequency = 0;
  Index latent = 0;
  std::string amplitude = "profile";  // of the output: radial, at most the mean; or flat
  std::string density_prior = "weights";
  std::string density_over = "directions";
  double penalty = -1;   // of negative density and of density outside the support; -1: see settle
  double support = 0.5;  // radius of the support ball, as a fraction of the box

  // Loss and optimisation.
  std::string loss = "relative";
  double lambda = 1;
  std::string weighting = "auto";  // of coefficients: by their noise, where it is known
  Index steps = -1;                // of Adam; -1: see settle
  double learning_rate = 2e-3;
  std::string schedule = "cosine";
  double density_rate = 10;  // learning-rate factor of free logits
  double clip = 0;           // largest gradient norm; 0: none
  int finish = -1;           // L-BFGS evaluations after Adam; -1: see settle
  // Adam, and this fraction of the L-BFGS evaluations, see the central frequencies only, so many an
  // edge; the rest see all. 0: all throughout; -1: see settle.
  int coarse_box = -1;
  double coarse_fraction = 0.4;
  int restarts = 1;

  bool from_images() const { return !moments.empty() || !particles.empty(); }
};

/// Reads the command line, and the options it leaves open from --config or, with --resume, from the
/// output folder's config.toml. Returns the exit code when the program should end at once (help,
/// version). Throws InputError naming the option for options that there are not or that have no
/// effect, and for values that cannot be used, or not together.
std::optional<int> parse_options(std::vector<std::string> words, Options& options);

/// Settles what was left to the program, now that the box is known:
/// - w0 of the sine networks: 10 up to 25 voxels, then growing with the square root of the box
/// - the coarse box: 25 from 41 voxels on, none below, nor without L-BFGS to leave it again
/// - steps of Adam and evaluations of L-BFGS: 500 and 150, from 41 voxels on 1000 and 1200; for the
///   preset `standard` 1000 and 500, or 2000 and 2400
/// - the penalty: 0.1 for the phantom, which is positive; 0.001 for maps, whose solvent may not be
/// Throws InputError for a --target-rank that spares nothing there.
void settle(Options& options, int n);

Precision precision_of(const Options& options);
FourierNetSettings fourier_net_settings(const Options& options);
LossSettings loss_settings(const Options& options);

}  // namespace orrery
