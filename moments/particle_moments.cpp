#include "moments/particle_moments.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/check.hpp"
#include "kernels/large_tensor.hpp"
#include "kernels/parallel_for.hpp"
#include "kernels/row_sums.hpp"

namespace orrery {

namespace {

/// images[b,i] *= ctf[which[b],i]
struct Weigh {
  float* images;
  const float* ctf;
  const int* which;
  Index pixels;
  ORRERY_HOST_DEVICE void operator()(Index task) const {
    images[task] *= ctf[which[task / pixels] * pixels + task % pixels];
  }
};

/// squares[g,i] = factor[g] ctf[g,i]^2
struct Square {
  const float *ctf, *factor;
  float* squares;
  Index pixels;
  ORRERY_HOST_DEVICE void operator()(Index task) const {
    squares[task] = factor[task / pixels] * ctf[task] * ctf[task];
  }
};

struct Add {
  const double* from;
  double* to;
  ORRERY_HOST_DEVICE void operator()(Index i) const { to[i] += from[i]; }
};

void add_to(const Context& ctx, const Tensor<double, 1>& from, Tensor<double, 1>& to) {
  parallel_for(ctx, "add sums", from.size(), Add{from.data(), to.data()});
}

Tensor<double, 1> empty_triangle(const Context& ctx, Index pixels) {
  auto triangle = large_tensor<double, 1>(ctx, packed_size(pixels));
  set_zero(ctx, triangle.view());
  return triangle;
}

std::span<double> numbers_of(Tensor<double, 1>& numbers) {
  return {numbers.data(), static_cast<std::size_t>(numbers.size())};
}

/// On the CPU the sums, which may be most of the memory, are not copied.
void with_host_copy(const Context& ctx, const Tensor<double, 1>& numbers, const auto& use) {
  const auto size = static_cast<std::size_t>(numbers.size());
  if (ctx.backend() == Backend::cpu) return use(std::span(numbers.data(), size));
  const auto host = download(ctx, numbers);
  use(std::span(host.data(), size));
}

/// Which CTF is which image's, as the caller left it open or said.
std::vector<int> assignment(Index images, Index ctfs, std::span<const int> given) {
  std::vector<int> which(given.begin(), given.end());
  if (which.empty()) {
    require(ctfs == images || ctfs == 1, "ParticleMoments::add",
            "there must be one CTF for all images, one for each, or a list of which is whose");
    which.assign(static_cast<std::size_t>(images), 0);
    for (Index b = 0; ctfs > 1 && b < images; ++b) which[b] = static_cast<int>(b);
  }
  require(static_cast<Index>(which.size()) == images &&
              std::all_of(which.begin(), which.end(), [&](int g) { return g >= 0 && g < ctfs; }),
          "ParticleMoments::add", "the list of CTFs does not name one for each image");
  return which;
}

/// Turns sums into estimates, element by element. See docs/method.md, "Moments from images".
class Estimator {
 public:
  Estimator(View<const double, 1> first, View<const double, 1> second, View<const double, 1> weight,
            View<const double, 1> second_weight, double images,
            std::span<const double> noise_variance)
      : first_(first),
        second_(second),
        weight_(weight),
        second_weight_(second_weight),
        images_(images),
        noise_variance_(noise_variance),
        n_(first.extent(0)) {
    double most = 0;
    for (Index i = 0; i < n_; ++i) most = std::max(most, second_weight_of(i, i));
    least_weight_ = least_share * most;
    coefficients_.resize(static_cast<std::size_t>(n_));
    for (Index i = 0; i < n_; ++i) coefficients_[i] = coefficient(i);
  }

