#include "moments/image_coefficients.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>
#include <vector>

#include "kernels/check.hpp"
#include "kernels/complex.hpp"
#include "kernels/gemm.hpp"
#include "kernels/parallel_for.hpp"

namespace orrery {

ORRERY_HOST_DEVICE Index BackgroundCircle::half_chord(Index row, double part) const {
  const double y = static_cast<double>(row - size / 2), reach = part * radius;
  const double squared = reach * reach - y * y;
  return squared < 0 ? 0 : static_cast<Index>(std::sqrt(squared)) + 1;
}

namespace {

/// Calls f(i), which is a loop itself, for each i. On the host parallel_for would try to run
/// neighbouring calls side by side in vectors, which are better used inside f.
template <class Functor>
void for_each_loop(const Context& ctx, const char* name, Index count, const Functor& f) {
  if (ctx.backend() == Backend::cuda) return parallel_for(ctx, name, count, f);
#pragma omp parallel for schedule(static) num_threads(ctx.threads()) if (ctx.threads() > 1)
  for (Index i = 0; i < count; ++i) f(i);
}

/// Joins the products with cosines and sines, which lie as (kx,b,ky), into coefficients, moves
/// them, and packs them: the frequencies (+-kx, +-ky) of one image and one kx.
struct JoinAndPack {
  const float* products;  // (n,B,n)
  // (B,2,half+1): exp(-2 pi i k d / m) for x, then y; null: no shifts
  const Complex<float>* phases;
  float* h;  // (B,n,n)
  Index images, half;
  float scale;

  ORRERY_HOST_DEVICE void operator()(Index task) const {
    const Index n = 2 * half + 1, b = task / (half + 1), kx = task % (half + 1);
    const float* cosines = products + (kx * images + b) * n;
    const float* sines = products + ((half + kx) * images + b) * n;
    float* centre = h + b * n * n + (n * n - 1) / 2;
    const Complex<float> still = {1, 0};
    const Complex<float> along_x = phases ? phases[b * 2 * (half + 1) + kx] : still;
    const Complex<float>* along_y = phases ? phases + (b * 2 + 1) * (half + 1) : nullptr;
    for (Index ky = 0; ky <= half; ++ky) {
      const float cc = cosines[ky], sc = ky > 0 ? cosines[half + ky] : 0;  // y first, then x
      const float cs = kx > 0 ? sines[ky] : 0, ss = kx > 0 && ky > 0 ? sines[half + ky] : 0;
      const Complex<float> turn = along_y ? along_y[ky] : still;
      // At (kx, ky), and at (-kx, ky).
      const Complex<float> same = Complex<float>{cc - ss, -(sc + cs)} * (along_x * turn);
      const Complex<float> other = Complex<float>{cc + ss, cs - sc} * (conjugate(along_x) * turn);
      centre[ky * n + kx] = scale * (same.re - same.im);
      centre[-ky * n - kx] = scale * (same.re + same.im);
      centre[ky * n - kx] = scale * (other.re - other.im);
      centre[-ky * n + kx] = scale * (other.re + other.im);
    }
  }
};

Tensor<float, 2> fourier_rows(const Context& ctx, Index size, Index n) {
  Tensor<float, 2> basis(Context::cpu(1), n, size);
  const Index half = (n - 1) / 2, centre = size / 2;
  const double height = 1 / std::sqrt(static_cast<double>(size));
  for (Index k = 0; k <= half; ++k)
    for (Index x = 0; x < size; ++x) {
      // The angle is reduced in whole numbers: no digits are lost in large images.
      const Index turn = k * (x - centre) % size;
      const double angle =
          2 * std::numbers::pi * static_cast<double>(turn) / static_cast<double>(size);
      basis(k, x) = static_cast<float>(height * std::cos(angle));
      if (k > 0) basis(half + k, x) = static_cast<float>(height * std::sin(angle));
    }
  return upload(ctx, basis);
}

/// exp(-2 pi i k d / m) for k = 0 .. half, by x and by y.
Tensor<std::complex<float>, 3> phases_of(const Context& ctx, View<const double, 2> shifts,
                                         Index size, Index half) {
  const Index images = shifts.extent(0);
  Tensor<std::complex<float>, 3> phases(Context::cpu(1), images, Index{2}, half + 1);
  for (Index b = 0; b < images; ++b)
    for (Index axis = 0; axis < 2; ++axis) {
      const double angle = -2 * std::numbers::pi * shifts(b, axis) / static_cast<double>(size);
      const std::complex<double> step(std::cos(angle), std::sin(angle));
      std::complex<double> turn = 1;  // step by step: in double precision nothing is lost by it
      for (Index k = 0; k <= half; ++k, turn *= step)
        phases(b, axis, k) = {static_cast<float>(turn.real()), static_cast<float>(turn.imag())};
    }
  return upload(ctx, phases);
}

/// Sums over neighbouring rows of an image. The circle is a matter of weights 0 and 1 rather than
/// of ranges, whose ends would cost more than all the rest; only what lies wholly between middle
/// and background is left out.
struct RowSums {
  BackgroundCircle circle;
  const float* images;
  Index rows, shares;  // in a share of an image; shares of an image
  double* sums;        // (B,shares,3)

