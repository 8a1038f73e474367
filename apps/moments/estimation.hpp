#pragma once

#include <span>
#include <vector>

#include "apps/moments/options.hpp"
#include "io/particles.hpp"
#include "moments/particle_moments.hpp"

namespace orrery {

/// Gathers coefficients in batches and sums them, apart for each half of the images. What a batch
/// is, is a matter of the particles' order alone: the same sums come out wherever the work was
/// interrupted between two of them.
class Estimation {
 public:
  /// `edge` is the images' edge in angstrom.
  Estimation(const Context& ctx, const MomentsOptions& options, const io::ParticleTable& table,
             int n, double edge, Index batch);

  /// Gives each of a batch's particles its place.
  void begin_batch(std::span<const Index> particles);
  /// Takes the coefficients (B,D) of those from place `first` of the batch on; where a particle is
  /// -1 it takes none. Several threads may call it at a time.
  void put(Index first, View<const float, 2> coefficients, std::span<const Index> particles);
  /// Sums what has been gathered.
  void end_batch();
  /// Gives the memory of batches back: no more images come.
  void end() { gathered_.clear(); }

  std::int64_t images() const;
  /// One, or two for the halves.
  std::vector<ParticleMoments>& halves() { return halves_; }
  const std::vector<ParticleMoments>& halves() const { return halves_; }

 private:
  /// What a half gathers in this batch.
  struct Gathered {
    Tensor<float, 2> rows;
    std::vector<Index> particles;  // whose row it is; -1: nobody's
  };
  /// Where in this batch a particle's coefficients go.
  struct Place {
    std::size_t half;
    Index row;
  };
  std::size_t half_of(Index particle) const;
  void close_gaps(Gathered& gathered) const;
  void sum(Gathered& gathered, ParticleMoments& moments);

  Context ctx_;
  const MomentsOptions& options_;
  const io::ParticleTable& table_;
  int n_;
  double edge_;
  bool with_ctf_;
  std::vector<ParticleMoments> halves_;
  std::vector<Gathered> gathered_;
  std::vector<Place> places_;
};

/// Images that are summed in one go: as asked for, or as many as keep the processor busy without
/// taking more memory than they must.
Index batch_size(const MomentsOptions& options, int n);

/// Whether contrast transfer functions are corrected for. Throws InputError where they are asked
/// for and the file has none.
bool uses_ctf(const MomentsOptions& options, const io::ParticleTable& table);

}  // namespace orrery
