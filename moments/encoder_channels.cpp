#include "moments/encoder_channels.hpp"

#include <cmath>

#include "kernels/check.hpp"
#include "kernels/complex.hpp"
#include "kernels/parallel_for.hpp"

namespace orrery {
namespace {

/// M1^(k) and M2^(k1,k2) from a sample's moments in the real Fourier basis, in which
/// y^(k) = (a - i b) / sqrt(2) for k > 0, a and b being coefficients 2k-1 and 2k, and y^(0) = a.
template <class T>
struct ComplexMoments {
  Index n;
  const T *first, *second;

  ORRERY_HOST_DEVICE Complex<T> operator()(Index k) const {
    const Index cosine = k < 0 ? -2 * k - 1 : 2 * k - 1;
    if (k == 0) return {first[0], 0};
    const T root_half = static_cast<T>(0.70710678118654752440);
    const T re = root_half * first[cosine], im = root_half * first[cosine + 1];
    return {re, k > 0 ? -im : im};
  }

  ORRERY_HOST_DEVICE Complex<T> operator()(Index k1, Index k2) const {
    if (k1 == 0 && k2 == 0) return {second[0], 0};
    const T root_half = static_cast<T>(0.70710678118654752440);
    const Index c1 = k1 < 0 ? -2 * k1 - 1 : 2 * k1 - 1, c2 = k2 < 0 ? -2 * k2 - 1 : 2 * k2 - 1;
    const T sign1 = k1 < 0 ? T(-1) : T(1), sign2 = k2 < 0 ? T(-1) : T(1);
    if (k1 == 0) return {root_half * second[c2], sign2 * root_half * second[c2 + 1]};
    if (k2 == 0) return {root_half * second[c1 * n], -sign1 * root_half * second[(c1 + 1) * n]};
    const T *a1 = second + c1 * n, *b1 = a1 + n;
    return {T(0.5) * (a1[c2] + sign1 * sign2 * b1[c2 + 1]),
            T(0.5) * (sign2 * a1[c2 + 1] - sign1 * b1[c2])};
  }
};

/// W(k) from sqrt(max(P(k), 0)).
template <class T>
ORRERY_HOST_DEVICE inline T whitening(T floor, T root_of_power) {
  return root_of_power / (root_of_power * root_of_power + floor);
}

/// One frequency of one sample a call.
template <class T>
struct FirstChannels {
  Index n;
  T floor;
  const T *first, *second;
  T* to;
  ORRERY_HOST_DEVICE void operator()(Index call) const {
    const Index b = call / n, position = call % n, k = position - (n - 1) / 2;
    const ComplexMoments<T> moments{n, first + b * n, second + b * n * n};
    const Complex<T> m1 = moments(k);
    const T power = moments(k, k).re, root = power > 0 ? sqrt(power) : T(0);
    const T weight = whitening(floor, root);
    T* channel = to + b * first_channels * n + position;
    channel[0] = weight * m1.re;
    channel[n] = weight * m1.im;
    channel[2 * n] = root;
    channel[3 * n] = m1.re;
    channel[4 * n] = m1.im;
  }
};

/// One diagonal of one sample a call, given what FirstChannels wrote.
template <class T>
struct SecondChannels {
  Index n;
  T floor;
  const T *second, *from_first;
  T* to;
  ORRERY_HOST_DEVICE void operator()(Index call) const {
    const Index half = (n - 1) / 2, b = call / half, d = call % half + 1;
    const ComplexMoments<T> moments{n, nullptr, second + b * n * n};
    const T* roots = from_first + (b * first_channels + 2) * n;
    T *re = to + (b * (n - 1) + d - 1) * n, *im = re + half * n;
    for (Index at = 0; at < n; ++at) {
      const Index there = at + d < n ? at + d : at + d - n;
      const Complex<T> m2 = moments(at - half, there - half);
      const T weight = whitening(floor, roots[at]) * whitening(floor, roots[there]);
      re[at] = weight * m2.re;
      im[at] = weight * m2.im;
    }
  }
};

}  // namespace

template <class T>
void encoder_channels(const Context& ctx, T floor, View<const T, 2> first, View<const T, 3> second,
                      View<T, 3> from_first, View<T, 3> from_second) {
  const char* here = "encoder_channels";
  const Index batch = first.extent(0), n = first.extent(1);
  require(n % 2 == 1, here, "the length must be odd");
  require_shape(here, "second", second, {batch, n, n});
  require_shape(here, "from_first", from_first, {batch, first_channels, n});
  require_shape(here, "from_second", from_second, {batch, second_channels(n), n});
  parallel_for(ctx, "channels of the first moment", batch * n,
               FirstChannels<T>{n, floor, first.data, second.data, from_first.data});
  parallel_for(ctx, "channels of the second moment", batch * (n - 1) / 2,
               SecondChannels<T>{n, floor, second.data, from_first.data, from_second.data}, 8 * n);
}

template void encoder_channels(const Context&, float, View<const float, 2>, View<const float, 3>,
                               View<float, 3>, View<float, 3>);
template void encoder_channels(const Context&, double, View<const double, 2>, View<const double, 3>,
                               View<double, 3>, View<double, 3>);

}  // namespace orrery
