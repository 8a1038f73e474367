#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "io/hdf5.hpp"
#include "kernels/view.hpp"
#include "moments/sample_moments.hpp"

namespace orrery {

/// First and second moments of shifted signals, many instances of one length, in real space:
/// moments/shift_moments.hpp has the formulas. Noise is already taken out of the second moments.
struct ShiftMoments {
  Index instances = 0, n = 0;
  std::vector<double> first = {};   // (instances, n)
  std::vector<double> second = {};  // (instances, n, n)
  std::int64_t observations = 0;    // of each instance; 0: exact moments
  double noise_variance = 0;        // a sample's
  // The truth, where it is known.
  std::vector<double> signal = {};   // (instances, n) or empty
  std::vector<double> density = {};  // (instances, n) or empty; sums to 1
  /// What else is worth keeping: seed, settings.
  std::map<std::string, io::Attribute> notes = {};
  std::string source = {};  // path, for messages

  /// One more instance's moments; the noise's variance is taken out of the second.
  void append(const SampleMoments& observed);
};

/// Writes float64 `first_moment`, `second_moment` and, where known, `signal` and `density`, with
/// the attributes format_version, basis ("real space"), n, instances, observations, noise_variance
/// and the notes. Atomic.
void write_shift_moments(const std::filesystem::path& path, const ShiftMoments& moments);

/// Throws InputError naming the file and the field for another format version or basis, wrong
/// shapes, numbers that are not finite and second moments that are not symmetric.
ShiftMoments read_shift_moments(const std::filesystem::path& path);

}  // namespace orrery
