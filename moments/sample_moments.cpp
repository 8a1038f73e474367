#include "moments/sample_moments.hpp"

#include "kernels/check.hpp"
#include "kernels/gemm.hpp"

namespace orrery {

SampleMoments::SampleMoments(const Context& ctx, Index n)
    : ctx_(ctx),
      sum_(Tensor<double, 2>::zeros(ctx, 1, n)),
      product_sum_(Tensor<double, 2>::zeros(ctx, n, n)) {}

void SampleMoments::add(View<const double, 2> observations) {
  const Index added = observations.extent(0);
  require_shape("SampleMoments::add", "observations", observations, {added, sum_.extent(1)});
  if (added == 0) return;
  if (ones_.size() < added) ones_ = upload_as<double>(ctx_, std::vector<double>(added, 1.0));
  const View<const double, 2> ones(ones_.data(), 1, added);
  gemm<double>(ctx_, Transpose::no, Transpose::no, 1, ones, observations, 1, sum_);
  // Not symmetric_rank_k: a product as small as this shares its sum out among the threads.
  gemm<double>(ctx_, Transpose::yes, Transpose::no, 1, observations, observations, 1, product_sum_);
  count_ += added;
}

std::vector<double> SampleMoments::mean(View<const double, 1> sum) const {
  require(count_ > 0, "SampleMoments", "there are no observations");
  const auto host = download(ctx_, sum);
  std::vector<double> means(host.view().begin(), host.view().end());
  for (double& x : means) x /= static_cast<double>(count_);
  return means;
}

std::vector<double> SampleMoments::first() const { return mean(sum_.view().flat()); }

std::vector<double> SampleMoments::second(double noise_variance) const {
  auto means = mean(product_sum_.view().flat());
  const Index n = sum_.extent(1);
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < i; ++j) means[i * n + j] = means[j * n + i];  // to the last bit
    means[i * n + i] -= noise_variance;
  }
  return means;
}

}  // namespace orrery
