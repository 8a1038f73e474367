#include <cmath>

#include "kernels/cuda_runtime.hpp"
#include "kernels/fft.hpp"
#include "kernels/parallel_for.hpp"
#include "kernels/tensor.hpp"

// cuFFT counts positions from index 0: the numbers are moved into that order on their way into a
// second block of memory, transformed there, and moved back.

namespace orrery::cuda {
namespace {

/// Where a centred array keeps the number that cuFFT expects at index i.
struct CentredOrder {
  int rank;
  Index extents[3];

  ORRERY_HOST_DEVICE Index operator()(Index i) const {
    Index place = 0, stride = 1;
    for (int d = rank - 1; d >= 0; --d) {
      const Index n = extents[d];
      place += (i % n + n / 2) % n * stride;
      stride *= n;
      i /= n;
    }
    return place + i * stride;  // what is left of i is the number in the batch
  }
};

template <class T>
struct FromCentred {
  CentredOrder order;
  const std::complex<T>* centred;
  std::complex<T>* plain;
  ORRERY_HOST_DEVICE void operator()(Index i) const { plain[i] = centred[order(i)]; }
};

template <class T>
struct ToCentred {
  CentredOrder order;
  T scale;
  const std::complex<T>* plain;
  std::complex<T>* centred;
  ORRERY_HOST_DEVICE void operator()(Index i) const {
    centred[order(i)] = std::complex<T>(scale * plain[i].real(), scale * plain[i].imag());
  }
};

}  // namespace

template <class T>
void centred_fft(const Context& ctx, FftDirection direction, std::complex<T>* data, int rank,
                 const Index* extents, Index batch) {
  CentredOrder order{rank, {}};
  Index points = 1;
  for (int d = 0; d < rank; ++d) points *= order.extents[d] = extents[d];
  const Index size = batch * points;
  const T scale = static_cast<T>(1 / std::sqrt(static_cast<double>(points)));

  Tensor<std::complex<T>, 1> plain(ctx, size);
  parallel_for(ctx, "fft from centred", size, FromCentred<T>{order, data, plain.data()});
  fft<T>(ctx.device(), plain.data(), rank, extents, batch, direction == FftDirection::inverse);
  parallel_for(ctx, "fft to centred", size, ToCentred<T>{order, scale, plain.data(), data});
}

template void centred_fft(const Context&, FftDirection, std::complex<float>*, int, const Index*,
                          Index);
template void centred_fft(const Context&, FftDirection, std::complex<double>*, int, const Index*,
                          Index);

}  // namespace orrery::cuda
