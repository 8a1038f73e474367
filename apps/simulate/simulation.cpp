#include "apps/simulate/simulation.hpp"

#include <algorithm>
#include <cmath>

#include "apps/estimated_view_moments.hpp"
#include "apps/simulate/exact_moments.hpp"
#include "io/image_stack.hpp"
#include "io/particles.hpp"

namespace orrery {

namespace {

/// Images a batch: enough to be worth a product, few enough to stay near the cores. Part of what
/// the random numbers are, so it depends on the problem alone.
Index batch_of_moments(Index pixels, std::int64_t images) {
  const Index few = static_cast<Index>((images + 1) / 2);  // all of a half
  return std::min(few, std::clamp<Index>((Index{1} << 21) / pixels, 1024, 4096));
}
Index batch_of_images(Index pixels) { return std::clamp<Index>((Index{1} << 22) / pixels, 1, 256); }

/// A moment's relative error, and the one that its standard errors let expect. Where nothing was
/// observed, and the standard error is infinite, there is nothing to compare.
struct MomentError {
  double found, expected;
};
MomentError error_against(View<const float, 1> exact, const std::vector<float>& found,
                          const std::vector<float>& standard_error) {
  double squares = 0, distances = 0;
  for (Index i = 0; i < exact.size(); ++i) {
    if (!std::isfinite(standard_error[i])) continue;
    const double value = exact(i), distance = double(found[i]) - value;
    squares += value * value;
    distances += distance * distance;
  }
  return {std::sqrt(distances / squares),
          relative_standard_error({exact.data, found.size()}, standard_error)};
}

SimulatedMoments::Errors errors_against(const Context& ctx, const ExactMoments& exact,
                                        const ViewMoments& m) {
  const auto exact_first = download(ctx, exact.first);
  const auto exact_second = download(ctx, exact.second);
  const auto first = error_against(exact_first.view(), m.first, m.first_error);
  const auto second = error_against(exact_second.view().flat(), m.second, m.second_error);
  return {first.found, second.found, first.expected, second.expected};
}

/// The line of a STAR file, in RELION's signs: an origin is what an image has to be moved by to
/// come to the centre.
io::Particle particle_of(const Pose& pose, const CtfParameters& optics, double pixel_size) {
  io::Particle particle;
  const EulerAngles angles = to_euler(pose.view);
  particle.rot = angles.rot;
  particle.tilt = angles.tilt;
  particle.psi = angles.psi;
  particle.origin_x = -pose.shift_x * pixel_size;
  particle.origin_y = -pose.shift_y * pixel_size;
  particle.ctf = optics;
  return particle;
}

}  // namespace

std::optional<io::ParticleTable> simulate_images(const Context& ctx, const SimulateOptions& options,
                                                 const ImageMaker& maker, double sigma,
                                                 double pixel_size, SimulationOutput& output,
                                                 const ImagesDone& done) {
  const Index m = maker.image_size(), pixels = Index{maker.grid()} * maker.grid();
  const Index batch = batch_of_images(m * m);
  Tensor<float, 2> h(ctx, batch, pixels);
  Tensor<float, 3> images(ctx, batch, m, m);

  io::ParticleTable table;
  table.groups = {{"opticsGroup1", pixel_size, static_cast<int>(m)}};
  table.has_views = table.has_halves = true;
  table.has_origins = options.shift_sigma > 0;
  table.has_ctf = options.ctf;

  std::optional<io::ImageStackWriter> stack;
  // Batches are numbered from as many images as are there, which are at least as many as their
  // batches: no noise comes twice.
  const std::int64_t before = options.images_before, total = before + options.images;
  std::int64_t number = before;
  for (std::int64_t first = before; first < total; first += batch, ++number) {
    const Index count = std::min<std::int64_t>(batch, total - first);
    const auto coefficients = h.view().rows(0, count);
    const auto made = maker.signal(first, coefficients);
    images_of_slices(ctx, maker.grid(), coefficients, images.view().rows(0, count));
    if (sigma > 0) maker.add_noise(number, sigma, images.view().rows(0, count));
    const auto finished = download(ctx, images);

    for (Index i = 0; i < count;) {
      if (!stack) stack.emplace(output.next_stack(), m, pixel_size);
      const Index room =
          std::min<std::int64_t>(count - i, options.images_per_stack - stack->count());
      for (Index j = i; j < i + room; ++j) {
        const auto micrograph = maker.circumstances().micrograph_of(first + j);
        const auto optics =
            options.ctf ? maker.circumstances().optics(micrograph) : CtfParameters{};
        auto particle = particle_of(made.poses[static_cast<std::size_t>(j)], optics, pixel_size);
        particle.stack = static_cast<int>(output.stacks().size()) - 1;
        particle.image = stack->count() + (j - i);
        particle.half = 1 + static_cast<int>((first + j) % 2);
        table.particles.push_back(particle);
      }
      stack->append(finished.view().rows(i, room));
      i += room;
      if (stack->count() == options.images_per_stack || first + i == total) {
        stack->close();
        stack.reset();
      }
    }
    if (!done(first + count - before)) return std::nullopt;
  }
  table.stacks = output.stacks();
  return table;
}

std::optional<SimulatedMoments> simulate_moments(const Context& ctx, const SimulateOptions& options,
                                                 const ImageMaker& maker, const Volume& truth,
                                                 double sigma, const ImagesDone& done) {
  const Index pixels = Index{maker.grid()} * maker.grid();
  const Index batch = batch_of_moments(pixels, options.images);
  Tensor<float, 2> h(ctx, batch, pixels);
  std::vector<ParticleMoments> halves;
  for (int half = 0; half < 2; ++half) halves.emplace_back(ctx, pixels, options.ctf);
  double contrast = 0, squared_contrast = 0;

  // Each image is drawn, seen through noise, added to its half's sums and forgotten. No batch has
  // images of both halves.
  const std::int64_t middle = (options.images + 1) / 2;
  for (std::int64_t first = 0, number = 0; first < options.images; ++number) {
    const bool later = first >= middle;
    const Index count = std::min<std::int64_t>(batch, (later ? options.images : middle) - first);
    const auto images = h.view().rows(0, count);
    const auto made = maker.signal(first, images);
    if (sigma > 0) maker.add_noise(number, sigma, images);
    halves[later].add(images, made.ctf, made.ctf_of_image);
    for (const Pose& pose : made.poses) {
      contrast += pose.contrast / static_cast<double>(options.images);
      squared_contrast += pose.contrast * pose.contrast / static_cast<double>(options.images);
    }
    first += count;
    if (!done(first)) return std::nullopt;
  }

  SimulatedMoments result;
  ViewMoments& m = result.moments;
  m = view_moments_of(std::move(halves), maker.noise_variance(sigma));
  m.n = maker.grid();
  m.voxel_size = truth.voxel_size;
  m.noise_variance = sigma * sigma;
  m.shift_deviation = options.shift_sigma;
  for (int k = 0; k <= m.n / 2; ++k)
    m.noise_spectrum.push_back(sigma * sigma * maker.noise_spectrum()(k));

  constexpr int largest_compared = 65;
  if (m.n <= largest_compared)
    result.errors = errors_against(
        ctx, exact_moments(ctx, options, truth, maker.circumstances(), contrast, squared_contrast),
        m);
  return result;
}

}  // namespace orrery
