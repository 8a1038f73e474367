#include "apps/moments/preparation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "apps/moments/estimation.hpp"
#include "kernels/check.hpp"

namespace orrery {

namespace {

constexpr Index most_surveyed = 1000;

/// |k| to the nearest integer, of each point of the centred n x n grid.
std::vector<std::size_t> rounded_rings(Index n) {
  std::vector<std::size_t> rings;
  const Index half = (n - 1) / 2;
  for (Index ky = -half; ky <= half; ++ky)
    for (Index kx = -half; kx <= half; ++kx)
      rings.push_back(
          static_cast<std::size_t>(std::lround(std::sqrt(static_cast<double>(kx * kx + ky * ky)))));
  return rings;
}

/// The circle that parts particle and background.
BackgroundCircle circle_of(const MomentsOptions& o, Index size, double pixel_size) {
  const double edge = static_cast<double>(size);
  const double diameter = o.diameter > 0 ? o.diameter / pixel_size : edge;
  // A tenth more than the circle that touches the edges still leaves something of the corners.
  if (diameter < 4 || diameter > 1.1 * edge)
    throw InputError(
        fmt::format("--diameter {:g}: the images have an edge of {:.4g} angstrom; give something "
                    "between {:.3g} and {:.4g}",
                    o.diameter, edge * pixel_size, 4 * pixel_size, 1.1 * edge * pixel_size));
  return {size, diameter / 2};
}

}  // namespace

/// Sums over the images looked at.
struct Preparation::Survey {
  Index images = 0;
  double contrast = 0, contrast_squares = 0;  // middle less background
  double level = 0;                           // of the background, as stored
  double offset = 0, offset_squares = 0;      // the same, after the gain
  std::vector<double> noise;                  // of the background, by ring, of a coefficient
  double power = 0;                           // of a coefficient but that of frequency zero

  /// Adds what the other processes have seen.
  void sum_over(const Processes& processes) {
    images = static_cast<Index>(processes.sum(static_cast<double>(images)));
    for (double* x : {&contrast, &contrast_squares, &level, &offset, &offset_squares, &power})
      *x = processes.sum(*x);
    processes.sum(Context::cpu(1), View<double, 1>(noise.data(), std::ssize(noise)));
  }

