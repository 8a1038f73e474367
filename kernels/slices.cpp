#include "kernels/slices.hpp"

#include <numbers>

#include "kernels/check.hpp"
#include "kernels/fast_sine.hpp"
#include "kernels/parallel_for.hpp"
#include "kernels/slice_grid.hpp"

namespace orrery {
namespace {

Index half_plane_points(Index n) { return (n * n + 1) / 2; }

template <class T>
struct SliceCoordinates {
  SliceGrid grid;
  Index points;
  Quotient slice_of;
  T scale;
  const T* rotations;
  T* x;

  ORRERY_HOST_DEVICE void operator()(Index i) const {
    const Index slice = slice_of(i);
    const auto k = grid(points - 1 + (i - slice * points));  // the origin is index P - 1
    const T kx = scale * static_cast<T>(k.x), ky = scale * static_cast<T>(k.y);
    const T* r = rotations + 9 * slice;
    for (int d = 0; d < 3; ++d) x[3 * i + d] = r[d] * kx + r[3 + d] * ky;
  }
};

// The three Hartley functors visit the points of the half planes: each owns the pair of grid
// indices c + p and c - p of its slice, which are one and the same at the origin.

template <class T>
struct HartleyPack {
  Index points;
  Quotient slice_of;
  const T* half;
  T* h;

  ORRERY_HOST_DEVICE void operator()(Index i) const {
    const Index slice = slice_of(i), p = i - slice * points;
    T* origin = h + slice * (2 * points - 1) + points - 1;
    const T re = half[2 * i], im = p == 0 ? T(0) : half[2 * i + 1];
    origin[p] = re - im;
    origin[-p] = re + im;
  }
};

template <class T>
struct HartleyPackAdjoint {
  Index points;
  Quotient slice_of;
  const T* dh;
  T* dhalf;

  ORRERY_HOST_DEVICE void operator()(Index i) const {
    const Index slice = slice_of(i), p = i - slice * points;
    const T* origin = dh + slice * (2 * points - 1) + points - 1;
    const T plus = origin[p], minus = p == 0 ? T(0) : origin[-p];
    dhalf[2 * i] = plus + minus;
    dhalf[2 * i + 1] = p == 0 ? T(0) : minus - plus;
  }
};

template <class T>
struct HartleyUnpack {
  Index points;
  Quotient slice_of;
  const T* h;
  T* half;

  ORRERY_HOST_DEVICE void operator()(Index i) const {
    const Index slice = slice_of(i), p = i - slice * points;
    const T* origin = h + slice * (2 * points - 1) + points - 1;
    half[2 * i] = T(0.5) * (origin[p] + origin[-p]);
    half[2 * i + 1] = T(0.5) * (origin[-p] - origin[p]);
  }
};

/// A symmetry of the grid as a walk over it: the point at (ix, iy) is carried to the index
/// start + x ix + y iy. Turns and reflections move a centred grid onto itself, so the walk is
/// affine.
struct GridWalk {
  Index start, x, y;
};

/// The walk of the plane's map (kx, ky) -> (xx kx + xy ky, yx kx + yy ky).
GridWalk walk_of(Index n, int xx, int xy, int yx, int yy) {
  const Index h = (n - 1) / 2, x = yx * n + xx, y = yy * n + xy;
  return {h * n + h - h * (x + y), x, y};
}

struct Walks {
  GridWalk copy[8];
};

/// Walks of S_g^T, or of S_g. In the plane S_g is a turn after a reflection of ky:
///   S_g = (cos  -sin m),  m = 1 for g < 4 and -1 for g >= 4.
///         (sin   cos m)
Walks symmetry_walks(Index n, bool transposed) {
  constexpr int cosine[4] = {1, 0, -1, 0}, sine[4] = {0, 1, 0, -1};
  Walks walks;
  for (int g = 0; g < 8; ++g) {
    const int c = cosine[g % 4], s = sine[g % 4], m = g < 4 ? 1 : -1;
    walks.copy[g] = transposed ? walk_of(n, c, s, -s * m, c * m) : walk_of(n, c, -s * m, s, c * m);
  }
  return walks;
}

template <class T>
struct ExpandCopies {
  Index n;
  int copies;
  Quotient row_of, view_of, slice_of_view;
  Walks walks;  // of S_g^T
  const T* base;
  T* full;

