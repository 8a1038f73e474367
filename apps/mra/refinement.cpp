#include "apps/mra/refinement.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/check.hpp"
#include "kernels/gemm.hpp"
#include "kernels/parallel_tasks.hpp"
#include "kernels/pointwise.hpp"
#include "kernels/real_fourier.hpp"
#include "kernels/reduce.hpp"
#include "moments/shift_moments.hpp"

namespace orrery {

namespace {

/// One instance of a file.
ShiftMoments only(const ShiftMoments& all, Index instance) {
  auto row = [&](const std::vector<double>& numbers, Index length) {
    return numbers.empty() ? numbers
                           : std::vector<double>(numbers.begin() + instance * length,
                                                 numbers.begin() + (instance + 1) * length);
  };
  return {.instances = 1,
          .n = all.n,
          .first = row(all.first, all.n),
          .second = row(all.second, all.n * all.n),
          .observations = all.observations,
          .noise_variance = all.noise_variance,
          .signal = row(all.signal, all.n),
          .density = row(all.density, all.n),
          .source = all.source};
}

template <class T>
Tensor<float, 1> scaled(const Context& ctx, const std::vector<T>& numbers, double factor) {
  auto tensor = upload_as<float>(ctx, numbers);
  scale<float>(ctx, static_cast<float>(factor), tensor);
  return tensor;
}

/// || a - b ||; a becomes the gradient of weight || a - b ||.
double distance_and_gradient(const Context& ctx, double weight, View<float, 1> a,
                             View<const float, 1> b) {
  add_scaled<float>(ctx, -1, b, a);
  const double distance = std::sqrt(squared_norm<float>(ctx, a));
  scale<float>(ctx, distance > 0 ? static_cast<float>(weight / distance) : 0.0f, a);
  return distance;
}

/// One instance's networks on their way to its moments, scaled to a signal of norm 1.
class Refinement {
 public:
  Refinement(const Context& ctx, ShiftModel start, const ShiftMoments& target,
             const RefinementSettings& settings)
      : ctx_(ctx),
        target_(target),
        settings_(settings),
        n_(target.n),
        norm_(signal_norm(target, 0)),
        model_(std::move(start)),
        adam_(ctx, model_.parameters(), {.amsgrad = false}, 0),
        workspace_(model_.workspace(1)),
        target_first_(scaled(ctx, target.first, 1 / norm_)),
        target_second_(scaled(ctx, target.second, 1 / (norm_ * norm_))),
        input_first_(ctx, 1, n_),
        input_second_(ctx, 1, n_, n_),
        unshifted_(ctx, 1, n_),
        signal_(ctx, 1, n_),
        density_(ctx, 1, n_),
        first_(ctx, 1, n_),
        second_(ctx, 1, n_, n_),
        dsignal_(ctx, 1, n_),
        dunshifted_(ctx, 1, n_),
        ddensity_(ctx, 1, n_) {
    const auto basis = real_fourier_basis<float>(ctx, n_);
    Tensor<float, 2> half(ctx, n_, n_);
    gemm<float>(ctx, Transpose::no, Transpose::yes, 1, target_first_.view().reshaped(1, n_), basis,
                0, input_first_);
    gemm<float>(ctx, Transpose::no, Transpose::yes, 1, target_second_.view().reshaped(n_, n_),
                basis, 0, half);
    gemm<float>(ctx, Transpose::no, Transpose::no, 1, basis, half, 0, input_second_.view()[0]);
    turn_to_fit();
  }

  /// (28) at the present weights; leaves the gradients for step().
  double evaluate() {
    model_.forward(input_first_, input_second_, workspace_, unshifted_, density_);
    gemm<float>(ctx_, Transpose::no, Transpose::yes, 1, unshifted_, turn_, 0, signal_);
    shift_moments_forward<float>(ctx_, signal_, density_, first_, second_);
    return distance_and_gradient(ctx_, 1, first_.view().flat(), target_first_) +
           settings_.lambda *
               distance_and_gradient(ctx_, settings_.lambda, second_.view().flat(), target_second_);
  }

  void step() {
    shift_moments_backward<float>(ctx_, signal_, density_, first_, second_, dsignal_, ddensity_);
    gemm<float>(ctx_, Transpose::no, Transpose::no, 1, dsignal_, turn_, 0, dunshifted_);
    model_.parameters().zero_gradients();
    model_.backward(workspace_, density_, dunshifted_, ddensity_);
    adam_.step(settings_.learning_rate);
  }