  ParticleMomentsEstimate all(int threads, bool second_errors) const {
    ParticleMomentsEstimate e;
    const auto size = static_cast<std::size_t>(n_);
    for (const auto& c : coefficients_) {
      e.first.push_back(c.mean);
      e.first_error.push_back(c.mean_error);
    }
    e.second.resize(size * size);
    if (second_errors) e.second_error.resize(size * size);
    std::int64_t unobserved = 0;
    // In tiles, so that the mirrored half is written while its lines are in the cache.
    constexpr Index tile = 64;
#pragma omp parallel for schedule(dynamic) num_threads(threads) reduction(+ : unobserved)
    for (Index top = 0; top < n_; top += tile)
      for (Index left = top; left < n_; left += tile)
        for (Index i = top; i < std::min(top + tile, n_); ++i)
          for (Index j = std::max(i, left); j < std::min(left + tile, n_); ++j) {
            const auto [value, error] = pair(i, j);
            e.second[i * n_ + j] = e.second[j * n_ + i] = static_cast<float>(value);
            unobserved += std::isinf(error);
            if (second_errors)
              e.second_error[i * n_ + j] = e.second_error[j * n_ + i] = static_cast<float>(error);
          }
    e.unobserved = unobserved;
    return e;
  }

 private:
  struct Coefficient {
    double mean = 0, mean_error = std::numeric_limits<double>::infinity();
    double power = 0;         // of an image's coefficient, as its CTFs weigh it
    double transmission = 0;  // mean c^2, as the CTFs weigh it
  };
  struct Entry {
    double value, error;
  };

  double weight_of(Index i) const { return weight_.size() ? weight_(i) : images_; }
  double second_weight_of(Index i, Index j) const {
    return second_weight_.size() ? second_weight_(packed_index(n_, i, j)) : images_;
  }

  Coefficient coefficient(Index i) const {
    Coefficient c;
    const double weight = weight_of(i);
    if (std::isinf(noise_variance_[i]) || second_weight_of(i, i) <= least_weight_) return c;
    c.mean = first_(i) / weight;
    c.power = second_(packed_index(n_, i, i)) / weight;
    c.transmission = second_weight_of(i, i) / weight;
    c.mean_error = std::sqrt(std::max(c.power - c.transmission * c.mean * c.mean, 0.) / weight);
    return c;
  }

  Entry pair(Index i, Index j) const {
    const double weight = second_weight_of(i, j);
    const auto &a = coefficients_[i], &b = coefficients_[j];
    if (std::isinf(a.mean_error) || std::isinf(b.mean_error) || weight <= least_weight_)
      return {0, std::numeric_limits<double>::infinity()};
    const double noise = i == j ? noise_variance_[i] * weight_of(i) : 0;
    const double value = (second_(packed_index(n_, i, j)) - noise) / weight;
    const double transmission = a.transmission * b.transmission;
    const double covariance = i == j ? a.power * a.power : transmission * value * value;
    const double means = 2 * transmission * a.mean * a.mean * b.mean * b.mean;
    return {value, std::sqrt(std::max(a.power * b.power + covariance - means, 0.) / weight)};
  }

  // Below this share of the greatest weight an estimate's error is a thousand times that of the
  // best, and its only use would be to hide the others.
  static constexpr double least_share = 1e-6;

