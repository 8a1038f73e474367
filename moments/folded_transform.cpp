#include "moments/folded_transform.hpp"

#include <cmath>
#include <cstring>
#include <numbers>

namespace orrery {
namespace {

/// As long as the processor's registers.
using Vector = float __attribute__((vector_size(__BIGGEST_ALIGNMENT__)));
constexpr Index lanes = sizeof(Vector) / sizeof(float);
// Rows and vectors of a product that are summed in registers, as many as all processors have.
constexpr int strip_height = 6, strip_vectors = 2;
constexpr Index strip_width = strip_vectors * lanes;

/// A left factor (rows,depth), of which strides say where its numbers lie.
struct Factor {
  const float* numbers;
  Index row_stride, stride;
};

/// out (height,width) = left (height,depth) right (depth,width).
template <int height>
void multiply_strip(Factor left, const float* right, Index depth, Index width, float* out) {
  for (Index column = 0; column < width; column += strip_width) {
    Vector sums[height][strip_vectors] = {};
    for (Index k = 0; k < depth; ++k) {
      const auto* row = reinterpret_cast<const Vector*>(right + k * width + column);
#pragma GCC unroll 8
      for (int r = 0; r < height; ++r) {
        const float factor = left.numbers[r * left.row_stride + k * left.stride];
#pragma GCC unroll 8
        for (int v = 0; v < strip_vectors; ++v) sums[r][v] += factor * row[v];
      }
    }
    for (int r = 0; r < height; ++r) std::memcpy(out + r * width + column, sums[r], sizeof sums[r]);
  }
}

template <int height = strip_height>
void multiply(Index rows, Factor left, const float* right, Index depth, Index width, float* out) {
  for (; rows >= height; rows -= height) {
    multiply_strip<height>(left, right, depth, width, out);
    left.numbers += height * left.row_stride;
    out += height * width;
  }
  if constexpr (height > 1) multiply<height - 1>(rows, left, right, depth, width, out);
}

/// even[i] = numbers[i] + numbers[-i] and odd[i] = numbers[i] - numbers[-i], counted from the
/// centre. The centre itself, and the first of an even number, have no partner.
void fold_row(const float* numbers, Index size, float* even, float* odd) {
  const Index centre = size / 2, pairs = (size - 1) / 2;
  const float* middle = numbers + centre;
#pragma omp simd
  for (Index i = 0; i <= pairs; ++i) {
    even[i] = middle[i] + middle[-i];
    odd[i] = middle[i] - middle[-i];
  }
  even[0] = middle[0];
  if (size % 2 == 0) even[centre] = numbers[0];
}

}  // namespace

/// Of one thread, for one image. "odd_even" is odd along y, even along x.
struct FoldedTransform::Workspace {
  using Matrix = Tensor<float, 2>;
  static Matrix matrix(Index rows, Index columns) { return Matrix(Context::cpu(1), rows, columns); }

  explicit Workspace(const FoldedTransform& t)
      : sums(matrix(1, t.size_)),
        differences(matrix(1, t.size_)),
        even_even(matrix(t.even_, t.even_)),
        even_odd(matrix(t.even_, t.odd_)),
        odd_even(matrix(t.odd_, t.even_)),
        odd_odd(matrix(t.odd_, t.odd_)),
        along_x(matrix(t.even_, t.width_)),
        cos_cos(matrix(t.half_ + 1, t.width_)),
        cos_sin(matrix(t.half_ + 1, t.width_)),
        sin_cos(matrix(t.half_ + 1, t.width_)),
        sin_sin(matrix(t.half_ + 1, t.width_)),
        phases(matrix(2, t.half_ + 1)) {}