  /// Sums side by side, as many as vectors hold.
  static constexpr int lane_count = 16;
  struct Lanes {
    double outside[lane_count] = {}, squares[lane_count] = {}, middle[lane_count] = {};

    ORRERY_HOST_DEVICE void add(int lane, float value, int x, int within, int inner) {
      const int from_centre = x < 0 ? -x : x;
      const double pixel = static_cast<double>(value);
      const double background = from_centre < within ? 0 : pixel;
      outside[lane] += background;
      squares[lane] += background * background;
      middle[lane] += from_centre < inner ? pixel : 0;
    }
  };

  ORRERY_HOST_DEVICE void add_row(Lanes& lanes, Index row, const float* pixels) const {
    const Index m = circle.size, centre = m / 2;
    const auto within = static_cast<int>(circle.half_chord(row, 1));
    const auto inner = static_cast<int>(circle.half_chord(row, 0.5));
    Index x = 0;
    for (; x + lane_count <= m; x += lane_count) {
      const auto first = static_cast<int>(x - centre), last = first + lane_count - 1;
      const int nearest = first > 0 ? first : last < 0 ? -last : 0;
      const int farthest = first + last > 0 ? last : -first;
      if (nearest >= inner && farthest < within) continue;
      for (int j = 0; j < lane_count; ++j) lanes.add(j, pixels[x + j], first + j, within, inner);
    }
    for (int j = 0; x < m; ++x, ++j)
      lanes.add(j, pixels[x], static_cast<int>(x - centre), within, inner);
  }

  ORRERY_HOST_DEVICE void operator()(Index task) const {
    const Index m = circle.size, begin = task % shares * rows;
    const Index end = begin + rows < m ? begin + rows : m;
    const float* image = images + task / shares * m * m;
    Lanes lanes;
    for (Index row = begin; row < end; ++row) add_row(lanes, row, image + row * m);
    double totals[3] = {};
    for (int j = 0; j < lane_count; ++j)
      totals[0] += lanes.outside[j], totals[1] += lanes.squares[j], totals[2] += lanes.middle[j];
    for (int which = 0; which < 3; ++which) sums[3 * task + which] = totals[which];
  }
};

struct ImageSums {
  const double* parts;  // (B,shares,3)
  Index shares;
  double* sums;  // (B,3)

  ORRERY_HOST_DEVICE void operator()(Index task) const {
    const Index b = task / 3, which = task % 3;
    double sum = 0;
    for (Index share = 0; share < shares; ++share) sum += parts[(b * shares + share) * 3 + which];
    sums[task] = sum;
  }
};

struct AdjustBrightness {
  const float* offset_gain;
  float* images;
  Index size;

  ORRERY_HOST_DEVICE void operator()(Index row) const {
    const float* of_image = offset_gain + row / size * 2;
    const float offset = of_image[0], gain = of_image[1];
    float* pixels = images + row * size;
    for (Index x = 0; x < size; ++x) pixels[x] = gain * (pixels[x] - offset);
  }
};

struct KeepBackground {
  BackgroundCircle circle;
  float* images;

