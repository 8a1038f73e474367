#include "bench/support/bench.hpp"
#include "geometry/projector.hpp"

namespace orrery::bench {
namespace {

const bool projects = measure("project", "projector", [](const Context& ctx, Shape shape) {
  const Index slices = shape["slices"], n = shape["n"];
  RandomSequence random(1, 0);
  std::vector<Rotation> rotations;
  for (Index i = 0; i < slices; ++i) rotations.push_back(random_rotation(random));
  // Inside the disc: pi/8 n^2 points of a half plane, 36 rows of six samples each.
  const double points = 0.393 * static_cast<double>(slices * n * n);
  return Work{
      points * 36 * 4 * 6, 4.0 * static_cast<double>(slices * n * n),
      [ctx, projector = Projector(ctx, phantom(static_cast<int>(n))),
       matrices = matrices_of<float>(ctx, rotations),
       h = Tensor<float, 2>(ctx, slices, n * n)]() mutable { projector.project(matrices, h); }};
});

}  // namespace
}  // namespace orrery::bench
