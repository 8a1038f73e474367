#include "kernels/dense.hpp"

#include <algorithm>
#include <vector>

#include "kernels/check.hpp"
#include "kernels/gemm.hpp"
#include "kernels/parallel_for.hpp"

namespace orrery {
namespace {

template <class T>
struct RepeatRow {
  const T* row;
  Index length;
  T* rows;
  ORRERY_HOST_DEVICE void operator()(Index i) const { rows[i] = row[i % length]; }
};

/// A thread owns a column and adds it up from top to bottom; neighbouring threads read neighbouring
/// numbers.
template <class T>
struct AddColumn {
  const T* rows;
  Index count, length;
  T* sums;
  ORRERY_HOST_DEVICE void operator()(Index column) const {
    double total = 0;
    for (Index r = 0; r < count; ++r) total += rows[r * length + column];
    sums[column] += static_cast<T>(total);
  }
};

/// Every row of y becomes `row`.
template <class T>
void repeat_row(const Context& ctx, View<const T, 1> row, View<T, 2> y) {
  if (ctx.backend() == Backend::cuda)
    return parallel_for(ctx, "repeat row", y.size(), RepeatRow<T>{row.data, row.size(), y.data});
  for (Index b = 0; b < y.extent(0); ++b) std::copy(row.begin(), row.end(), &y(b, 0));
}

/// sums += the sum of all rows.
template <class T>
void add_rows(const Context& ctx, View<const T, 2> rows, View<T, 1> sums) {
  if (ctx.backend() == Backend::cuda)
    return parallel_for(ctx, "add rows", sums.size(),
                        AddColumn<T>{rows.data, rows.extent(0), rows.extent(1), sums.data});
  std::vector<double> totals(sums.size(), 0.0);  // row by row, as they lie in memory
  for (Index r = 0; r < rows.extent(0); ++r)
    for (Index i = 0; i < sums.size(); ++i) totals[i] += rows.data[r * sums.size() + i];
  for (Index i = 0; i < sums.size(); ++i) sums(i) += static_cast<T>(totals[i]);
}

}  // namespace

template <class T>
void dense_forward(const Context& ctx, View<const T, 2> x, View<const T, 2> weight,
                   View<const T, 1> bias, View<T, 2> y) {
  const Index batch = x.extent(0), inputs = x.extent(1), outputs = weight.extent(0);
  require_shape("dense_forward", "weight", weight, {outputs, inputs});
  require_shape("dense_forward", "bias", bias, {outputs});
  require_shape("dense_forward", "y", y, {batch, outputs});
  repeat_row(ctx, bias, y);
  gemm<T>(ctx, Transpose::no, Transpose::yes, T(1), x, weight, T(1), y);
}

template <class T>
void dense_backward(const Context& ctx, View<const T, 2> x, View<const T, 2> weight,
                    View<const T, 2> dy, View<T, 2> dx, View<T, 2> dweight, View<T, 1> dbias) {
  const Index batch = x.extent(0), inputs = x.extent(1), outputs = weight.extent(0);
  require_shape("dense_backward", "weight", weight, {outputs, inputs});
  require_shape("dense_backward", "dy", dy, {batch, outputs});
  require_shape("dense_backward", "dweight", dweight, {outputs, inputs});
  require_shape("dense_backward", "dbias", dbias, {outputs});
  if (dx.data) {
    require_shape("dense_backward", "dx", dx, {batch, inputs});
    gemm<T>(ctx, Transpose::no, Transpose::no, T(1), dy, weight, T(0), dx);
  }
  gemm<T>(ctx, Transpose::yes, Transpose::no, T(1), dy, x, T(1), dweight);
  add_rows(ctx, dy, dbias);
}

template void dense_forward(const Context&, View<const float, 2>, View<const float, 2>,
                            View<const float, 1>, View<float, 2>);
template void dense_forward(const Context&, View<const double, 2>, View<const double, 2>,
                            View<const double, 1>, View<double, 2>);
template void dense_backward(const Context&, View<const float, 2>, View<const float, 2>,
                             View<const float, 2>, View<float, 2>, View<float, 2>, View<float, 1>);
template void dense_backward(const Context&, View<const double, 2>, View<const double, 2>,
                             View<const double, 2>, View<double, 2>, View<double, 2>,
                             View<double, 1>);

}  // namespace orrery
