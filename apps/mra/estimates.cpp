#include "apps/mra/estimates.hpp"

#include <algorithm>
#include <cmath>

#include "io/tables.hpp"
#include "kernels/check.hpp"
#include "kernels/gemm.hpp"
#include "kernels/real_fourier.hpp"
#include "moments/shift_moments.hpp"

namespace orrery {

namespace {

constexpr Index joint_shifts_a_sample = 8;

View<const double, 2> rows_of(const std::vector<double>& numbers, Index rows, Index columns) {
  return {numbers.data(), rows, columns};
}

/// Moments of pairs beside those of one instance, or of as many instances.
struct PairMoments {
  Tensor<double, 2> first;
  Tensor<double, 3> second;
};
PairMoments moments_of(const Context& ctx, View<const double, 2> signal,
                       View<const double, 2> density) {
  const Index count = signal.extent(0), n = signal.extent(1);
  PairMoments moments{Tensor<double, 2>(ctx, count, n), Tensor<double, 3>(ctx, count, n, n)};
  shift_moments_forward<double>(ctx, signal, density, moments.first, moments.second);
  return moments;
}

}  // namespace

double relative_distance(const double* found, const double* wanted, Index count) {
  double missed = 0, norm = 0;
  for (Index i = 0; i < count; ++i) {
    missed += (found[i] - wanted[i]) * (found[i] - wanted[i]);
    norm += wanted[i] * wanted[i];
  }
  return norm > 0 ? std::sqrt(missed / norm) : std::sqrt(missed);
}

std::vector<EstimateErrors> errors_of(const Context& where, const ShiftMoments& target,
                                      const Estimates& estimates) {
  const Context ctx = Context::cpu(where.threads());
  const Index count = target.instances, n = target.n;
  const auto moments = moments_of(ctx, estimates.signal, estimates.density);
  std::vector<EstimateErrors> errors(count);
  for (Index b = 0; b < count; ++b) {
    errors[b].first_moment =
        relative_distance(&moments.first(b, 0), target.first.data() + b * n, n);
    errors[b].second_moment =
        relative_distance(&moments.second(b, 0, 0), target.second.data() + b * n * n, n * n);
  }
  if (target.signal.empty() || target.density.empty()) return errors;

  Tensor<double, 1> error(ctx, count), shift(ctx, count);
  for (const Shifts shifts : {Shifts::grid, Shifts::continuous}) {
    ShiftError<double> at_best_shift(ctx, shifts, count, n);
    const bool on_grid = shifts == Shifts::grid;
    at_best_shift.errors(estimates.signal, rows_of(target.signal, count, n), error, shift);
    for (Index b = 0; b < count; ++b)
      (on_grid ? errors[b].truth.signal : errors[b].truth.continuous_signal) = error(b);
    at_best_shift.errors(estimates.density, rows_of(target.density, count, n), error, shift);
    for (Index b = 0; b < count; ++b)
      (on_grid ? errors[b].truth.density : errors[b].truth.continuous_density) = error(b);
  }
  return errors;
}

EstimateErrors mean_of(const std::vector<EstimateErrors>& errors) {
  EstimateErrors mean;
  const double share = 1 / static_cast<double>(errors.size());
  for (const EstimateErrors& e : errors) {
    mean.first_moment += share * e.first_moment;
    mean.second_moment += share * e.second_moment;
    mean.truth.signal += share * e.truth.signal;
    mean.truth.density += share * e.truth.density;
    mean.truth.continuous_signal += share * e.truth.continuous_signal;
    mean.truth.continuous_density += share * e.truth.continuous_density;
  }
  return mean;
}

double signal_norm(const ShiftMoments& target, Index instance) {
  double trace = 0;
  for (Index i = 0; i < target.n; ++i)
    trace += target.second[(instance * target.n + i) * target.n + i];
  if (!(trace > 0))
    throw InputError(target.source + ": second_moment: the trace of instance " +
                     std::to_string(instance) +
                     " is not positive, so nothing is left of the signal beside the noise; check "
                     "the noise variance");
  return std::sqrt(trace);
}

Estimates predict(const Context& ctx, const ShiftModel& model, const ShiftMoments& target) {
  const Index n = target.n;
  if (n != model.n())
    throw InputError(target.source + ": the signals have length " + std::to_string(n) +
                     ", but the model was trained for " + std::to_string(model.n()) +
                     "; train one with mra train --length " + std::to_string(n));
  constexpr Index largest_batch = 256;
  const Context host = Context::cpu(ctx.threads());
  const auto basis = real_fourier_basis<double>(host, n);
  Tensor<double, 2> m1(host, 1, n), half(host, n, n), m2(host, n, n);
  Estimates estimates{Tensor<double, 2>(host, target.instances, n),
                      Tensor<double, 2>(host, target.instances, n)};
  for (Index begin = 0; begin < target.instances; begin += largest_batch) {
    const Index count = std::min(largest_batch, target.instances - begin);
    Tensor<float, 2> first(host, count, n);
    Tensor<float, 3> second(host, count, n, n);
    for (Index i = 0; i < count; ++i) {
      const Index b = begin + i;
      const double scale = 1 / signal_norm(target, b);
      gemm<double>(host, Transpose::no, Transpose::yes, scale,
                   {target.first.data() + b * n, Index{1}, n}, basis, 0, m1);
      gemm<double>(host, Transpose::no, Transpose::yes, scale * scale,
                   {target.second.data() + b * n * n, n, n}, basis, 0, half);
      gemm<double>(host, Transpose::no, Transpose::no, 1, basis, half, 0, m2);
      std::copy(m1.view().begin(), m1.view().end(), &first(i, 0));
      std::copy(m2.view().begin(), m2.view().end(), &second(i, 0, 0));
    }
    auto workspace = model.workspace(count);
    Tensor<float, 2> signal(ctx, count, n), density(ctx, count, n);
    model.forward(upload(ctx, first), upload(ctx, second), workspace, signal, density);
    const auto v = download(ctx, signal), p = download(ctx, density);
    for (Index i = 0; i < count; ++i) {
      const double norm = signal_norm(target, begin + i);
      for (Index j = 0; j < n; ++j) {
        estimates.signal(begin + i, j) = norm * v(i, j);
        estimates.density(begin + i, j) = p(i, j);
      }
    }
  }
  return estimates;
}

double best_joint_shift(const Context& ctx, const ShiftMoments& target, Index instance,
                        View<const double, 1> signal, View<const double, 1> density) {
  const Index n = target.n;
  const auto basis = real_fourier_basis<double>(ctx, n);
  const double* first = target.first.data() + instance * n;
  const double* second = target.second.data() + instance * n * n;
  Tensor<double, 2> shifted(ctx, 1, n);
  Tensor<double, 1> turned_first(ctx, n);
  Tensor<double, 2> turned_second(ctx, n, n);
  double best_shift = 0, best = INFINITY;
  for (Index part = 0; part < joint_shifts_a_sample; ++part) {
    const double fraction = static_cast<double>(part) / joint_shifts_a_sample;
    shift_signal<double>(basis, fraction, signal, shifted.view()[0]);
    const auto moments = moments_of(ctx, shifted, density.reshaped(1, n));
    // A shift by whole samples moves the moments along their axes.
    for (Index s = 0; s < n; ++s) {
      for (Index i = 0; i < n; ++i) {
        const Index from = (i + n - s) % n;
        turned_first(i) = moments.first(0, from);
        const double* row = &moments.second(0, from, 0);
        std::copy(row + n - s, row + n, &turned_second(i, 0));
        std::copy(row, row + n - s, &turned_second(i, 0) + s);
      }
      const double distance = relative_distance(turned_first.data(), first, n) +
                              relative_distance(turned_second.data(), second, n * n);
      if (distance < best) {
        best = distance;
        best_shift = static_cast<double>(s) + fraction;
      }
    }
  }
  return best_shift;
}

void align_pairs(const Context& ctx, const ShiftMoments& target, Estimates& estimates) {
  const Context host = Context::cpu(ctx.threads());
  const auto basis = real_fourier_basis<double>(host, target.n);
  Tensor<double, 1> shifted(host, target.n);
  for (Index b = 0; b < target.instances; ++b) {
    const View<double, 1> signal = estimates.signal.view()[b];
    const double shift =
        best_joint_shift(host, target, b, signal, std::as_const(estimates.density).view()[b]);
    shift_signal<double>(basis, shift, signal, shifted);
    std::copy(shifted.view().begin(), shifted.view().end(), signal.begin());
  }
}

void write_estimates(const std::filesystem::path& folder, const ShiftMoments& target,
                     const Estimates& estimates, const std::vector<EstimateErrors>& errors) {
  const std::vector<std::uint64_t> extents = {static_cast<std::uint64_t>(target.instances),
                                              static_cast<std::uint64_t>(target.n)};
  auto array = [&](const Tensor<double, 2>& numbers) {
    return io::Array{extents, std::vector<double>(numbers.view().begin(), numbers.view().end())};
  };
  io::Hdf5File file;
  file.attributes = {{"format_version", std::int64_t{1}},
                     {"n", std::int64_t{target.n}},
                     {"instances", std::int64_t{target.instances}}};
  file.arrays = {{"signal", array(estimates.signal)}, {"density", array(estimates.density)}};
  io::write_hdf5(folder / "estimates.h5", file);

  const bool has_truth = !target.signal.empty() && !target.density.empty();
  io::Table table{.columns = {"instance", "first_moment_error", "second_moment_error"}, .rows = {}};
  if (has_truth)
    for (const char* column :
         {"signal_error", "density_error", "signal_error_continuous", "density_error_continuous"})
      table.columns.push_back(column);
  for (std::size_t b = 0; b < errors.size(); ++b) {
    const EstimateErrors& e = errors[b];
    table.rows.push_back({double(b), e.first_moment, e.second_moment});
    if (has_truth)
      for (const double error :
           {e.truth.signal, e.truth.density, e.truth.continuous_signal, e.truth.continuous_density})
        table.rows.back().push_back(error);
  }
  io::write_csv(folder / "errors.csv", table);
}

nlohmann::ordered_json summary_of(const ShiftMoments& target,
                                  const std::vector<EstimateErrors>& errors) {
  const EstimateErrors mean = mean_of(errors);
  nlohmann::ordered_json figures = {
      {"instances", target.instances},           {"n", target.n},
      {"observations", target.observations},     {"noise_variance", target.noise_variance},
      {"first_moment_error", mean.first_moment}, {"second_moment_error", mean.second_moment}};
  if (target.signal.empty() || target.density.empty()) return figures;
  figures["signal_error"] = mean.truth.signal;
  figures["density_error"] = mean.truth.density;
  figures["signal_error_continuous"] = mean.truth.continuous_signal;
  figures["density_error_continuous"] = mean.truth.continuous_density;
  return figures;
}

}  // namespace orrery