  ORRERY_HOST_DEVICE void operator()(Index i) const {
    const Index view = view_of(i), index = i - view * n * n;
    const Index b = slice_of_view(view);
    const GridWalk walk = walks.copy[view - b * copies];
    const Index iy = row_of(index), ix = index - iy * n;
    full[i] = base[b * n * n + walk.start + walk.x * ix + walk.y * iy];
  }
};

template <class T>
struct ExpandCopiesAdjoint {
  Index n;
  int copies;
  Quotient row_of, slice_of;
  Walks walks;  // of S_g: a permutation's adjoint is its inverse, so this is a gather too
  const T* dfull;
  T* dbase;

  ORRERY_HOST_DEVICE void operator()(Index i) const {
    const Index b = slice_of(i), index = i - b * n * n;
    const Index iy = row_of(index), ix = index - iy * n;
    T total = 0;
    for (int g = 0; g < copies; ++g) {
      const GridWalk walk = walks.copy[g];
      total += dfull[(b * copies + g) * n * n + walk.start + walk.x * ix + walk.y * iy];
    }
    dbase[i] = total;
  }
};

template <class T>
struct WeighCoefficients {
  Index grid;
  Quotient slice_of;
  const T* weights;
  T* h;

  ORRERY_HOST_DEVICE void operator()(Index i) const { h[i] *= weights[i - slice_of(i) * grid]; }
};

template <class T, class U>
void require_half_plane(const char* operation, View<T, 3> half, View<U, 2> h) {
  const Index slices = h.extent(0), points = half.extent(1);
  require(points >= 1, operation, "a half plane has at least one point");
  require_shape(operation, "half", half, {slices, points, 2});
  require_shape(operation, "h", h, {slices, 2 * points - 1});
}

template <class T, class U>
void require_copies(const char* operation, int n, int copies, View<T, 2> base, View<U, 2> full) {
  require_odd(operation, n);
  require(copies == 1 || copies == 4 || copies == 8, operation, "copies must be 1, 4 or 8");
  const Index grid = static_cast<Index>(n) * n;
  require_shape(operation, "base", base, {base.extent(0), grid});
  require_shape(operation, "full", full, {base.extent(0) * copies, grid});
}

template <class T>
struct ShiftSlices {
  SliceGrid grid;
  Index points;
  Quotient slice_of;
  T step;
  const T* shifts;
  T* h;

