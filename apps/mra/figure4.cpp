#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "apps/mra/observations.hpp"
#include "apps/mra/refinement.hpp"
#include "apps/mra/reproduce.hpp"
#include "apps/mra/truth.hpp"
#include "io/chart.hpp"
#include "io/tables.hpp"
#include "kernels/check.hpp"
#include "moments/sample_moments.hpp"

namespace orrery {

namespace {

/// Moments of noisy observations of mixtures of two Gaussians, and their truth.
ShiftMoments simulated(CommandRun& run, const ReproduceOptions& options, Index n) {
  const double sigma = options.sigma > 0 ? options.sigma : 1;
  const auto wanted = static_cast<Index>(options.observations);
  ShiftMoments all{.instances = options.instances,
                   .n = n,
                   .observations = wanted,
                   .noise_variance = sigma * sigma,
                   .source = fmt::format("--noise-sigma {:g}", sigma)};
  for (Index b = 0; b < options.instances; ++b) {
    const auto number = static_cast<std::uint64_t>(b);
    const MixturePair pair = mixture_pair({.components = 2}, n, 1, options.seed, number);
    const SimulatedObservations source(run.ctx, {pair.signal.data(), n}, {pair.density.data(), n},
                                       sigma, options.seed, number);
    all.append(observe(run.ctx, source, n, wanted));
    all.signal.insert(all.signal.end(), pair.signal.begin(), pair.signal.end());
    all.density.insert(all.density.end(), pair.density.begin(), pair.density.end());
    run.console.live(b + 1 == options.instances, [&] {
      return fmt::format("observed {} of {} instances", b + 1, options.instances);
    });
  }
  run.console.end_live();
  return all;
}

/// Iterations worth a point: all at first, then fewer and fewer.
std::vector<Index> watched_iterations(Index last) {
  std::vector<Index> iterations;
  for (Index i = 0; i < last; i += std::max<Index>(1, i / 50)) iterations.push_back(i);
  iterations.push_back(last);
  return iterations;
}

/// Means over the instances at each watched iteration.
struct Trajectory {
  std::vector<double> log_moments, signal, density;
};

Trajectory follow(CommandRun& run, const ReproduceOptions& options, const std::string& from,
                  const ShiftMoments& target, const std::vector<Index>& watched,
                  const std::function<ShiftModel(const Context&, Index)>& start) {
  std::map<Index, std::size_t> position;
  for (std::size_t i = 0; i < watched.size(); ++i) position[watched[i]] = i;
  // One row an instance, so that instances need not wait for one another and sums keep their order.
  std::vector<std::vector<EstimateErrors>> seen(target.instances,
                                                std::vector<EstimateErrors>(watched.size()));
  const RefinementSettings settings{.iterations = options.iterations, .stops_at_noise = false};
  const Watch watch{watched, [&](Index instance, const RefinementPoint& point) {
                      seen[instance][position.at(point.iteration)] = point.errors;
                    }};
  const auto report = [&](Index done) {
    run.console.live(done == target.instances, [&] {
      return fmt::format("from {}: {} of {} instances", from, done, target.instances);
    });
  };
  refine(run.ctx, start, target, settings, report, watch);
  run.console.end_live();
  Trajectory mean;
  for (std::size_t i = 0; i < watched.size(); ++i) {
    double log_moments = 0, signal = 0, density = 0;
    for (const auto& instance : seen) {
      log_moments += std::log10(instance[i].first_moment + instance[i].second_moment);
      signal += instance[i].truth.signal;
      density += instance[i].truth.density;
    }
    const double count = static_cast<double>(target.instances);
    mean.log_moments.push_back(log_moments / count);
    mean.signal.push_back(signal / count);
    mean.density.push_back(density / count);
  }
  return mean;
}

/// The mean log10 of the summed relative errors of the truth's own moments: what no method should
/// go far below.
double noise_level(const ShiftMoments& target) {
  Estimates truth{Tensor<double, 2>(Context::cpu(1), target.instances, target.n),
                  Tensor<double, 2>(Context::cpu(1), target.instances, target.n)};
  std::copy(target.signal.begin(), target.signal.end(), truth.signal.data());
  std::copy(target.density.begin(), target.density.end(), truth.density.data());
  double total = 0;
  for (const EstimateErrors& e : errors_of(Context::cpu(), target, truth))
    total += std::log10(e.first_moment + e.second_moment);
  return total / static_cast<double>(target.instances);
}

}  // namespace

int figure4(CommandRun& run, const ReproduceOptions& options) {
  if (options.model.empty())
    throw InputError(
        "--model: figure 4 starts from a trained model; give the model.h5 of mra train "
        "--components 2 --noise-sigma 1");
  const ShiftModel model = read_model(Context::cpu(1), options.model);
  run.begin();
  const ShiftMoments target = simulated(run, options, model.n());
  const double floor = noise_level(target);
  run.console.say(
      fmt::format("{} instances; the truth's own moments are at {:.3f}", options.instances, floor));

  const auto watched = watched_iterations(options.iterations);
  auto trained = [&](const Context& ctx, Index) { return copied(ctx, model); };
  auto random = [&](const Context& ctx, Index instance) {
    return random_model(ctx, model.settings(), options.seed, instance);
  };
  const Trajectory from_trained =
      follow(run, options, "the trained networks", target, watched, trained);
  const Trajectory from_random = follow(run, options, "random networks", target, watched, random);

  io::Table table{
      .columns = {"iteration", "log10_moments_trained", "signal_trained", "density_trained",
                  "log10_moments_random", "signal_random", "density_random"},
      .rows = {}};
  std::vector<double> x;
  for (std::size_t i = 0; i < watched.size(); ++i) {
    x.push_back(double(watched[i]));
    table.rows.push_back({x.back(), from_trained.log_moments[i], from_trained.signal[i],
                          from_trained.density[i], from_random.log_moments[i],
                          from_random.signal[i], from_random.density[i]});
  }
  io::write_csv(run.folder / "figure4.csv", table);
  const std::vector<double> ends = {x.front(), x.back()};
  io::write_chart(run.folder / "figure4.svg",
                  {{.title = "Sum of both moments' relative errors",
                    .x_label = "iteration",
                    .y_label = "log10",
                    .curves = {{"trained", x, from_trained.log_moments},
                               {"random", x, from_random.log_moments},
                               {"the truth's", ends, {floor, floor}}}},
                   {.title = "Relative errors at the best whole shift",
                    .x_label = "iteration",
                    .curves = {{"signal, trained", x, from_trained.signal},
                               {"signal, random", x, from_random.signal},
                               {"density, trained", x, from_trained.density},
                               {"density, random", x, from_random.density}}}});

  auto at = [&](Index iteration) {
    const auto found = std::lower_bound(watched.begin(), watched.end(), iteration);
    return found == watched.end() ? watched.size() - 1
                                  : static_cast<std::size_t>(found - watched.begin());
  };
  const std::size_t hundred = at(100), last = watched.size() - 1;
  run.finish({{"experiment", "figure 4"},
              {"instances", options.instances},
              {"observations", target.observations},
              {"sigma", std::sqrt(target.noise_variance)},
              {"log10_moments_of_truth", floor},
              {"iteration", watched[hundred]},
              {"log10_moments_trained", from_trained.log_moments[hundred]},
              {"log10_moments_random", from_random.log_moments[hundred]},
              {"signal_trained", from_trained.signal[hundred]},
              {"density_trained", from_trained.density[hundred]},
              {"last_log10_moments_trained", from_trained.log_moments[last]},
              {"last_log10_moments_random", from_random.log_moments[last]},
              {"last_signal_trained", from_trained.signal[last]},
              {"last_density_trained", from_trained.density[last]}});
  run.console.say(fmt::format(
      "after {} iterations: trained {:.3f}, random {:.3f}; after {}: {:.3f}, {:.3f}\nresults in {}",
      watched[hundred], from_trained.log_moments[hundred], from_random.log_moments[hundred],
      watched[last], from_trained.log_moments[last], from_random.log_moments[last],
      run.folder.path().string()));
  return 0;
}

}  // namespace orrery
