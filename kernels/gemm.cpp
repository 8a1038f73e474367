#include "kernels/gemm.hpp"

#include <algorithm>
#include <vector>

#include "kernels/check.hpp"
#include "kernels/cuda_runtime.hpp"
#include "kernels/mirror.hpp"

namespace orrery {
namespace {

// How a product is cut into tasks. Only the shape decides, never the number of threads: every task
// does the same sums whoever runs it.
constexpr Index longest_tile = 512;    // wider tiles gain nothing: BLAS blocks further inside
constexpr Index shortest_tile = 128;   // narrower ones pack more than they multiply
constexpr Index enough_tasks = 64;     // more serve no machine we know
constexpr double task_flop = 8e6;      // below this a task is over before a thread wakes
constexpr Index shortest_share = 512;  // of the inner dimension
constexpr Index diagonal_strip = 96;   // of rows of a symmetric product's tiles on the diagonal

/// How many parts of that length, at least one.
Index parts_of(Index length, Index part) { return length <= part ? 1 : (length + part - 1) / part; }

/// `length` cut into `parts` nearly equal pieces, whole vectors where there is room for that.
struct Cut {
  Index length, parts, piece;

  Cut(Index full, Index longest) : length(full), parts(parts_of(full, longest)) {
    piece = (length + parts - 1) / parts;
    if (parts > 1) piece = (piece + 15) / 16 * 16;
    parts = parts_of(length, piece);
  }
  Index begin(Index part) const { return part * piece; }
  Index count(Index part) const { return std::min(piece, length - begin(part)); }
};

struct Tiling {
  Cut rows, columns, shares;
};

Tiling tiling_of(Index m, Index n, Index k) {
  Index tile_m = std::min(m, longest_tile), tile_n = std::min(n, longest_tile), share = k;
  auto tasks = [&] { return parts_of(m, tile_m) * parts_of(n, tile_n) * parts_of(k, share); };
  auto divisible = [&] {
    return tasks() < enough_tasks && 2.0 * tile_m * tile_n * share >= 2 * task_flop;
  };
  while (divisible() && std::max(tile_m, tile_n) >= 2 * shortest_tile) {
    Index& longer = tile_m > tile_n ? tile_m : tile_n;
    longer = (longer + 1) / 2;
  }
  // Few rows, few columns, long sums: share out the sum itself.
  while (divisible() && share >= 2 * shortest_share) share = (share + 1) / 2;
  return {Cut(m, tile_m), Cut(n, tile_n), Cut(k, share)};
}

int useful_threads(const Context& ctx, Index tasks, double flop) {
  const double worthwhile = std::min<double>(static_cast<double>(tasks), flop / (task_flop / 4));
  return std::clamp(static_cast<int>(worthwhile), 1, std::max(ctx.threads(), 1));
}

/// A row-major operand with its transpose taken into account: where op(A)'s element (i, j) lies.
template <class T>
struct Operand {
  const T* data;
  Index stride;
  Transpose transpose;