  ORRERY_HOST_DEVICE void operator()(Index i) const {
    const Index slice = slice_of(i), p = i - slice * points;
    const auto k = grid(points - 1 + p);
    const T kx = static_cast<T>(k.x), ky = static_cast<T>(k.y);
    const T angle = step * (kx * shifts[2 * slice] + ky * shifts[2 * slice + 1]);
    const auto [sine, cosine] = fast_sine_cosine(angle);
    T* origin = h + slice * (2 * points - 1) + points - 1;
    const T plus = origin[p], minus = origin[-p];
    origin[p] = cosine * plus + sine * minus;
    origin[-p] = p == 0 ? plus : cosine * minus - sine * plus;
  }
};

}  // namespace

template <class T>
void slice_coordinates(const Context& ctx, int n, T scale, View<const T, 3> rotations,
                       View<T, 3> x) {
  require_odd("slice_coordinates", n);
  const Index slices = rotations.extent(0), points = half_plane_points(n);
  require_shape("slice_coordinates", "rotations", rotations, {slices, 3, 3});
  require_shape("slice_coordinates", "x", x, {slices, points, 3});
  parallel_for(
      ctx, "slice coordinates", slices * points,
      SliceCoordinates<T>{SliceGrid(n), points, Quotient(points), scale, rotations.data, x.data});
}

template <class T>
void hartley_pack(const Context& ctx, View<const T, 3> half, View<T, 2> h) {
  require_half_plane("hartley_pack", half, h);
  const Index points = half.extent(1);
  parallel_for(ctx, "hartley pack", h.extent(0) * points,
               HartleyPack<T>{points, Quotient(points), half.data, h.data});
}

template <class T>
void hartley_pack_adjoint(const Context& ctx, View<const T, 2> dh, View<T, 3> dhalf) {
  require_half_plane("hartley_pack_adjoint", dhalf, dh);
  const Index points = dhalf.extent(1);
  parallel_for(ctx, "hartley pack adjoint", dh.extent(0) * points,
               HartleyPackAdjoint<T>{points, Quotient(points), dh.data, dhalf.data});
}

template <class T>
void hartley_unpack(const Context& ctx, View<const T, 2> h, View<T, 3> half) {
  require_half_plane("hartley_unpack", half, h);
  const Index points = half.extent(1);
  parallel_for(ctx, "hartley unpack", h.extent(0) * points,
               HartleyUnpack<T>{points, Quotient(points), h.data, half.data});
}

template <class T>
void expand_copies(const Context& ctx, int n, int copies, View<const T, 2> base, View<T, 2> full) {
  require_copies("expand_copies", n, copies, base, full);
  parallel_for(ctx, "expand copies", full.size(),
               ExpandCopies<T>{n, copies, Quotient(n), Quotient(full.extent(1)), Quotient(copies),
                               symmetry_walks(n, true), base.data, full.data});
}

template <class T>
void expand_copies_adjoint(const Context& ctx, int n, int copies, View<const T, 2> dfull,
                           View<T, 2> dbase) {
  require_copies("expand_copies_adjoint", n, copies, dbase, dfull);
  parallel_for(ctx, "expand copies adjoint", dbase.size(),
               ExpandCopiesAdjoint<T>{n, copies, Quotient(n), Quotient(dbase.extent(1)),
                                      symmetry_walks(n, false), dfull.data, dbase.data});
}

template <class T>
void weigh_coefficients(const Context& ctx, View<const T, 1> weights, View<T, 2> h) {
  const Index grid = h.extent(1);
  require_shape("weigh_coefficients", "weights", weights, {grid});
  parallel_for(ctx, "weigh coefficients", h.size(),
               WeighCoefficients<T>{grid, Quotient(grid), weights.data, h.data});
}

template <class T>
void shift_slices(const Context& ctx, int n, View<const T, 2> shifts, View<T, 2> h) {
  require_odd("shift_slices", n);
  const Index points = half_plane_points(n), batch = h.extent(0);
  require_shape("shift_slices", "shifts", shifts, {batch, 2});
  require_shape("shift_slices", "h", h, {batch, 2 * points - 1});
  parallel_for(ctx, "shift slices", batch * points,
               ShiftSlices<T>{SliceGrid(n), points, Quotient(points),
                              static_cast<T>(2 * std::numbers::pi / n), shifts.data, h.data});
}

#define ORRERY_INSTANTIATE(T)                                                                     \
  template void slice_coordinates<T>(const Context&, int, T, View<const T, 3>, View<T, 3>);       \
  template void hartley_pack<T>(const Context&, View<const T, 3>, View<T, 2>);                    \
  template void hartley_pack_adjoint<T>(const Context&, View<const T, 2>, View<T, 3>);            \
  template void hartley_unpack<T>(const Context&, View<const T, 2>, View<T, 3>);                  \
  template void expand_copies<T>(const Context&, int, int, View<const T, 2>, View<T, 2>);         \
  template void expand_copies_adjoint<T>(const Context&, int, int, View<const T, 2>, View<T, 2>); \
  template void weigh_coefficients<T>(const Context&, View<const T, 1>, View<T, 2>);              \
  template void shift_slices<T>(const Context&, int, View<const T, 2>, View<T, 2>);
ORRERY_INSTANTIATE(float)
ORRERY_INSTANTIATE(double)
#undef ORRERY_INSTANTIATE

}  // namespace orrery
