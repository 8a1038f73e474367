#pragma once

#include "apps/mra/common.hpp"

namespace orrery {

struct ReproduceOptions : CommandOptions {
  std::string experiment, model;
  // table1
  double pairs = 3e6;
  Index test_pairs = 250000;
  double sigma = 0;
  // figure4
  Index instances = 20, iterations = 3000;
  double observations = 1e6;
};

// Each gives the exit code.

/// The errors of trained networks over new pairs, a model for each row of the paper's Table 1.
int table1(CommandRun& run, const ReproduceOptions& options);

/// The way of the refinement from a trained model and from random networks, as in its Figure 4.
int figure4(CommandRun& run, const ReproduceOptions& options);

/// `mra reproduce`: the paper's experiments.
void add_reproduce(CLI::App& app);

}  // namespace orrery
