#include "kernels/moment_residual.hpp"

#include <algorithm>
#include <numeric>
#include <type_traits>
#include <vector>

#include "kernels/check.hpp"
#include "kernels/gemm.hpp"
#include "kernels/matrix_tiles.hpp"
#include "kernels/mirror.hpp"
#include "kernels/moment_residual_problem.hpp"
#include "kernels/moment_residual_tiles.hpp"
#include "kernels/shares.hpp"
#include "kernels/tensor.hpp"
#include "kernels/weighted_sum.hpp"

namespace orrery {

namespace cuda {
template <class T>
void moment_residual(const Context& ctx, const MomentResidualProblem<T>& problem);
template <class T>
void moment_residual_gradients(const Context& ctx, View<const T, 2> slices,
                               View<const T, 1> weights, View<const T, 1> first_residual,
                               View<const double, 1> factors, View<T, 2> products_to_dslices,
                               View<T, 1> dweights);
}  // namespace cuda

namespace {

/// How the D columns are cut into blocks, and the work of a round into tasks. Shapes alone decide,
/// so that sums do not depend on the number of threads. Tiles are as large as leaves one of them in
/// a core's cache: the larger, the fewer times BLAS packs the slices.
struct Tiling {
  Index slices, columns;  // J and D
  BlockRounds rounds;
  Index edge;        // of a tile of the residual
  Index tile_part;   // rows of a tile that one task forms
  Index slice_part;  // slices that one task multiplies

  Tiling(Index slice_count, Index d)
      : slices(slice_count),
        columns(d),
        rounds(static_cast<int>(parts_of(d, 800))),
        edge(parts_of(d, rounds.count)),
        tile_part(nearly_equal(edge, edge > 640 ? 208 : 160)),
        slice_part(nearly_equal(slices, 320)) {}

  /// A length that cuts into nearly equal parts, of whole vectors.
  static Index nearly_equal(Index length, Index longest) {
    return parts_of(parts_of(length, parts_of(length, longest)), 16) * 16;
  }

