#include "apps/mra/observations.hpp"

#include <algorithm>

#include "kernels/check.hpp"
#include "kernels/parallel_for.hpp"
#include "kernels/random.hpp"

namespace orrery {

namespace {

/// Streams of the generator, far from those of the mixtures.
enum class Drawn : std::uint64_t { noise = 1, shifts = 2 };
std::uint64_t stream(Drawn what, std::uint64_t instance, std::uint64_t block) {
  return static_cast<std::uint64_t>(what) << 62 | instance << 36 | block;
}

/// Adds to each row its shifted signal.
struct AddShiftedSignal {
  std::uint64_t seed, stream;
  View<const double, 1> signal, cumulative;
  View<double, 2> rows;

  ORRERY_HOST_DEVICE void operator()(Index row) const {
    const double drawn =
        open_unit_interval(philox(seed, stream, static_cast<std::uint64_t>(row)).word[0]);
    const Index n = signal.extent(0);
    Index shift = 0;
    for (Index s = 0; s + 1 < n; ++s) shift += drawn > cumulative.data[s];
    double* y = rows.data + row * n;
    for (Index i = 0; i < n - shift; ++i) y[i + shift] += signal.data[i];
    for (Index i = n - shift; i < n; ++i) y[i + shift - n] += signal.data[i];
  }
};

}  // namespace

Index observations_a_block(Index n) { return std::clamp<Index>((Index{1} << 19) / n, 64, 16384); }

SimulatedObservations::SimulatedObservations(const Context& ctx, View<const double, 1> signal,
                                             View<const double, 1> density, double sigma,
                                             std::uint64_t seed, std::uint64_t instance)
    : ctx_(ctx), sigma_(sigma), seed_(seed), instance_(instance), signal_(upload(ctx, signal)) {
  require_shape("SimulatedObservations", "density", density, {signal.extent(0)});
  std::vector<double> sums(density.begin(), density.end());
  for (std::size_t s = 1; s < sums.size(); ++s) sums[s] += sums[s - 1];
  cumulative_ = upload_as<double>(ctx, sums);
}

void SimulatedObservations::draw(std::uint64_t block, View<double, 2> rows) const {
  if (sigma_ > 0)
    fill_normal<double>(ctx_, seed_, stream(Drawn::noise, instance_, block), 0, sigma_,
                        rows.flat());
  else
    set_zero(ctx_, rows);
  parallel_for(ctx_, "add shifted signals", rows.extent(0),
               AddShiftedSignal{.seed = seed_,
                                .stream = stream(Drawn::shifts, instance_, block),
                                .signal = signal_,
                                .cumulative = cumulative_,
                                .rows = rows},
               3 * rows.extent(1));
}

SampleMoments observe(const Context& ctx, const SimulatedObservations& source, Index length,
                      Index observations,
                      const std::function<void(View<const double, 2> block, Index done)>& see) {
  const Index block = observations_a_block(length);
  Tensor<double, 2> rows(ctx, block, length);
  SampleMoments moments(ctx, length);
  for (Index done = 0; done < observations; done += block) {
    const auto some = rows.view().rows(0, std::min(block, observations - done));
    source.draw(static_cast<std::uint64_t>(done / block), some);
    moments.add(some);
    if (see) see(some, moments.count());
  }
  return moments;
}

}  // namespace orrery
