#include "apps/simulate/imaging.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <numeric>

#include "kernels/check.hpp"
#include "kernels/fft.hpp"
#include "kernels/parallel_for.hpp"
#include "kernels/parallel_tasks.hpp"
#include "kernels/quotient.hpp"
#include "kernels/reduce.hpp"
#include "kernels/slices.hpp"

namespace orrery {

namespace {

/// Streams of random numbers, apart from those below 2^48 that densities of views are drawn from.
enum class Purpose : std::uint64_t { pose = 1, micrograph = 2, noise = 3 };
std::uint64_t stream_of(Purpose purpose, std::int64_t number) {
  return (static_cast<std::uint64_t>(purpose) << 48) + static_cast<std::uint64_t>(number);
}

/// h[b,i] *= contrast[b] ctf[g(b),i], without CTF contrast alone.
struct Modulate {
  Index pixels;
  Quotient image_of;
  const float* contrast;
  const float* ctf;  // null: none
  const int* ctf_of_image;
  float* h;

  ORRERY_HOST_DEVICE void operator()(Index i) const {
    const Index image = image_of(i);
    const float factor = ctf ? ctf[ctf_of_image[image] * pixels + (i - image * pixels)] : 1.0f;
    h[i] *= contrast[image] * factor;
  }
};

struct Add {
  const float* x;
  float* y;
  ORRERY_HOST_DEVICE void operator()(Index i) const { y[i] += x[i]; }
};

/// spectra (B, m, m) of (re, im) *= roots (m, m).
struct Filter {
  Index pixels;
  const float* roots;
  float* spectra;
  ORRERY_HOST_DEVICE void operator()(Index i) const {
    const float root = roots[i % pixels];
    spectra[2 * i] *= root;
    spectra[2 * i + 1] *= root;
  }
};

struct AddRealPart {
  const float* spectra;
  float* images;
  ORRERY_HOST_DEVICE void operator()(Index i) const { images[i] += spectra[2 * i]; }
};

struct ToComplex {
  const float* images;
  float* spectra;
  ORRERY_HOST_DEVICE void operator()(Index i) const {
    spectra[2 * i] = images[i];
    spectra[2 * i + 1] = 0;
  }
};

/// Roots of the relative noise power at the points of a centred grid of `edge` points.
std::vector<float> roots_on_grid(const NoiseSpectrum& spectrum, int edge) {
  std::vector<float> roots;
  for (int y = 0; y < edge; ++y)
    for (int x = 0; x < edge; ++x)
      roots.push_back(
          static_cast<float>(std::sqrt(spectrum(std::hypot(x - edge / 2, y - edge / 2)))));
  return roots;
}

double coloured_shape(double r) { return 0.2 + 1 / (1 + 16 * r * r); }

}  // namespace

Circumstances::Circumstances(const SimulateOptions& options) : options_(options) {
  if (options.views.empty()) {
    density_ = view_mixture(options.view_mixture, options.in_plane, options.seed);
    return;
  }
  table_ = read_views(options.views);
  std::partial_sum(table_.weights.begin(), table_.weights.end(), std::back_inserter(cumulative_));
  if (!(cumulative_.back() > 0))
    throw InputError(options.views + ": all weights are 0; give one view a positive weight");
}

Pose Circumstances::pose(std::int64_t image) const {
  RandomSequence random(options_.seed, stream_of(Purpose::pose, image));
  Pose pose;
  if (cumulative_.empty()) {
    pose.view = random_view(density_, random);
  } else {
    const double at = cumulative_.back() * random.uniform();
    const auto found = std::upper_bound(cumulative_.begin(), cumulative_.end(), at);
    const auto last = static_cast<std::ptrdiff_t>(cumulative_.size()) - 1;
    pose.view = table_.views[std::min(found - cumulative_.begin(), last)];
  }
  if (options_.shift_sigma > 0) {
    pose.shift_x = options_.shift_sigma * random.normal();
    pose.shift_y = options_.shift_sigma * random.normal();
  }
  if (options_.contrast_sigma > 0)
    pose.contrast = std::max(0.05, 1 + options_.contrast_sigma * random.normal());
  return pose;
}

std::int64_t Circumstances::micrograph_of(std::int64_t image) const {
  // In double precision this is exact enough: it is monotonic, which is all that matters.
  const double share = static_cast<double>(options_.micrographs) / double(options_.images);
  const std::int64_t before = options_.images_before;  // at least as many as their micrographs
  const auto own = static_cast<std::int64_t>(double(image - before) * share);
  return before + std::min(options_.micrographs - 1, own);
}

CtfParameters Circumstances::optics(std::int64_t micrograph) const {
  RandomSequence random(options_.seed, stream_of(Purpose::micrograph, micrograph));
  CtfParameters p;
  p.voltage = options_.voltage;
  p.spherical_aberration = options_.spherical_aberration;
  p.amplitude_contrast = options_.amplitude_contrast;
  p.phase_shift = options_.phase_shift;
  const double defocus =
      options_.defocus_min + (options_.defocus_max - options_.defocus_min) * random.uniform();
  const double difference = std::abs(options_.astigmatism * random.normal());
  p.defocus_u = defocus + difference / 2;
  p.defocus_v = defocus - difference / 2;
  p.defocus_angle = 180 * random.uniform();
  return p;
}

NoiseSpectrum::NoiseSpectrum(const SimulateOptions& options, int m)
    : white_(options.noise == "white"), nyquist_(0.5 * m) {
  double total = 0;
  for (int y = 0; y < m; ++y)
    for (int x = 0; x < m; ++x)
      total += coloured_shape(std::hypot(x - m / 2, y - m / 2) / nyquist_);
  scale_ = double(m) * m / total;
}

double NoiseSpectrum::operator()(double frequency) const {
  return white_ ? 1 : scale_ * coloured_shape(frequency / nyquist_);
}

ImageMaker::ImageMaker(const Context& ctx, const SimulateOptions& options, const Volume& truth)
    : ctx_(ctx),
      options_(options),
      circumstances_(options),
      projector_(ctx, truth),
      spectrum_(options, truth.n),
      image_size_(truth.n),
      edge_(truth.box()) {
  if (spectrum_.is_white()) return;
  const int n = grid(), m = image_size_;
  noise_root_ = upload_as<float>(ctx, roots_on_grid(spectrum_, n));
  const auto roots = roots_on_grid(spectrum_, m);
  image_roots_ = upload(ctx, View<const float, 2>(roots.data(), m, m));
}

ImageMaker::Batch ImageMaker::signal(std::int64_t first, View<float, 2> h) const {
  const Index count = h.extent(0), n = grid(), pixels = n * n;
  const Context host = Context::cpu(1);
  Batch batch;
  batch.poses.resize(static_cast<std::size_t>(count));
  Tensor<float, 3> rotations(host, count, 3, 3);
  Tensor<float, 2> shifts(host, count, 2);
  Tensor<float, 1> contrasts(host, count);
  const float voxels = static_cast<float>(n) / static_cast<float>(image_size_);
  constexpr Index group = 64;  // of poses, worth a thread's while
  for_each_task(ctx_.threads(), (count + group - 1) / group, [&](Index g) {
    for (Index i = g * group; i < std::min(count, (g + 1) * group); ++i) {
      const Pose pose = circumstances_.pose(first + i);
      std::copy(pose.view.matrix.begin(), pose.view.matrix.end(), rotations.data() + 9 * i);
      shifts(i, 0) = voxels * static_cast<float>(pose.shift_x);
      shifts(i, 1) = voxels * static_cast<float>(pose.shift_y);
      contrasts(i) = static_cast<float>(pose.contrast);
      batch.poses[static_cast<std::size_t>(i)] = pose;
    }
  });

  projector_.project(upload(ctx_, rotations), h);
  if (options_.shift_sigma > 0) shift_slices<float>(ctx_, grid(), upload(ctx_, shifts), h);
  batch.ctf = Tensor<float, 2>(ctx_, 0, pixels);
  if (options_.ctf) {
    const auto micrograph = circumstances_.micrograph_of(first);
    std::vector<CtfParameters> optics;
    for (Index i = 0; i < count; ++i) {
      const auto row = circumstances_.micrograph_of(first + i) - micrograph;
      while (static_cast<std::int64_t>(optics.size()) <= row)
        optics.push_back(circumstances_.optics(micrograph + std::ssize(optics)));
      batch.ctf_of_image.push_back(static_cast<int>(row));
    }
    batch.ctf = Tensor<float, 2>(ctx_, std::ssize(optics), pixels);
    contrast_transfer<float>(ctx_, {optics.data(), std::ssize(optics)}, grid(), edge_, batch.ctf);
  }
  if (options_.ctf || options_.contrast_sigma > 0) {
    const auto contrast = upload(ctx_, contrasts);
    const auto rows =
        upload(ctx_, View<const int, 1>(batch.ctf_of_image.data(), batch.ctf_of_image.size()));
    parallel_for(ctx_, "modulate", h.size(),
                 Modulate{pixels, Quotient(pixels), contrast.data(),
                          options_.ctf ? batch.ctf.data() : nullptr, rows.data(), h.data});
  }
  return batch;
}

void ImageMaker::add_noise(std::int64_t batch, double sigma, View<float, 2> h) const {
  const auto stream = stream_of(Purpose::noise, batch);
  const auto deviation = static_cast<float>(sigma);
  if (spectrum_.is_white()) return add_normal(ctx_, options_.seed, stream, deviation, h.flat());
  auto noise = Tensor<float, 2>::zeros(ctx_, h.extent(0), h.extent(1));
  add_normal(ctx_, options_.seed, stream, deviation, noise.view().flat());
  weigh_coefficients<float>(ctx_, noise_root_, noise);
  parallel_for(ctx_, "add noise", h.size(), Add{noise.data(), h.data});
}

void ImageMaker::add_noise(std::int64_t batch, double sigma, View<float, 3> images) const {
  const auto stream = stream_of(Purpose::noise, batch);
  const auto deviation = static_cast<float>(sigma);
  if (spectrum_.is_white())
    return add_normal(ctx_, options_.seed, stream, deviation, images.flat());
  const Index count = images.extent(0), m = images.extent(1);
  auto noise = Tensor<float, 3>::zeros(ctx_, count, m, m);
  Tensor<std::complex<float>, 3> spectra(ctx_, count, m, m);
  float* const parts = reinterpret_cast<float*>(spectra.data());  // re and im in turn
  add_normal(ctx_, options_.seed, stream, deviation, noise.view().flat());
  parallel_for(ctx_, "noise: to complex", noise.size(), ToComplex{noise.data(), parts});
  fft_2d<float>(ctx_, FftDirection::forward, spectra);
  parallel_for(ctx_, "noise: filter", noise.size(), Filter{m * m, image_roots_.data(), parts});
  fft_2d<float>(ctx_, FftDirection::inverse, spectra);
  parallel_for(ctx_, "noise: add", noise.size(), AddRealPart{parts, images.data});
}

std::vector<double> ImageMaker::noise_variance(double sigma) const {
  const int n = grid();
  std::vector<double> variance;
  for (int y = 0; y < n; ++y)
    for (int x = 0; x < n; ++x)
      variance.push_back(sigma * sigma * spectrum_(std::hypot(x - n / 2, y - n / 2)));
  return variance;
}

double ImageMaker::signal_power() const {
  const Index n = grid(), most = std::clamp<Index>((1 << 24) / (n * n), 16, 1024);
  const Index count = std::min<Index>(most, options_.images);
  Tensor<float, 2> h(ctx_, count, n * n);
  signal(options_.images_before, h);
  // The coefficients of an image of m pixels are (n/m)^2 times its unitary transform.
  const double ratio = double(image_size_) / double(n);
  return squared_norm<float>(ctx_, h.view().flat()) * std::pow(ratio, 4) /
         (double(count) * image_size_ * image_size_);
}

}  // namespace orrery