  /// What the last evaluation saw.
  Estimates estimates() const {
    const auto v = download(ctx_, signal_), p = download(ctx_, density_);
    const Context host = Context::cpu(1);
    Estimates pair{Tensor<double, 2>(host, 1, n_), Tensor<double, 2>(host, 1, n_)};
    for (Index i = 0; i < n_; ++i) {
      pair.signal(0, i) = norm_ * v(0, i);
      pair.density(0, i) = p(0, i);
    }
    return pair;
  }

 private:
  /// Sets the matrix that shifts the signal network's answer so that it fits the density's.
  void turn_to_fit() {
    model_.forward(input_first_, input_second_, workspace_, signal_, density_);
    const Context host = Context::cpu(1);
    const auto pair = estimates();
    const double shift =
        best_joint_shift(host, target_, 0, pair.signal.view()[0], pair.density.view()[0]);
    const auto basis = real_fourier_basis<float>(host, n_);
    Tensor<float, 2> columns(host, n_, n_), turn(host, n_, n_);
    for (Index j = 0; j < n_; ++j) {
      Tensor<float, 1> impulse = Tensor<float, 1>::zeros(host, n_);
      impulse(j) = 1;
      shift_signal<float>(basis, shift, impulse, columns.view()[j]);
    }
    for (Index i = 0; i < n_; ++i)
      for (Index j = 0; j < n_; ++j) turn(i, j) = columns(j, i);
    turn_ = upload(ctx_, turn);
  }

  Context ctx_;
  const ShiftMoments& target_;
  RefinementSettings settings_;
  Index n_;
  double norm_;
  ShiftModel model_;
  Adam<float> adam_;
  ShiftModel::Workspace workspace_;
  Tensor<float, 1> target_first_, target_second_;
  Tensor<float, 2> input_first_;  // the target in the real Fourier basis: what the networks see
  Tensor<float, 3> input_second_;
  Tensor<float, 2> turn_;  // (n,n) shifts a signal
  Tensor<float, 2> unshifted_, signal_, density_;
  Tensor<float, 2> first_;  // the pair's moments, then the loss's gradients
  Tensor<float, 3> second_;
  Tensor<float, 2> dsignal_, dunshifted_, ddensity_;
};

}  // namespace

ShiftModel random_model(const Context& ctx, ShiftModelSettings kind, std::uint64_t seed,
                        Index instance) {
  kind.seed = seed + static_cast<std::uint64_t>(instance);
  ShiftModel model(ctx, kind);
  model.initialise();
  return model;
}

double noise_floor(const ShiftMoments& target, Index instance, double lambda) {
  if (target.observations == 0) return 0;
  const double n = static_cast<double>(target.n);
  const double variance = target.noise_variance / std::pow(signal_norm(target, instance), 2);
  return (std::sqrt(variance * n) + 1.03 * lambda * n * variance) /
         std::sqrt(static_cast<double>(target.observations));
}

Refined refine(const Context& ctx, const std::function<ShiftModel(const Context&, Index)>& start,
               const ShiftMoments& target, const RefinementSettings& settings,
               const std::function<void(Index done)>& report, const Watch& watch) {
  const Index count = target.instances, n = target.n;
  const Context host = Context::cpu(1);
  Refined refined{{Tensor<double, 2>(host, count, n), Tensor<double, 2>(host, count, n)},
                  std::vector<Index>(count),
                  std::vector<bool>(count)};
  std::vector<char> reached(count, 0);
  Index done = 0;

  auto one = [&](const Context& where, Index b) {
    const ShiftMoments alone = only(target, b);
    Refinement refinement(where, start(where, b), alone, settings);
    const double floor = settings.stops_at_noise ? noise_floor(alone, 0, settings.lambda) : 0;
    Index iteration = 0;
    for (;; ++iteration) {
      const double loss = refinement.evaluate();
      if (std::binary_search(watch.iterations.begin(), watch.iterations.end(), iteration))
        watch.see(b, {iteration, errors_of(where, alone, refinement.estimates()).front()});
      reached[b] = loss <= floor;
      if (reached[b] || iteration == settings.iterations) break;
      refinement.step();
    }
    const Estimates pair = refinement.estimates();
    std::copy(pair.signal.view().begin(), pair.signal.view().end(),
              &refined.estimates.signal(b, 0));
    std::copy(pair.density.view().begin(), pair.density.view().end(),
              &refined.estimates.density(b, 0));
    refined.iterations[b] = iteration;
#pragma omp critical(orrery_refined)
    if (report) report(++done);
  };

  if (ctx.backend() == Backend::cuda) {
    for (Index b = 0; b < count; ++b) one(ctx, b);
  } else {
    // One thread an instance: what a single one does is too little to share.
    blas::load();
    for_each_task(ctx.threads(), count, [&](Index b) { one(Context::cpu(1), b); });
  }
  refined.reached_noise.assign(reached.begin(), reached.end());
  return refined;
}

}  // namespace orrery