  double mean(double sum) const { return sum / static_cast<double>(images); }
  double variance(double sum, double squares) const {
    return std::max(mean(squares) - mean(sum) * mean(sum), 0.);
  }
};

Preparation::Preparation(const Context& ctx, const MomentsOptions& options,
                         const io::ParticleTable& table, const io::ParticleImages& images,
                         double pixel_size, int box, const Processes& processes)
    : ctx_(ctx),
      options_(options),
      table_(table),
      pixel_size_(pixel_size),
      circle_(circle_of(options, images.size(), pixel_size)),
      transform_(ctx, images.size(), box) {
  const auto survey = look(images, processes);
  settle_contrast(survey);
  settle_noise(survey);
}

std::string Preparation::name_of(Index particle) const {
  const auto& p = table_.particles[static_cast<std::size_t>(particle)];
  return fmt::format("{}: image {}", table_.stacks[static_cast<std::size_t>(p.stack)].string(),
                     p.image + 1);
}

std::vector<Preparation::Brightness> Preparation::brightness(View<const float, 3> images) const {
  const Index count = images.extent(0);
  Tensor<double, 2> sums(ctx_, count, Index{3});
  background_sums(ctx_, circle_, images, sums);
  const auto found = download(ctx_, sums);
  const double outside = static_cast<double>(circle_.pixels_outside());
  const double middle = static_cast<double>(circle_.pixels_in_middle());
  std::vector<Brightness> all;
  for (Index b = 0; b < count; ++b) {
    const double mean = found(b, 0) / outside;
    const double variance = found(b, 1) / outside - mean * mean;
    // What is left of equal numbers is rounding.
    const bool is_constant = variance <= 1e-10 * mean * mean;
    all.push_back({mean, is_constant ? 0 : std::sqrt(variance), found(b, 2) / middle});
  }
  return all;
}

double Preparation::gain_of(ImageBlock& block, std::size_t b, const Brightness& brightness) const {
  if (block.particles[b] < 0) return 0;
  if (!options_.normalises()) return sign_;
  if (brightness.deviation > 0) return sign_ / brightness.deviation;
  block.problems.push_back(name_of(block.particles[b]) +
                           " has a constant background, by which it cannot be normalised; leave it "
                           "out, or give --no-normalise");
  if (!options_.skip_bad) throw InputError(block.problems.back());
  block.particles[b] = -1;
  return 0;
}

Tensor<double, 2> Preparation::shifts_of(const ImageBlock& block) const {
  const bool known = table_.has_origins && options_.shifts == "use";
  const auto count = static_cast<Index>(block.particles.size());
  auto shifts = Tensor<double, 2>::zeros(Context::cpu(1), known ? count : 0, Index{2});
  for (Index b = 0; b < shifts.extent(0); ++b) {
    if (block.particles[b] < 0) continue;
    const auto& particle = table_.particles[static_cast<std::size_t>(block.particles[b])];
    shifts(b, 0) = particle.origin_x / pixel_size_;
    shifts(b, 1) = particle.origin_y / pixel_size_;
  }
  return shifts;
}

Tensor<float, 2> Preparation::coefficients(ImageBlock& block) const {
  const Index count = block.images().extent(0);
  Tensor<float, 3> copy;  // on the CPU the images are changed where they are
  if (ctx_.backend() == Backend::cuda) copy = upload(ctx_, block.images());
  const View<float, 3> images = copy.size() > 0 ? copy.view() : block.images();
  if (options_.normalises() || sign_ < 0) {
    const auto found = options_.normalises() ? brightness(images)
                                             : std::vector<Brightness>(block.particles.size());
    Tensor<float, 2> change(Context::cpu(1), count, Index{2});
    for (std::size_t b = 0; b < found.size(); ++b) {
      const auto row = static_cast<Index>(b);
      change(row, 0) = static_cast<float>(level_);
      change(row, 1) = static_cast<float>(gain_of(block, b, found[b]));
    }
    adjust_brightness(ctx_, upload(ctx_, change), images);
  }
  Tensor<float, 2> h(ctx_, count, n() * n());
  transform_(images, shifts_of(block), h);
  return h;
}

std::vector<double> Preparation::background_shares() const {
  // With w the background's indicator, m^2 f its pixels: white noise x of variance 1 leaves
  // w (x - mean) with a power of f - |W(k)|^2 / (m^2 f), where W is w's unitary transform.
  auto ones = Tensor<float, 3>(Context::cpu(1), Index{1}, circle_.size, circle_.size);
  std::fill(ones.view().begin(), ones.view().end(), 1.f);
  auto indicator = upload(ctx_, ones);
  keep_background(ctx_, circle_, indicator);
  Tensor<float, 2> h(ctx_, Index{1}, n() * n());
  transform_(indicator, View<const double, 2>(nullptr, 0, 2), h);
  const auto transformed = download(ctx_, h);

  const double crop = static_cast<double>(n()) / static_cast<double>(circle_.size);
  const double outside = static_cast<double>(circle_.pixels_outside());
  const double share = outside / static_cast<double>(circle_.size * circle_.size);
  const auto rings = rounded_rings(n());
  std::vector<double> shares(rings.front() + 1);
  for (std::size_t i = 0; i < rings.size(); ++i) {
    const double transform = transformed.data()[i] / (crop * crop);
    shares[rings[i]] += share - transform * transform / outside;
  }
  return shares;
}

Preparation::Survey Preparation::look(const io::ParticleImages& images,
                                      const Processes& processes) const {
  const auto& usable = images.usable();
  const auto total = static_cast<Index>(usable.size()), some = std::min(total, most_surveyed);
  const auto rings = rounded_rings(n());
  const View<const double, 2> unmoved(nullptr, 0, 2);

  Survey survey;
  survey.noise.resize(rings.front() + 1);
  constexpr Index together = 64;
  ImageBlock block;
  block.pixels = Tensor<float, 3>(Context::cpu(1), together, images.size(), images.size());
  const Index step = together * processes.count();
  for (Index first = together * processes.rank(); first < some; first += step) {
    std::vector<Index> chosen;
    for (Index i = first; i < std::min(first + together, some); ++i)
      chosen.push_back(usable[static_cast<std::size_t>(i * total / some)]);
    read_images(images, chosen, options_.skip_bad ? io::BadStacks::skip : io::BadStacks::refuse,
                block);

    // Each image's own level is taken off: what is cut out of a constant has power everywhere.
    auto prepared = upload(ctx_, block.images());
    const Index count = prepared.extent(0);
    Tensor<float, 2> h(ctx_, count, n() * n()), change(Context::cpu(1), count, Index{2});
    const auto found = brightness(prepared);
    std::vector<double> gains;
    for (std::size_t b = 0; b < found.size(); ++b) {
      gains.push_back(gain_of(block, b, found[b]));
      change(static_cast<Index>(b), 0) = static_cast<float>(found[b].mean);
      change(static_cast<Index>(b), 1) = static_cast<float>(gains[b]);
    }
    adjust_brightness(ctx_, upload(ctx_, change), prepared);
    transform_(prepared, unmoved, h);
    const auto whole = download(ctx_, h);
    keep_background(ctx_, circle_, prepared);
    transform_(prepared, unmoved, h);
    const auto background = download(ctx_, h);

    for (Index b = 0; b < count; ++b) {
      if (block.particles[b] < 0) continue;
      const auto& one = found[static_cast<std::size_t>(b)];
      const double gain = gains[static_cast<std::size_t>(b)];
      const double contrast = gain * (one.middle - one.mean), offset = gain * one.mean;
      ++survey.images;
      survey.contrast += contrast, survey.contrast_squares += contrast * contrast;
      survey.offset += offset, survey.offset_squares += offset * offset;
      survey.level += one.mean;
      const Index pixels = whole.extent(1);
      for (Index i = 0; i < pixels; ++i) {
        if (i != pixels / 2) survey.power += std::pow(whole(b, i), 2) / double(pixels - 1);
        survey.noise[rings[i]] += std::pow(background(b, i), 2);
      }
    }
  }
  survey.sum_over(processes);
  if (survey.images == 0)
    throw InputError(table_.source.string() +
                     ": none of the images looked at can be used; check the stacks");
  const auto kept = background_shares();
  for (std::size_t ring = 0; ring < kept.size(); ++ring)
    survey.noise[ring] = kept[ring] > 0 ? survey.mean(survey.noise[ring]) / kept[ring] : 0;
  return survey;
}

void Preparation::settle_contrast(const Survey& survey) {
  surveyed_ = survey.images;
  const double variance = survey.variance(survey.contrast, survey.contrast_squares);
  const double error = std::sqrt(survey.mean(variance));
  contrast_ = error > 0 ? survey.mean(survey.contrast) / error : 0;
  constexpr double certain = 4;
  if (options_.invert == "yes") {
    sign_ = -1;
  } else if (options_.invert == "auto" && contrast_ < -certain) {
    sign_ = -1;
    notes_.push_back(
        fmt::format("the particles are darker than their background (by {:.1f} standard errors): "
                    "the images are inverted; --invert no keeps them",
                    -contrast_));
  } else if (options_.invert == "auto" && contrast_ < certain) {
    notes_.push_back(
        fmt::format("the particles are neither brighter nor darker than their background ({:+.1f} "
                    "standard errors): the images are kept as they are; see --invert",
                    contrast_));
  }
}

void Preparation::settle_noise(const Survey& survey) {
  const auto rings = rounded_rings(n());
  const double crop = static_cast<double>(n()) / static_cast<double>(circle_.size);
  power_ = survey.mean(survey.power);
  auto spectrum = survey.noise;
  const double outside = static_cast<double>(circle_.pixels_outside());
  const double pixels = static_cast<double>(circle_.size * circle_.size);
  if (options_.normalises() && outside > 3) {
    // Background divided by its own deviation has a variance of 1 to the last digit; the rest of
    // the image has that of 1 / chi^2, a little more.
    for (double& power : spectrum) power *= 1 + (1 - outside / pixels) * 3 / (outside - 3);
  }
  spectrum[0] = spectrum[1];  // its mean taken off, background says nothing of frequency zero
  double mean = 0;
  for (const auto ring : rings) mean += spectrum[ring] / static_cast<double>(rings.size());
  if (options_.noise_sigma) {
    noise_variance_ = std::pow(*options_.noise_sigma, 2) * std::pow(crop, 4);
  } else {
    noise_variance_ = mean;
    noise_spectrum_ = spectrum;
  }
  for (const auto ring : rings)
    noise_.push_back(options_.whitens() ? spectrum[ring] : noise_variance_);
  if (options_.normalises()) {
    level_ = survey.mean(survey.level);
    // Levels that differ from image to image by more than their noise are noise of frequency zero.
    const double expected = spectrum[1] * pixels / outside;
    const double found =
        std::pow(crop, 4) * pixels * survey.variance(survey.offset, survey.offset_squares);
    if (found > expected * (1 + 4 * std::sqrt(2. / static_cast<double>(survey.images))))
      noise_[noise_.size() / 2] += found - expected;
  }
  // A CTF leaves a tenth of frequency zero, its amplitude contrast. Whatever else has a level in
  // the background, a particle out of focus to begin with, comes out of the correction tenfold
  // there.
  if (uses_ctf(options_, table_) && (options_.normalises() || !options_.noise_sigma))
    noise_[noise_.size() / 2] = std::numeric_limits<double>::infinity();
  // How far the mean power may stray below the noise where there is nothing else.
  const double values = static_cast<double>(survey.images) * static_cast<double>(rings.size());
  const double stray = 0.02 + 5 * std::sqrt(2 / values);
  if (noise_variance_ <= power_ * (1 + stray)) return;
  if (options_.noise_sigma)
    throw InputError(fmt::format(
        "--noise-sigma {:g}: its square is more than all the power of a pixel, {:.4g}, at the {} x "
        "{} frequencies that are kept; give less, or leave it to be estimated",
        *options_.noise_sigma, power_ / std::pow(crop, 4), n(), n()));
  throw InputError(
      fmt::format("{}: the noise variance estimated from the background, {:.4g}, is more than the "
                  "images' mean power, {:.4g}; give --diameter or --noise-sigma",
                  table_.source.string(), noise_variance_, power_));
}

}  // namespace orrery
