#pragma once

#include "apps/moments/estimation.hpp"
#include "apps/moments/preparation.hpp"

namespace orrery {

/// The figures of a run that are not in the moments themselves.
struct RunFigures {
  Index particles = 0;  // in the file
  std::vector<std::string> problems;
  double seconds = 0;            // in all
  double images_per_second = 0;  // of the loop
  std::string device;
  int threads = 0, processes = 1;
};

/// How well the moments came out: errors as a whole, relative to the moments.
struct EstimateFigures {
  std::int64_t images = 0;
  double first_error = 0, second_error = 0;
  double unobserved = 0;  // share of the second moment's entries
};

/// Writes moments.h5, and its summary last: where that stands, the run is complete. `halves` are
/// the sums over either half of the images, or the one over all.
EstimateFigures write_results(const MomentsOptions& options, const io::ParticleTable& table,
                              const Preparation& preparation, std::vector<ParticleMoments> halves,
                              double pixel_size, const RunFigures& figures);

}  // namespace orrery
