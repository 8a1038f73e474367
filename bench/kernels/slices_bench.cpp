#include "bench/support/bench.hpp"
#include "kernels/slices.hpp"

namespace orrery::bench {
namespace {

struct Sizes {
  Index slices, n, copies, points, grid;
  explicit Sizes(Shape& s)
      : slices(s["slices"]), n(s["n"]), copies(s["copies"]), points((n * n + 1) / 2), grid(n * n) {}
};

const bool packs = measure("hartley_pack", "slices", [](const Context& ctx, Shape shape) {
  const Sizes s(shape);
  return Work{2.0 * s.slices * s.points, 4.0 * s.slices * (2 * s.points + s.grid),
              [ctx, half = random_tensor<float>(ctx, s.slices, s.points, 2),
               h = Tensor<float, 2>(ctx, s.slices, s.grid)]() mutable {
                hartley_pack<float>(ctx, half, h);
              }};
});

const bool expansions = measure("expand_copies", "slices", [](const Context& ctx, Shape shape) {
  const Sizes s(shape);
  return Work{0, 4.0 * s.slices * s.grid * (1 + s.copies),
              [ctx, s, base = random_tensor<float>(ctx, s.slices, s.grid),
               full = Tensor<float, 2>(ctx, s.slices * s.copies, s.grid)]() mutable {
                expand_copies<float>(ctx, int(s.n), int(s.copies), base, full);
              }};
});

const bool adjoints =
    measure("expand_copies_adjoint", "slices", [](const Context& ctx, Shape shape) {
      const Sizes s(shape);
      return Work{1.0 * s.slices * s.grid * s.copies, 4.0 * s.slices * s.grid * (1 + s.copies),
                  [ctx, s, dfull = random_tensor<float>(ctx, s.slices * s.copies, s.grid),
                   dbase = Tensor<float, 2>(ctx, s.slices, s.grid)]() mutable {
                    expand_copies_adjoint<float>(ctx, int(s.n), int(s.copies), dfull, dbase);
                  }};
    });

}  // namespace
}  // namespace orrery::bench