  ORRERY_HOST_DEVICE void operator()(Index task) const {
    const Index m = circle.size, centre = m / 2, within = circle.half_chord(task % m, 1);
    float* pixels = images + task * m;
    for (Index x = 0; x < m; ++x)
      if (x > centre - within && x < centre + within) pixels[x] = 0;
  }
};

}  // namespace

ImageTransform::ImageTransform(const Context& ctx, Index size, Index n)
    : ctx_(ctx), size_(size), n_(n) {
  require(n >= 1 && n % 2 == 1 && n <= size, "ImageTransform",
          "the grid must be odd and not larger than the images");
  if (ctx.backend() == Backend::cpu)
    folded_ = FoldedTransform(size, n);
  else
    basis_ = fourier_rows(ctx, size, n);
}

void ImageTransform::operator()(View<const float, 3> images, View<const double, 2> shifts,
                                View<float, 2> h) const {
  const Index count = images.extent(0), half = (n_ - 1) / 2;
  const bool moved = shifts.extent(0) > 0;
  require_shape("ImageTransform", "images", images, {count, size_, size_});
  require_shape("ImageTransform", "h", h, {count, n_ * n_});
  if (moved) require_shape("ImageTransform", "shifts", shifts, {count, 2});
  if (count == 0) return;
  Tensor<std::complex<float>, 3> phases;
  if (moved) phases = phases_of(ctx_, shifts, size_, half);
  if (ctx_.backend() == Backend::cpu) return folded_(ctx_.threads(), images, phases, h);

  // Along x, (kx,b,y), then along y: (kx,b,ky). Either is one product for all images.
  Tensor<float, 2> along_x(ctx_, n_, count * size_), products(ctx_, n_ * count, n_);
  gemm<float>(ctx_, Transpose::no, Transpose::yes, 1, basis_, images.reshaped(count * size_, size_),
              0, along_x);
  gemm<float>(ctx_, Transpose::no, Transpose::yes, 1,
              View<const float, 2>(along_x.data(), n_ * count, size_), basis_, 0, products);
  const double crop = static_cast<double>(n_) / static_cast<double>(size_);
  parallel_for(ctx_, "join and pack coefficients", count * (half + 1),
               JoinAndPack{products.data(), reinterpret_cast<const Complex<float>*>(phases.data()),
                           h.data, count, half, static_cast<float>(crop * crop)});
}

Index BackgroundCircle::pixels_outside() const {
  Index outside = 0;
  for (Index row = 0; row < size; ++row) {
    const Index within = half_chord(row, 1), centre = size / 2;
    const Index left = std::max<Index>(centre + 1 - within, 0);
    const Index right = std::min(centre + within, size);
    outside += size - (within == 0 ? 0 : right - left);
  }
  return outside;
}

Index BackgroundCircle::pixels_in_middle() const {
  Index inside = 0;
  for (Index row = 0; row < size; ++row) inside += std::max<Index>(2 * half_chord(row, 0.5) - 1, 0);
  return inside;
}

void background_sums(const Context& ctx, const BackgroundCircle& circle,
                     View<const float, 3> images, View<double, 2> sums) {
  const Index count = images.extent(0), m = circle.size;
  require_shape("background_sums", "images", images, {count, m, m});
  require_shape("background_sums", "sums", sums, {count, 3});
  require(circle.radius >= 0 && circle.radius < 0.75 * static_cast<double>(m), "background_sums",
          "the circle's radius is not that of one in the image");
  // A device wants many threads, the host as few additions of lanes as can be.
  const Index rows = ctx.backend() == Backend::cuda ? 1 : 32, shares = (m + rows - 1) / rows;
  Tensor<double, 3> parts(ctx, count, shares, Index{3});
  for_each_loop(ctx, "background sums of rows", count * shares,
                RowSums{circle, images.data, rows, shares, parts.data()});
  parallel_for(ctx, "background sums", count * 3, ImageSums{parts.data(), shares, sums.data},
               shares);
}

void adjust_brightness(const Context& ctx, View<const float, 2> offset_gain,
                       View<float, 3> images) {
  const Index count = images.extent(0), m = images.extent(1);
  require_shape("adjust_brightness", "images", images, {count, m, m});
  require_shape("adjust_brightness", "offset_gain", offset_gain, {count, 2});
  for_each_loop(ctx, "adjust brightness", count * m,
                AdjustBrightness{offset_gain.data, images.data, m});
}

void keep_background(const Context& ctx, const BackgroundCircle& circle, View<float, 3> images) {
  const Index count = images.extent(0), m = circle.size;
  require_shape("keep_background", "images", images, {count, m, m});
  for_each_loop(ctx, "keep background", count * m, KeepBackground{circle, images.data});
}

}  // namespace orrery