  const T* at(Index i, Index j) const {
    return transpose == Transpose::yes ? data + j * stride + i : data + i * stride + j;
  }
};

template <class T>
void multiply(const Operand<T>& a, const Operand<T>& b, Index i, Index j, Index first, Index m,
              Index n, Index k, T alpha, T beta, T* c, Index ldc) {
  blas::gemm<T>(a.transpose, b.transpose, m, n, k, alpha, a.at(i, first), a.stride, b.at(first, j),
                b.stride, beta, c, ldc);
}

template <class T>
void gemm_on_tiles(const Context& ctx, const Operand<T>& a, const Operand<T>& b, Index m, Index n,
                   Index k, T alpha, T beta, T* c) {
  const auto [rows, columns, shares] = tiling_of(m, n, k);
  const Index tasks = rows.parts * columns.parts * shares.parts;
  const int threads = useful_threads(ctx, tasks, 2.0 * m * n * k);
  // The first share is added to C itself, each further one is written apart and added in order.
  std::vector<T> partial((shares.parts - 1) * m * n);

#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
  for (Index task = 0; task < tasks; ++task) {
    const Index share = task / (rows.parts * columns.parts);
    const Index row = task / columns.parts % rows.parts, column = task % columns.parts;
    const Index i = rows.begin(row), j = columns.begin(column);
    T* out = share == 0 ? c : partial.data() + (share - 1) * m * n;
    multiply(a, b, i, j, shares.begin(share), rows.count(row), columns.count(column),
             shares.count(share), alpha, share == 0 ? beta : T(0), out + i * n + j, n);
  }

  const Index size = m * n;
  for (Index share = 1; share < shares.parts; ++share) {
    const T* added = partial.data() + (share - 1) * size;
#pragma omp simd
    for (Index i = 0; i < size; ++i) c[i] += added[i];
  }
}

template <class T>
void symmetric_on_tiles(const Context& ctx, const Operand<T>& a, const Operand<T>& b, Index n,
                        Index k, T alpha, T beta, T* c) {
  const Cut cut = tiling_of(n, n, k).rows;
  const Index tasks = cut.parts * (cut.parts + 1) / 2;
  const int threads = useful_threads(ctx, tasks, 1.0 * n * n * k);

#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
  for (Index task = 0; task < tasks; ++task) {
    Index row = 0, column = task;  // counts along the rows of the upper triangle
    for (; column >= cut.parts - row; ++row) column -= cut.parts - row;
    column += row;
    const Index i = cut.begin(row), j = cut.begin(column);
    const Index m = cut.count(row);
    // A tile on the diagonal goes in strips of rows, each from where it meets the diagonal on.
    const Index strip = row == column ? diagonal_strip : m;
    for (Index r = 0; r < m; r += strip) {
      const Index below = row == column ? r : 0;  // so many columns come from the mirror
      multiply(a, b, i + r, j + below, 0, std::min(strip, m - r), cut.count(column) - below, k,
               alpha, beta, c + (i + r) * n + j + below, n);
    }
    mirror(c, n, i, j, m, cut.count(column));
  }
}

}  // namespace

template <class T>
void gemm(const Context& ctx, Transpose transpose_a, Transpose transpose_b, T alpha,
          View<const T, 2> a, View<const T, 2> b, T beta, View<T, 2> c) {
  const bool turn_a = transpose_a == Transpose::yes, turn_b = transpose_b == Transpose::yes;
  const Index m = c.extent(0), n = c.extent(1), k = a.extent(turn_a ? 0 : 1);
  require_shape("gemm", "A", a, {turn_a ? k : m, turn_a ? m : k});
  require_shape("gemm", "B", b, {turn_b ? n : k, turn_b ? k : n});
  if (m == 0 || n == 0) return;
  if constexpr (built_with_cuda)
    if (ctx.backend() == Backend::cuda)
      return cuda::gemm<T>(ctx.device(), turn_a, turn_b, m, n, k, alpha, a.data, a.extent(1),
                           b.data, b.extent(1), beta, c.data, n);
  blas::load();
  gemm_on_tiles<T>(ctx, {a.data, a.extent(1), transpose_a}, {b.data, b.extent(1), transpose_b}, m,
                   n, k, alpha, beta, c.data);
}

template <class T>
void symmetric_rank_k(const Context& ctx, T alpha, View<const T, 2> a, T beta, View<T, 2> c) {
  const Index n = c.extent(0), k = a.extent(0);
  require_shape("symmetric_rank_k", "A", a, {k, n});
  require_shape("symmetric_rank_k", "C", c, {n, n});
  if (n == 0) return;
  if constexpr (built_with_cuda)
    if (ctx.backend() == Backend::cuda)
      return cuda::gemm<T>(ctx.device(), true, false, n, n, k, alpha, a.data, n, a.data, n, beta,
                           c.data, n);
  blas::load();
  symmetric_on_tiles<T>(ctx, {a.data, n, Transpose::yes}, {a.data, n, Transpose::no}, n, k, alpha,
                        beta, c.data);
}

template void gemm(const Context&, Transpose, Transpose, float, View<const float, 2>,
                   View<const float, 2>, float, View<float, 2>);
template void gemm(const Context&, Transpose, Transpose, double, View<const double, 2>,
                   View<const double, 2>, double, View<double, 2>);
template void symmetric_rank_k(const Context&, float, View<const float, 2>, float, View<float, 2>);
template void symmetric_rank_k(const Context&, double, View<const double, 2>, double,
                               View<double, 2>);

}  // namespace orrery
