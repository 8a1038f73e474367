#include "apps/reconstruct/memory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "apps/memory.hpp"
#include "apps/reconstruct/problem.hpp"
#include "geometry/volume.hpp"
#include "kernels/check.hpp"
#include "nn/density_encoder.hpp"
#include "nn/lbfgs.hpp"

namespace orrery {

namespace {

/// Of the layers that see the second moment, and that see or give many numbers.
std::int64_t encoder_weights(std::int64_t pixels, std::int64_t outputs) {
  const DensityEncoderSettings e;
  return pixels * e.window * e.window * e.second_branch.front() +
         pixels * e.joint.back() * e.dense.front() + e.dense.back() * outputs;
}

}  // namespace

std::int64_t MemoryNeed::total() const {
  std::int64_t sum = 0;
  for (const auto& part : parts) sum += part.bytes;
  return sum;
}

std::int64_t MemoryNeed::on_device() const {
  std::int64_t sum = 0;
  for (const auto& part : parts)
    if (!part.on_host) sum += part.bytes;
  return sum;
}

MemoryNeed memory_need(const Options& o, int n, Backend backend, int processes) {
  const auto share = [&](std::int64_t things) { return (things + processes - 1) / processes; };
  const std::int64_t pixels = std::int64_t{n} * n, voxels = pixels * n;
  const std::int64_t views = std::int64_t{o.directions} * o.angles;
  const std::int64_t distinct = o.angles % 4 == 0 ? views / (o.directions % 2 == 0 ? 8 : 4) : views;
  const std::int64_t points = share(distinct) * (pixels + 1) / 2 + share(voxels / 4);
  const std::int64_t rows = points * (o.symmetry == "average" ? 2 : 1);
  const auto weights_of = [&](std::int64_t layers) { return o.width * (o.width * layers + 16); };
  const std::int64_t modulant = weights_of(o.modulant_layers);
  const std::int64_t envelope = weights_of(o.envelope_layers);
  const bool encodes_density = o.density_prior == "encoder", encodes_latent = o.latent > 0;
  std::int64_t weights = modulant + envelope;
  if (encodes_density)
    weights += encoder_weights(pixels, o.density_over == "rotations" ? views : o.directions);
  if (encodes_latent) weights += encoder_weights(pixels, o.latent);
  // Their own block, their gradients', Adam's three, a checkpoint's; L-BFGS's.
  const std::int64_t blocks = 6 + (o.finish != 0 ? 2 * LbfgsSettings().history + 7 : 0);
  const bool on_cuda = backend == Backend::cuda;
  const std::int64_t shares = on_cuda ? 256 : 64;  // of one network at a time
  // For the slices of a map and for all that is aligned.
  const bool transforms = on_cuda && (!o.from_images() || !o.volume.empty() || o.half_maps);
  const bool has_finer_rule = o.views.empty() && !o.from_images();
  const std::int64_t finer_views = has_finer_rule ? finer_rule(o.directions, o.angles).views() : 0;
  // Estimated moments may leave shifts unknown, whose model is formed as a matrix, and so is that
  // of several processes; exact moments are compared with those of a finer rule.
  const bool has_another = has_finer_rule || o.from_images() || processes > 1;
  const std::int64_t rank = o.target_rank;
  // Eigenvectors and two copies that the products want; a map's slices stay beside them, and are
  // copied while the eigenvectors are looked for.
  const MemoryNeed::Part second =
      rank > 0
          ? MemoryNeed::Part{"second moment: its leading eigenvectors, and what they are of",
                             4 * pixels * (6 * (rank + 16) + (o.from_images() ? 0 : 3 * views))}
          : MemoryNeed::Part{"second moment: the target, and another to compare with",
                             (has_another ? 2 : 1) * 4 * pixels * pixels};
  return {{second,
           {"slices, their gradients, and copies that the products want",
            5 * 4 * share(views) * pixels},
           {"slices of the finer rule that the quadrature is compared with",
            (rank > 0 ? 4 : 2) * 4 * finer_views * pixels},
           {"coordinates and values of the network", 4 * (rows * 11 + points * 7)},
           {"network gradients in shares", 4 * shares * std::max(modulant, envelope)},
           {"weights, their gradients, and what optimisers keep", 4 * blocks * weights},
           {"second moment as encoders see it, and a step's copy of that",
            (encodes_density + encodes_latent) * 2 * 4 * pixels * pixels},
           {"scratch of a volume's transform",
            transforms ? 4 * std::int64_t{transform_scratch_on_device(n)} : 0},
           {"second moments as they are kept: all images, errors, both halves",
            (o.from_images() ? 4 + (rank > 0)
             : rank > 0      ? 0
                             : 1) *
                4 * pixels * pixels,
            true},
           {"volumes and their transforms", 8 * 16 * voxels, true}}};
}

int largest_box(const Options& options, std::int64_t bytes, int processes) {
  int n = 1;
  while (memory_need(options, n + 2, Backend::cuda, processes).on_device() <= bytes) n += 2;
  return n > 1 ? n : 0;
}

std::optional<Index> rank_to_try(const Options& options, int n) {
  constexpr Index rank = 200;
  const bool reads_matrix = options.density_prior == "encoder" || options.latent > 0;
  if (options.target_rank > 0 || reads_matrix || Index{n} * n <= rank) return std::nullopt;
  return rank;
}

void require_memory(const Context& ctx, const Options& options, int n, int processes) {
  const MemoryNeed need = memory_need(options, n, ctx.backend(), processes);
  const bool on_cpu = ctx.backend() == Backend::cpu;
  const Index by_rank = processes > 1 ? 0 : rank_to_try(options, n).value_or(0);
  Options by_eigenvectors = options;
  by_eigenvectors.target_rank = by_rank;
  const MemoryNeed less = memory_need(by_eigenvectors, n, ctx.backend());
  const auto require_free = [&](std::int64_t bytes, std::int64_t then, std::int64_t free,
                                const std::string& place) {
    if (free == 0 || bytes <= free) return;
    const std::string instead =
        by_rank > 0 && then <= free ? fmt::format("give --target-rank {}, or ", by_rank) : "";
    throw InputError(fmt::format(
        "this run needs about {} of memory and {} are free on {}; {}lower --box (now {}), "
        "--directions or --angles",
        bytes_text(double(bytes)), bytes_text(double(free)), place, instead, n));
  };
  if (!on_cpu)
    require_free(need.on_device(), less.on_device(), free_device_memory(ctx), ctx.description());
  require_free(on_cpu ? need.total() : need.on_host(), on_cpu ? less.total() : less.on_host(),
               free_host_memory(), on_cpu ? ctx.description() : "the host");
}

}  // namespace orrery