  int tile_parts() const { return static_cast<int>(parts_of(edge, tile_part)); }
  int slice_parts() const { return static_cast<int>(parts_of(slices, slice_part)); }
  Index begin(int block) const { return block * edge; }
  Index width(int block) const { return std::min(edge, columns - begin(block)); }
};

/// strengths_k factors_k
template <class T>
Tensor<T, 2> weighted_factors(const Context& ctx, const FactoredMatrix<T>& matrix) {
  const Index count = matrix.factors.extent(0), d = matrix.factors.extent(1);
  Tensor<T, 2> weighted(ctx, count, d);
#pragma omp parallel for num_threads(threads_for(ctx, weighted.size()))
  for (Index k = 0; k < count; ++k)
    for (Index i = 0; i < d; ++i) weighted(k, i) = matrix.strengths(k) * matrix.factors(k, i);
  return weighted;
}

/// What a tile is formed from beside the problem's own numbers: slices and the target's factors, if
/// it has any, times their weights.
template <class T>
struct Weighted {
  View<const T, 2> slices, factors;
};

template <class T>
double squared_sum(const T* numbers, Index count) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (Index i = 0; i < count; ++i) sum += double(numbers[i]) * double(numbers[i]);
  return sum;
}

/// Rows [begin, begin + count) of the tile where two blocks meet, those left of the diagonal in a
/// block's meeting with itself excepted; they come from their mirror image, which another task has.
/// Returns the share of ||R||^2 of both.
template <class T>
double form_tile(const Tiling& tiling, BlockRounds::Pair pair, Index begin, Index count,
                 const MomentResidualProblem<T>& problem, const Weighted<T>& weighted, T* tile) {
  const Index d = tiling.columns, edge = tiling.edge, width = tiling.width(pair.high);
  const bool on_diagonal = pair.low == pair.high;
  const Index left_out = on_diagonal ? begin : 0;
  const Index row = tiling.begin(pair.low) + begin, column = tiling.begin(pair.high) + left_out;
  T* out = tile + begin * edge + left_out;
  const auto multiply = [&](View<const T, 2> left, View<const T, 2> right, T beta) {
    blas::gemm<T>(Transpose::yes, Transpose::no, count, width - left_out, left.extent(0), T(1),
                  left.data + row, d, right.data + column, d, beta, out, edge);
  };
  if (problem.second.data)
    for (Index i = 0; i < count; ++i)
      std::copy_n(problem.second.data + (row + i) * d + column, width - left_out, out + i * edge);
  else
    multiply(problem.factored.factors, weighted.factors, T(0));
  multiply(problem.slices, weighted.slices, T(-1));

  double sum = 0;
  for (Index i = 0; i < count; ++i) {
    sum += 2 * squared_sum(out + i * edge, width - left_out);
    if (on_diagonal) sum -= squared_sum(out + i * edge, count);
  }
  // The square on the diagonal is whole; what lies right of it is missing below.
  const Index end = begin + count;
  if (on_diagonal) mirror(tile, edge, begin, end, count, width - end);
  return sum;
}

template <class T>
void residual_on_cpu(const Context& ctx, const MomentResidualProblem<T>& problem) {
  const View<const T, 2> slices = problem.slices;
  const View<T, 1> first_residual = problem.first_residual;
  const Index j_count = slices.extent(0), d = slices.extent(1);
  const Tiling tiling(j_count, d);
  const int pairs = tiling.rounds.pairs_a_round(), tile_parts = tiling.tile_parts();
  Tensor<T, 2> weighted_slices(ctx, j_count, d);
  Tensor<T, 3> tiles(ctx, pairs, tiling.edge, tiling.edge);
  std::vector<double> norms(tiling.rounds.count * pairs * tile_parts);
  blas::load();
  cpu::weighted_sum<T>(ctx, slices, problem.weights, problem.weights, first_residual,
                       weighted_slices);
  for (Index i = 0; i < d; ++i) first_residual(i) -= problem.first(i);
  const auto factors = weighted_factors<T>(ctx, problem.factored);
  const Weighted<T> weighted{weighted_slices, factors};

  const auto form = [&](const RoundTask& task) {
    const Index begin = task.part * tiling.tile_part;
    const Index count = std::min(tiling.tile_part, tiling.width(task.pair.low) - begin);
    if (count > 0)
      norms[(task.round * pairs + task.place) * tile_parts + task.part] = form_tile<T>(
          tiling, task.pair, begin, count, problem, weighted, &tiles(task.place, 0, 0));
  };
  const auto multiply = [&](const RoundTask& task, int from, int to) {
    const Index begin = task.part * tiling.slice_part;
    const Index count = std::min(tiling.slice_part, j_count - begin);
    blas::gemm<T>(Transpose::no, from > to ? Transpose::yes : Transpose::no, count,
                  tiling.width(to), tiling.width(from), T(1),
                  slices.data + begin * d + tiling.begin(from), d, &tiles(task.place, 0, 0),
                  tiling.edge, T(task.round > 0),
                  problem.products.data + begin * d + tiling.begin(to), d);
  };
#pragma omp parallel num_threads(ctx.threads())
  for_each_round(tiling.rounds, tile_parts, tiling.slice_parts(), form, multiply);

  problem.squared_norms(0) = squared_sum(first_residual.data, d);
  problem.squared_norms(1) = std::accumulate(norms.begin(), norms.end(), 0.0);
}

/// Scratch stays with the calling thread from one step to the next: the system takes longer to
/// clear as much of it than a small problem does.
void residual_on_matrix_tiles(const Context& ctx, const MomentResidualProblem<float>& problem) {
  thread_local Tensor<unsigned char, 1> scratch;
  const Index bytes = tiles::moment_residual_scratch_bytes(problem);
  if (scratch.size() < bytes) scratch = Tensor<unsigned char, 1>(ctx, bytes);
  tiles::moment_residual(ctx.threads(), problem, scratch.data());
}

/// The one dispatch point.
template <class T>
void residual_anywhere(const Context& ctx, const MomentResidualProblem<T>& problem) {
  const char* operation = "moment_residual";
  const Index j_count = problem.slices.extent(0), d = problem.slices.extent(1);
  require(j_count > 0 && d > 0, operation, "there are no slices");
  require_shape(operation, "weights", problem.weights, {j_count});
  require_shape(operation, "first", problem.first, {d});
  require_shape(operation, "first_residual", problem.first_residual, {d});
  require_shape(operation, "products", problem.products, {j_count, d});
  require_shape(operation, "squared_norms", problem.squared_norms, {2});
  if constexpr (built_with_cuda)
    if (ctx.backend() == Backend::cuda) return cuda::moment_residual<T>(ctx, problem);
  constexpr Index worth_packing = 400;  // columns
  if constexpr (built_with_matrix_tiles && std::is_same_v<T, float>)
    if (ctx.precision() != Precision::fp32 && d >= worth_packing && tiles::available())
      return residual_on_matrix_tiles(ctx, problem);
  residual_on_cpu(ctx, problem);
}

}  // namespace