  Matrix sums, differences;                       // of two rows
  Matrix even_even, even_odd, odd_even, odd_odd;  // the image
  Matrix along_x;                                 // one of them, transformed
  Matrix cos_cos, cos_sin, sin_cos, sin_sin;      // (ky,kx), along y, then x
  Matrix phases;                                  // along x: real parts, imaginary parts
};

FoldedTransform::FoldedTransform(Index size, Index n)
    : size_(size),
      half_((n - 1) / 2),
      even_(size / 2 + 1),
      odd_((size + 1) / 2),
      width_((half_ + strip_width) / strip_width * strip_width),
      cosines_(Tensor<float, 2>::zeros(Context::cpu(1), even_, width_)),
      sines_(Tensor<float, 2>::zeros(Context::cpu(1), odd_, width_)) {
  const double height = 1 / std::sqrt(static_cast<double>(size));
  for (Index k = 0; k <= half_; ++k)
    for (Index x = 0; x < even_; ++x) {
      // The angle is reduced in whole numbers: no digits are lost in large images.
      const double turn = static_cast<double>(k * x % size) / static_cast<double>(size);
      const double angle = 2 * std::numbers::pi * turn;
      cosines_(x, k) = static_cast<float>(height * std::cos(angle));
      if (x < odd_) sines_(x, k) = static_cast<float>(height * std::sin(angle));
    }
}

void FoldedTransform::fold(const float* image, Workspace& work) const {
  const Index centre = size_ / 2;
  float *sums = work.sums.data(), *differences = work.differences.data();
  for (Index i = 0; i < even_; ++i) {
    const float *above = image + (centre - i) * size_, *below = image + (centre + i) * size_;
    if (i == 0 || i == odd_) {
      fold_row(above, size_, &work.even_even(i, 0), &work.even_odd(i, 0));
      continue;
    }
#pragma omp simd
    for (Index x = 0; x < size_; ++x) {
      sums[x] = below[x] + above[x];
      differences[x] = below[x] - above[x];
    }
    fold_row(sums, size_, &work.even_even(i, 0), &work.even_odd(i, 0));
    fold_row(differences, size_, &work.odd_even(i, 0), &work.odd_odd(i, 0));
  }
}

void FoldedTransform::multiply(Workspace& work) const {
  const auto both = [&](const Tensor<float, 2>& image, Index first_row,
                        const Tensor<float, 2>& across, const Tensor<float, 2>& down,
                        Tensor<float, 2>& out) {
    const Index columns = image.extent(1), rows = image.extent(0) - first_row;
    orrery::multiply(rows, {image.data() + first_row * columns, columns, 1}, across.data(), columns,
                     width_, work.along_x.data());
    orrery::multiply(half_ + 1, {down.data() + first_row * width_, 1, width_}, work.along_x.data(),
                     rows, width_, out.data());
  };
  both(work.even_even, 0, cosines_, cosines_, work.cos_cos);
  both(work.even_odd, 0, sines_, cosines_, work.cos_sin);
  both(work.odd_even, 1, cosines_, sines_, work.sin_cos);  // the centre's row has no odd part
  both(work.odd_odd, 1, sines_, sines_, work.sin_sin);
}

void FoldedTransform::join(const std::complex<float>* phases, Workspace& work, float* h) const {
  const Index n = 2 * half_ + 1;
  const double crop = static_cast<double>(n) / static_cast<double>(size_);
  const auto scale = static_cast<float>(crop * crop);
  const std::complex<float>* along_y = phases ? phases + half_ + 1 : nullptr;
  float *re = &work.phases(0, 0), *im = &work.phases(1, 0);
  for (Index kx = 0; kx <= half_; ++kx) {
    re[kx] = phases ? phases[kx].real() : 1;
    im[kx] = phases ? phases[kx].imag() : 0;
  }
  float* centre = h + (n * n - 1) / 2;
  for (Index ky = 0; ky <= half_; ++ky) {
    const float *cc = &work.cos_cos(ky, 0), *cs = &work.cos_sin(ky, 0);
    const float *sc = &work.sin_cos(ky, 0), *ss = &work.sin_sin(ky, 0);
    const float turn_re = scale * (along_y ? along_y[ky].real() : 1);
    const float turn_im = scale * (along_y ? along_y[ky].imag() : 0);
    float *below = centre + ky * n, *above = centre - ky * n;
#pragma omp simd
    for (Index kx = 0; kx <= half_; ++kx) {
      // u turns what is at (kx, ky), and v what is at (-kx, ky).
      const float u_re = turn_re * re[kx] - turn_im * im[kx];
      const float u_im = turn_re * im[kx] + turn_im * re[kx];
      const float v_re = turn_re * re[kx] + turn_im * im[kx];
      const float v_im = turn_im * re[kx] - turn_re * im[kx];
      const float a_re = cc[kx] - ss[kx], a_im = -(sc[kx] + cs[kx]);
      const float b_re = cc[kx] + ss[kx], b_im = cs[kx] - sc[kx];
      const float same_re = a_re * u_re - a_im * u_im, same_im = a_re * u_im + a_im * u_re;
      const float other_re = b_re * v_re - b_im * v_im, other_im = b_re * v_im + b_im * v_re;
      below[kx] = same_re - same_im;
      above[-kx] = same_re + same_im;
      below[-kx] = other_re - other_im;
      above[kx] = other_re + other_im;
    }
  }
}

void FoldedTransform::operator()(int threads, View<const float, 3> images,
                                 View<const std::complex<float>, 3> phases,
                                 View<float, 2> h) const {
  const Index count = images.extent(0);
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    Workspace work(*this);
#pragma omp for schedule(static)
    for (Index b = 0; b < count; ++b) {
      fold(images[b].data, work);
      multiply(work);
      join(phases.size() > 0 ? phases[b].data : nullptr, work, h.data + b * h.extent(1));
    }
  }
}

}  // namespace orrery
