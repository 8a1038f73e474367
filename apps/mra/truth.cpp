#include "apps/mra/truth.hpp"

#include <fmt/format.h>

#include <cmath>
#include <numeric>
#include <optional>

#include "io/observations.hpp"
#include "kernels/check.hpp"
#include "kernels/tensor.hpp"

namespace orrery {

namespace {

/// Streams of the generator, far from the small numbers that training draws from.
constexpr std::uint64_t signal_stream = std::uint64_t{3} << 62, density_stream = signal_stream + 1;

std::vector<double> mixture(const MixtureLaw& law, Index n, std::uint64_t seed,
                            std::uint64_t stream, std::uint64_t index) {
  require(law.components >= 1 && law.components <= Mixture::most_components, "mixture_pair",
          "the number of components is out of range");
  const Mixture drawn = draw_mixture(law, n, seed, stream, index);
  std::vector<double> values;
  for (Index i = 0; i < n; ++i) values.push_back(drawn(double(i) / double(n)));
  return values;
}

std::vector<double> scaled_to_norm(std::vector<double> signal, double norm) {
  const double found =
      std::sqrt(std::inner_product(signal.begin(), signal.end(), signal.begin(), 0.0));
  for (double& x : signal) x *= norm / found;
  return signal;
}

std::vector<double> scaled_to_sum_one(std::vector<double> density) {
  const double sum = std::accumulate(density.begin(), density.end(), 0.0);
  for (double& x : density) x /= sum;
  return density;
}

/// Every row of a file of signals or densities.
struct Rows {
  Index length = 0;
  std::vector<std::vector<double>> rows;
};
Rows read_rows(const std::string& path, const char* usual_name) {
  const auto file = io::open_observations(path, "", usual_name);
  if (file->instances() > 1)
    throw InputError(path + ": has three dimensions, but should have two: a row for each instance");
  Rows all{.length = file->length(), .rows = {}};
  Tensor<double, 2> row(Context::cpu(1), 1, all.length);
  while (file->read(row) > 0) all.rows.emplace_back(row.view().begin(), row.view().end());
  return all;
}

/// Takes the files' number and length where the options leave them open.
void agree(const Rows& rows, const std::string& path, Index& length, Index& instances) {
  const auto count = static_cast<Index>(rows.rows.size());
  if (length != 0 && length != rows.length)
    throw InputError(
        fmt::format("{}: has rows of {} numbers, but the length is {} elsewhere; make them equal "
                    "or leave --length out",
                    path, rows.length, length));
  if (instances != 0 && instances != count)
    throw InputError(
        fmt::format("{}: has {} rows, but there are {} instances elsewhere; make them equal or "
                    "leave --instances out",
                    path, count, instances));
  length = rows.length;
  instances = count;
}

void require_signal(const std::vector<double>& signal, const std::string& path, Index row) {
  for (const double x : signal)
    if (x != 0) return;
  throw InputError(fmt::format("{}: row {} is zero everywhere; leave it out", path, row + 1));
}

void require_density(const std::vector<double>& density, const std::string& path, Index row) {
  for (const double x : density)
    if (x < 0)
      throw InputError(
          fmt::format("{}: row {} has the negative probability {}; correct it", path, row + 1, x));
  if (!(std::accumulate(density.begin(), density.end(), 0.0) > 0))
    throw InputError(fmt::format("{}: row {} has no probability; correct it", path, row + 1));
}

}  // namespace

MixturePair mixture_pair(const MixtureLaw& law, Index n, double norm, std::uint64_t seed,
                         std::uint64_t index) {
  return {.signal = scaled_to_norm(mixture(law, n, seed, signal_stream, index), norm),
          .density = scaled_to_sum_one(mixture(law, n, seed, density_stream, index))};
}

Truth read_or_draw_truth(const TruthOptions& o, std::uint64_t seed) {
  Truth truth{.instances = o.instances, .n = o.length, .signal = {}, .density = {}};
  std::optional<Rows> signals, densities;
  if (!o.signals.empty()) {
    signals = read_rows(o.signals, "signal");
    agree(*signals, o.signals, truth.n, truth.instances);
  }
  if (!o.densities.empty()) {
    densities = read_rows(o.densities, "density");
    agree(*densities, o.densities, truth.n, truth.instances);
  }
  if (truth.n == 0) truth.n = 41;
  if (truth.instances == 0) truth.instances = 1;
  if (truth.n < 2 || truth.n > 8192)
    throw InputError(fmt::format("{}: signals of length {} cannot be used; 2 to 8192 samples can",
                                 signals     ? o.signals
                                 : densities ? o.densities
                                             : std::string("--length"),
                                 truth.n));

  const MixtureLaw law{.components = o.components, .centres_on_grid = o.centres == "grid"};
  for (Index i = 0; i < truth.instances; ++i) {
    auto [signal, density] =
        mixture_pair(law, truth.n, o.norm > 0 ? o.norm : 1, seed, static_cast<std::uint64_t>(i));
    if (signals) {
      require_signal(signals->rows[i], o.signals, i);
      signal = o.norm > 0 ? scaled_to_norm(signals->rows[i], o.norm) : signals->rows[i];
    }
    if (densities) {
      require_density(densities->rows[i], o.densities, i);
      density = scaled_to_sum_one(densities->rows[i]);
    }
    truth.signal.insert(truth.signal.end(), signal.begin(), signal.end());
    truth.density.insert(truth.density.end(), density.begin(), density.end());
  }
  return truth;
}

}  // namespace orrery