  View<const double, 1> first_, second_, weight_, second_weight_;
  double images_, least_weight_ = 0;
  std::span<const double> noise_variance_;
  Index n_;
  std::vector<Coefficient> coefficients_;
};

}  // namespace

ParticleMoments::ParticleMoments(const Context& ctx, Index pixels, bool with_ctf)
    : ctx_(ctx),
      with_ctf_(with_ctf),
      first_(Tensor<double, 1>::zeros(ctx, pixels)),
      second_(empty_triangle(ctx, pixels)) {
  if (!with_ctf) return;
  weight_ = Tensor<double, 1>::zeros(ctx, pixels);
  second_weight_ = empty_triangle(ctx, pixels);
}

void ParticleMoments::add(View<float, 2> images, View<const float, 2> ctf,
                          std::span<const int> ctf_of_image) {
  const Index count = images.extent(0), ctfs = with_ctf_ ? ctf.extent(0) : 0;
  require_shape("ParticleMoments::add", "images", images, {count, pixels()});
  if (count == 0) return;
  if (with_ctf_) {
    require_shape("ParticleMoments::add", "ctf", ctf, {ctfs, pixels()});
    const auto which = assignment(count, ctfs, ctf_of_image);
    parallel_for(ctx_, "weigh images", images.size(),
                 Weigh{images.data, ctf.data, upload_as<int>(ctx_, which).data(), pixels()});

    // Images that share a CTF weigh as many times as much: one row of squares for all of them.
    std::vector<double> factors(static_cast<std::size_t>(ctfs));
    for (const int g : which) ++factors[g];
    Tensor<float, 2> squares(ctx_, ctfs, pixels());
    const auto square = [&] {
      parallel_for(
          ctx_, "squares of CTFs", squares.size(),
          Square{ctf.data, upload_as<float>(ctx_, factors).data(), squares.data(), pixels()});
    };
    square();
    add_rows(ctx_, squares, weight_);
    for (double& factor : factors) factor = std::sqrt(factor);
    square();
    add_row_products(ctx_, squares, second_weight_);
  } else {
    require(ctf.size() == 0, "ParticleMoments::add", "CTFs came to sums without CTFs");
  }
  add_rows(ctx_, images, first_);
  add_row_products(ctx_, images, second_);
  images_ += count;
}

void ParticleMoments::add(const ParticleMoments& other) {
  require(pixels() == other.pixels() && with_ctf_ == other.with_ctf_ &&
              ctx_.backend() == other.ctx_.backend(),
          "ParticleMoments::add", "the other sums are not of the same kind");
  images_ += other.images_;
  add_to(ctx_, other.first_, first_);
  add_to(ctx_, other.second_, second_);
  if (!with_ctf_) return;
  add_to(ctx_, other.weight_, weight_);
  add_to(ctx_, other.second_weight_, second_weight_);
}

void ParticleMoments::sum_over(const Processes& processes) {
  images_ = static_cast<std::int64_t>(processes.sum(static_cast<double>(images_)));
  for (auto* sums : {&first_, &second_, &weight_, &second_weight_})
    if (sums->size() > 0) processes.sum(ctx_, sums->view());
}

ParticleMomentsEstimate ParticleMoments::estimate(double noise_variance) const {
  const std::vector<double> white(static_cast<std::size_t>(pixels()), noise_variance);
  return estimate(std::span(white));
}

ParticleMomentsEstimate ParticleMoments::estimate(std::span<const double> noise_variance,
                                                  bool second_errors) const {
  require(images_ > 0, "ParticleMoments", "there are no images");
  require(static_cast<Index>(noise_variance.size()) == pixels(), "ParticleMoments",
          "there is not one noise variance a coefficient");
  std::vector<Tensor<double, 1>> copies;  // none on the CPU: the sums may be most of the memory
  const auto here = [&](const Tensor<double, 1>& sums) -> View<const double, 1> {
    if (ctx_.backend() == Backend::cpu || sums.size() == 0) return sums;
    return copies.emplace_back(download(ctx_, sums));
  };
  const Estimator estimator(here(first_), here(second_), here(weight_), here(second_weight_),
                            static_cast<double>(images_), noise_variance);
  auto estimate = estimator.all(ctx_.threads(), second_errors);
  estimate.images = images_;
  return estimate;
}

void ParticleMoments::visit_sums(const std::function<void(std::span<const double>)>& visit) const {
  const auto images = static_cast<double>(images_);
  visit(std::span(&images, 1));
  for (const auto* sums : {&first_, &second_, &weight_, &second_weight_})
    if (sums->size() > 0) with_host_copy(ctx_, *sums, visit);
}

void ParticleMoments::change_sums(const std::function<void(std::span<double>)>& change) {
  auto images = static_cast<double>(images_);
  change(std::span(&images, 1));
  images_ = static_cast<std::int64_t>(images);
  for (auto* sums : {&first_, &second_, &weight_, &second_weight_}) {
    if (sums->size() == 0) continue;
    if (ctx_.backend() == Backend::cpu) {
      change(numbers_of(*sums));
      continue;
    }
    auto host = download(ctx_, *sums);
    change(numbers_of(host));
    *sums = upload(ctx_, host);
  }
}

}  // namespace orrery
