#include "apps/moments/estimation.hpp"

#include <algorithm>
#include <map>

#include "kernels/check.hpp"
#include "kernels/ctf.hpp"
#include "kernels/large_tensor.hpp"
#include "kernels/random.hpp"

namespace orrery {

namespace {

constexpr std::uint64_t halves_stream = 0x68616c76;  // the seed's numbers that draw the halves

/// The distinct ones among the particles' contrast transfer functions, and which is whose.
struct DistinctCtfs {
  std::vector<CtfParameters> parameters;
  std::vector<int> of_particle;

  DistinctCtfs(const io::ParticleTable& table, std::span<const Index> particles) {
    std::map<std::array<double, 9>, int> seen;
    for (const Index particle : particles) {
      const auto& ctf = table.particles[static_cast<std::size_t>(particle)].ctf;
      const auto [found, is_new] =
          seen.try_emplace(numbers_of(ctf), static_cast<int>(parameters.size()));
      if (is_new) parameters.push_back(ctf);
      of_particle.push_back(found->second);
    }
  }
};

}  // namespace

Index batch_size(const MomentsOptions& options, int n) {
  if (options.batch > 0) return options.batch;
  constexpr Index bytes = 128 << 20, least = 512, most = 4096;
  const Index row_bytes = static_cast<Index>(sizeof(float)) * n * n;
  return std::clamp(bytes / row_bytes, least, most);
}

bool uses_ctf(const MomentsOptions& options, const io::ParticleTable& table) {
  if (options.ctf.value_or(false) && !table.has_ctf)
    throw InputError("--ctf: " + table.source.string() +
                     " says nothing about the CTF; leave --ctf out to take the images as they are");
  return options.ctf.value_or(table.has_ctf);
}

Estimation::Estimation(const Context& ctx, const MomentsOptions& options,
                       const io::ParticleTable& table, int n, double edge, Index batch)
    : ctx_(ctx),
      options_(options),
      table_(table),
      n_(n),
      edge_(edge),
      with_ctf_(uses_ctf(options, table)) {
  const Index pixels = Index{n} * n;
  const int parts = options.halves ? 2 : 1;
  for (int half = 0; half < parts; ++half) {
    halves_.emplace_back(ctx, pixels, with_ctf_);
    gathered_.push_back({large_tensor<float, 2>(ctx, batch, pixels), {}});
  }
}

std::size_t Estimation::half_of(Index particle) const {
  if (halves_.size() == 1) return 0;
  const int given = table_.particles[static_cast<std::size_t>(particle)].half;
  if (given == 1 || given == 2) return static_cast<std::size_t>(given - 1);
  const auto number = static_cast<std::uint64_t>(particle);
  return philox(options_.seed, halves_stream, number).word[0] & 1;
}

void Estimation::begin_batch(std::span<const Index> particles) {
  places_.clear();
  for (auto& gathered : gathered_) gathered.particles.clear();
  for (const Index particle : particles) {
    const auto half = half_of(particle);
    places_.push_back({half, std::ssize(gathered_[half].particles)});
    gathered_[half].particles.push_back(particle);
  }
}

void Estimation::put(Index first, View<const float, 2> coefficients,
                     std::span<const Index> particles) {
  for (Index b = 0; b < std::ssize(particles); ++b) {
    const auto [half, row] = places_[static_cast<std::size_t>(first + b)];
    auto& gathered = gathered_[half];
    if (particles[b] < 0)
      gathered.particles[row] = -1;
    else
      copy(ctx_, coefficients.rows(b, 1), gathered.rows.view().rows(row, 1));
  }
}

void Estimation::close_gaps(Gathered& gathered) const {
  Index kept = 0;
  const auto rows = gathered.rows.view();
  for (Index row = 0; row < std::ssize(gathered.particles); ++row) {
    const Index particle = gathered.particles[row];
    if (particle < 0) continue;
    if (kept < row) copy<float, 2>(ctx_, rows.rows(row, 1), rows.rows(kept, 1));
    gathered.particles[kept++] = particle;
  }
  gathered.particles.resize(kept);
}

void Estimation::sum(Gathered& gathered, ParticleMoments& moments) {
  const auto images = gathered.rows.view().rows(0, static_cast<Index>(gathered.particles.size()));
  if (with_ctf_) {
    const DistinctCtfs distinct(table_, gathered.particles);
    Tensor<float, 2> ctf(ctx_, static_cast<Index>(distinct.parameters.size()), moments.pixels());
    contrast_transfer<float>(ctx_, {distinct.parameters.data(), ctf.extent(0)}, n_, edge_, ctf);
    moments.add(images, ctf, distinct.of_particle);
  } else {
    moments.add(images);
  }
}

void Estimation::end_batch() {
  for (std::size_t half = 0; half < halves_.size(); ++half) {
    close_gaps(gathered_[half]);
    if (!gathered_[half].particles.empty()) sum(gathered_[half], halves_[half]);
  }
}

std::int64_t Estimation::images() const {
  std::int64_t images = 0;
  for (const auto& half : halves_) images += half.images();
  return images;
}

}  // namespace orrery