template <class T>
void moment_residual(const Context& ctx, View<const T, 2> slices, View<const T, 1> weights,
                     View<const T, 1> first, View<const T, 2> second, View<T, 1> first_residual,
                     View<T, 2> products, View<double, 1> squared_norms) {
  const Index d = slices.extent(1);
  require_shape("moment_residual", "second", second, {d, d});
  residual_anywhere<T>(
      ctx, {slices, weights, first, second, {}, first_residual, products, squared_norms});
}

template <class T>
void moment_residual(const Context& ctx, View<const T, 2> slices, View<const T, 1> weights,
                     View<const T, 1> first, FactoredMatrix<T> second, View<T, 1> first_residual,
                     View<T, 2> products, View<double, 1> squared_norms) {
  const Index count = second.factors.extent(0);
  require_shape("moment_residual", "factors", second.factors, {count, slices.extent(1)});
  require_shape("moment_residual", "strengths", second.strengths, {count});
  residual_anywhere<T>(
      ctx, {slices, weights, first, {}, second, first_residual, products, squared_norms});
}

template <class T>
void moment_residual_gradients(const Context& ctx, View<const T, 2> slices,
                               View<const T, 1> weights, View<const T, 1> first_residual,
                               View<const double, 1> factors, View<T, 2> products_to_dslices,
                               View<T, 1> dweights) {
  const char* operation = "moment_residual_gradients";
  const Index j_count = slices.extent(0), d = slices.extent(1);
  require_shape(operation, "weights", weights, {j_count});
  require_shape(operation, "first_residual", first_residual, {d});
  require_shape(operation, "factors", factors, {2});
  require_shape(operation, "products_to_dslices", products_to_dslices, {j_count, d});
  require_shape(operation, "dweights", dweights, {j_count});
  if constexpr (built_with_cuda)
    if (ctx.backend() == Backend::cuda)
      return cuda::moment_residual_gradients<T>(ctx, slices, weights, first_residual, factors,
                                                products_to_dslices, dweights);

  const T a = T(factors(0)), b = T(factors(1));
#pragma omp parallel for num_threads(threads_for(ctx, slices.size()))
  for (Index j = 0; j < j_count; ++j) {
    const T* h = slices.data + j * d;
    T* g = products_to_dslices.data + j * d;
    const T z = weights(j);
    T dweight = 0;
#pragma omp simd reduction(+ : dweight)
    for (Index i = 0; i < d; ++i) {
      const T from_first = a * first_residual.data[i], from_second = b * g[i];
      dweight += h[i] * (from_first + from_second);
      g[i] = z * (from_first + 2 * from_second);
    }
    dweights(j) = dweight;
  }
}

#define ORRERY_INSTANTIATE(T)                                                                     \
  template void moment_residual<T>(const Context&, View<const T, 2>, View<const T, 1>,            \
                                   View<const T, 1>, View<const T, 2>, View<T, 1>, View<T, 2>,    \
                                   View<double, 1>);                                              \
  template void moment_residual<T>(const Context&, View<const T, 2>, View<const T, 1>,            \
                                   View<const T, 1>, FactoredMatrix<T>, View<T, 1>, View<T, 2>,   \
                                   View<double, 1>);                                              \
  template void moment_residual_gradients<T>(const Context&, View<const T, 2>, View<const T, 1>,  \
                                             View<const T, 1>, View<const double, 1>, View<T, 2>, \
                                             View<T, 1>);
ORRERY_INSTANTIATE(float)
ORRERY_INSTANTIATE(double)
#undef ORRERY_INSTANTIATE

}  // namespace orrery
