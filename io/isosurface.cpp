#include "io/isosurface.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "kernels/check.hpp"

namespace orrery::io {

namespace {

// Rays are marched in single precision in units of the smooth grid's voxels, origin at its corner.
struct Vec {
  float x = 0, y = 0, z = 0;

  friend Vec operator+(Vec a, Vec b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
  friend Vec operator-(Vec a, Vec b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
  friend Vec operator*(float s, Vec a) { return {s * a.x, s * a.y, s * a.z}; }
  friend Vec operator*(Vec a, Vec b) { return {a.x * b.x, a.y * b.y, a.z * b.z}; }
};
float dot(Vec a, Vec b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
Vec unit(Vec a) { return (1 / std::sqrt(std::max(dot(a, a), 1e-30f))) * a; }
Vec mix(Vec a, Vec b, float t) { return a + t * (b - a); }

/// A right-handed frame: the viewer sits at `toward`.
struct View {
  Vec right, up, toward;
};
constexpr std::array<View, 3> views = {{{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
                                        {{0, 0, -1}, {0, 1, 0}, {1, 0, 0}},
                                        {{1, 0, 0}, {0, 0, -1}, {0, 1, 0}}}};

// Linear light, not sRGB.
constexpr std::array<Vec, 4> palette = {{{0.105f, 0.235f, 0.42f},
                                         {0.64f, 0.27f, 0.085f},
                                         {0.19f, 0.36f, 0.19f},
                                         {0.36f, 0.16f, 0.32f}}};
constexpr Vec white = {1, 1, 1};
constexpr int smooth_size = 128;  // at least
constexpr float frame_margin = 1.12f;

/// A volume interpolated to a finer grid, minus the level: positive inside the surface.
class Field {
 public:
  Field(const Volume& volume, double level) : size_(volume.n) {
    double mean = 0, variance = 0;
    const auto count = static_cast<double>(volume.voxels.size());
    for (const float voxel : volume.voxels) mean += voxel / count;
    for (const float voxel : volume.voxels) variance += (voxel - mean) * (voxel - mean) / count;
    const double threshold = mean + level * std::sqrt(variance);
    values_.resize(volume.voxels.size());
    std::transform(volume.voxels.begin(), volume.voxels.end(), values_.begin(),
                   [&](float voxel) { return static_cast<float>(voxel - threshold); });
    // A surface needs room to close: nothing may be inside on the box's faces.
    outside_ = -static_cast<float>(std::sqrt(variance));
    const int factor = (smooth_size + volume.n - 1) / volume.n;
    if (factor > 1) refine(factor);
    voxel_size_ = static_cast<float>(volume.voxel_size / factor);
    centre_ = static_cast<float>(volume.n / 2 * factor);
    steepness_ = mean_steepness();
  }

  float at(Vec p) const {
    const float last = static_cast<float>(size_ - 1);
    if (!(p.x >= 0 && p.y >= 0 && p.z >= 0 && p.x < last && p.y < last && p.z < last))
      return outside_;
    const int x = static_cast<int>(p.x), y = static_cast<int>(p.y), z = static_cast<int>(p.z);
    const float u = p.x - x, v = p.y - y, w = p.z - z;
    const float* c = &values_[index(x, y, z)];
    const std::size_t row = size_, plane = row * size_;
    const auto along_x = [&](const float* q) { return q[0] + u * (q[1] - q[0]); };
    const float near_low = along_x(c), near_high = along_x(c + row);
    const float far_low = along_x(c + plane), far_high = along_x(c + plane + row);
    const float near = near_low + v * (near_high - near_low);
    const float far = far_low + v * (far_high - far_low);
    return near + w * (far - near);
  }

  /// Outward normal of the surface through p.
  Vec normal(Vec p) const {
    constexpr float h = 1.25f;
    return unit({at(p - Vec{h, 0, 0}) - at(p + Vec{h, 0, 0}),
                 at(p - Vec{0, h, 0}) - at(p + Vec{0, h, 0}),
                 at(p - Vec{0, 0, h}) - at(p + Vec{0, 0, h})});
  }

  /// Angstrom from the box's centre -> this grid.
  Vec position(Vec angstrom) const { return centre() + (1 / voxel_size_) * angstrom; }
  float voxel_size() const { return voxel_size_; }  // angstrom
  float steepness() const { return steepness_; }    // of the field at the surface, per voxel

  /// Calls f with the position of every voxel inside the surface, in angstrom from the centre.
  void for_each_inside(auto f) const {
    for (int z = 0; z < size_; ++z)
      for (int y = 0; y < size_; ++y)
        for (int x = 0; x < size_; ++x)
          if (values_[index(x, y, z)] > 0)
            f(voxel_size_ * (Vec{float(x), float(y), float(z)} - centre()));
  }

 private:
  std::size_t index(int x, int y, int z) const {
    return (static_cast<std::size_t>(z) * size_ + y) * size_ + x;
  }

  /// Cubic convolution (Keys, a = -1/2) along one axis after the other: it keeps the voxels and has
  /// continuous slopes, so that the shading shows no facets.
  void refine(int factor) {
    const int fine = factor * (size_ - 1) + 1;
    std::array<int, 3> extents = {size_, size_, size_};  // z, y, x
    for (int axis = 0; axis < 3; ++axis) {
      std::size_t outer = 1, inner = 1;
      for (int d = 0; d < axis; ++d) outer *= extents[d];
      for (int d = axis + 1; d < 3; ++d) inner *= extents[d];
      std::vector<float> finer(outer * fine * inner);
      for (std::size_t o = 0; o < outer; ++o)
        for (int i = 0; i < fine; ++i) {
          const int base = i / factor;
          const float t = static_cast<float>(i % factor) / factor;
          const std::array<float, 4> weights = {
              0.5f * t * (-1 + t * (2 - t)), 1 + 0.5f * t * t * (-5 + 3 * t),
              0.5f * t * (1 + t * (4 - 3 * t)), 0.5f * t * t * (t - 1)};
          float* to = &finer[(o * fine + i) * inner];
          for (int tap = 0; tap < 4; ++tap) {
            const int source = std::clamp(base + tap - 1, 0, size_ - 1);
            const float* from = &values_[(o * size_ + source) * inner];
            for (std::size_t k = 0; k < inner; ++k) to[k] += weights[tap] * from[k];
          }
        }
      values_ = std::move(finer);
      extents[axis] = fine;
    }
    size_ = fine;
  }

  /// Mean fall of the field over one voxel where it leaves the surface along x.
  float mean_steepness() const {
    double fall = 0;
    int count = 0;
    for (std::size_t i = 0; i + 1 < values_.size(); ++i)
      if (values_[i] > 0 && !(values_[i + 1] > 0)) {
        fall += values_[i] - values_[i + 1];
        ++count;
      }
    return count > 0 ? static_cast<float>(fall / count) : 1;
  }

  Vec centre() const { return {centre_, centre_, centre_}; }

  int size_;
  std::vector<float> values_;
  float outside_ = 0, voxel_size_ = 1, centre_ = 0, steepness_ = 1;
};

/// How open the surface is at p: 1 on a bump, towards 0 in a cleft. Looks along a few fixed
/// directions of the hemisphere, near and far.
float openness(const Field& field, Vec p, Vec normal, float reach) {
  constexpr int directions = 14;
  const float softness = 1 / (field.steepness() * 3);
  float covered = 0;
  for (int i = 0; i < directions; ++i) {
    // A Fibonacci spiral over the sphere, folded to the side of the normal.
    const float z = 1 - (2 * i + 1.f) / directions, radius = std::sqrt(1 - z * z);
    const float angle = 2.399963f * static_cast<float>(i);
    const Vec around = {radius * std::cos(angle), radius * std::sin(angle), z};
    const Vec direction = unit(around + 1.05f * normal);
    float hidden = 0;
    for (const float distance : {0.25f, 0.55f, 1.f}) {
      const float depth = field.at(p + (distance * reach) * direction) * softness;
      hidden = std::max(hidden, std::clamp(depth + 0.5f, 0.f, 1.f) * (1.15f - 0.5f * distance));
    }
    covered += hidden / directions;
  }
  return std::clamp(1 - covered, 0.f, 1.f);
}

/// Where the ray enters the surface between the distances `nearest` and `farthest` along it. Steps
/// shorten as the surface comes near, so that outlines, where rays only graze it, come out smooth.
std::optional<float> first_hit(const Field& field, Vec start, Vec direction, float nearest,
                               float farthest) {
  const float distance_per_value = 0.7f / field.steepness();
  float before = nearest;
  for (float t = nearest; t <= farthest;) {
    const float value = field.at(start + t * direction);
    if (value > 0) {
      float after = t;
      for (int i = 0; i < 6; ++i) {
        const float middle = 0.5f * (before + after);
        (field.at(start + middle * direction) > 0 ? after : before) = middle;
      }
      return after;
    }
    before = t;
    t += std::clamp(-value * distance_per_value, 0.15f, 1.2f);
  }
  return std::nullopt;
}

/// Light of the surface at p in the viewer's frame; depth runs from 0 (near) to 1 (far).
Vec shade(const Field& field, const View& view, Vec p, Vec colour, float depth, float reach) {
  const Vec normal = field.normal(p);
  const Vec seen = {dot(normal, view.right), dot(normal, view.up), dot(normal, view.toward)};
  const Vec key = unit({-0.5f, 0.7f, 0.75f});
  const Vec halfway = unit(key + Vec{0, 0, 1});
  const float wrapped = std::max(0.f, (dot(seen, key) + 0.3f) / 1.3f);
  const float open = openness(field, p, normal, reach);
  const Vec sky = {0.52f, 0.57f, 0.66f}, ground = {0.20f, 0.17f, 0.16f};
  const Vec light = open * mix(ground, sky, 0.5f + 0.5f * seen.y) +
                    (1.7f * wrapped * wrapped * (0.3f + 0.7f * open)) * Vec{1, 0.97f, 0.92f};
  const float gloss = 0.16f * std::pow(std::max(0.f, dot(seen, halfway)), 36.f) * open;
  // Edges turned away darken a little, which draws the outline.
  const float grazing = std::pow(1 - std::clamp(seen.z, 0.f, 1.f), 3.f);
  const Vec lit = (1 - 0.45f * grazing) * (colour * light) + gloss * white;
  return mix(lit, white, 0.2f * depth);
}

std::uint8_t srgb(float light) {
  light = std::clamp(light, 0.f, 1.f);
  const float encoded =
      light <= 0.0031308f ? 12.92f * light : 1.055f * std::pow(light, 1 / 2.4f) - 0.055f;
  return static_cast<std::uint8_t>(std::lround(255 * encoded));
}

/// The ball that holds every surface, in angstrom from the boxes' centres; radius 0 for none.
struct Ball {
  Vec centre;
  float radius = 0;
};

Ball bounding_ball(const std::vector<Field>& fields) {
  Vec low = {INFINITY, INFINITY, INFINITY}, high = -1 * low;
  for (const auto& field : fields)
    field.for_each_inside([&](Vec p) {
      low = {std::min(low.x, p.x), std::min(low.y, p.y), std::min(low.z, p.z)};
      high = {std::max(high.x, p.x), std::max(high.y, p.y), std::max(high.z, p.z)};
    });
  if (!(low.x <= high.x)) return {};
  Ball ball{.centre = 0.5f * (low + high)};
  for (const auto& field : fields)
    field.for_each_inside([&](Vec p) {
      const Vec offset = p - ball.centre;
      ball.radius = std::max(ball.radius, std::sqrt(dot(offset, offset)) + field.voxel_size());
    });
  return ball;
}

/// One volume seen from one side. Lengths are in voxels of the field; depth counts from the plane
/// that touches the frame's ball in front.
class Tile {
 public:
  Tile(const Field& field, const View& view, Vec colour, const Ball& frame, int pixels)
      : field_(field),
        view_(view),
        colour_(colour),
        radius_(frame.radius / field.voxel_size()),
        front_(field.position(frame.centre) + radius_ * view.toward),
        pixel_(2 * frame_margin * radius_ / static_cast<float>(pixels)),
        middle_(0.5f * static_cast<float>(pixels)),
        cells_((pixels + cell_pixels - 1) / cell_pixels),
        depths_(static_cast<std::size_t>(cells_) * cells_) {
    field.for_each_inside([&](Vec p) { mark(field.position(p) - front_); });
  }

  /// The light that reaches the point (x, y) of the tile, in pixels from its top left.
  Vec trace(float x, float y) const {
    const auto& depth = depths_[cell(y) * cells_ + cell(x)];
    const Vec start =
        front_ + ((x - middle_) * pixel_) * view_.right + ((middle_ - y) * pixel_) * view_.up;
    const Vec away = -1 * view_.toward;
    const auto t = first_hit(field_, start, away, depth.nearest, depth.farthest);
    if (!t) return white;
    return shade(field_, view_, start + *t * away, colour_, *t / (2 * radius_), 0.35f * radius_);
  }

 private:
  /// Depths between which a ray through a cell of a few pixels may meet the surface; none at first.
  struct DepthRange {
    float nearest = INFINITY, farthest = -INFINITY;
  };
  static constexpr int cell_pixels = 4;

  int cell(float pixel) const {
    return std::clamp(static_cast<int>(pixel / cell_pixels), 0, cells_ - 1);
  }

  /// Linear interpolation keeps the surface within a voxel's diagonal of a voxel inside it.
  void mark(Vec p) {
    constexpr float reach = 1.75f;
    const float depth = -dot(p, view_.toward);
    const float x = middle_ + dot(p, view_.right) / pixel_, y = middle_ - dot(p, view_.up) / pixel_;
    const float around = reach / pixel_;
    for (int row = cell(y - around); row <= cell(y + around); ++row)
      for (int column = cell(x - around); column <= cell(x + around); ++column) {
        auto& range = depths_[static_cast<std::size_t>(row) * cells_ + column];
        range.nearest = std::min(range.nearest, depth - reach);
        range.farthest = std::max(range.farthest, depth + reach);
      }
  }

  const Field& field_;
  View view_;
  Vec colour_;
  float radius_;
  Vec front_;
  float pixel_, middle_;  // size of a pixel in voxels; the tile's centre in pixels
  int cells_;
  std::vector<DepthRange> depths_;  // (cells, cells)
};

/// Draws the tile into the picture with its top left corner at (left, top).
void draw(const Tile& tile, Picture& picture, int left, int top, int pixels) {
  constexpr int samples = 3;  // along each side of a pixel
#pragma omp parallel for schedule(dynamic)
  for (int row = 0; row < pixels; ++row)
    for (int column = 0; column < pixels; ++column) {
      Vec light;
      for (int i = 0; i < samples * samples; ++i)
        light = light + tile.trace(column + (i % samples + 0.5f) / samples,
                                   row + (i / samples + 0.5f) / samples);
      light = (1.f / (samples * samples)) * light;
      std::uint8_t* pixel =
          &picture.rgb[3 * (std::size_t(top + row) * picture.width + left + column)];
      pixel[0] = srgb(light.x);
      pixel[1] = srgb(light.y);
      pixel[2] = srgb(light.z);
    }
}

}  // namespace

Picture render_isosurfaces(const std::vector<Volume>& volumes, double level, int tile_pixels) {
  require(!volumes.empty(), "render_isosurfaces", "there are no volumes");
  require(tile_pixels >= 8, "render_isosurfaces", "tiles must have at least 8 pixels");
  std::vector<Field> fields;
  for (const auto& volume : volumes) {
    require(volume.n > 1 && volume.voxels.size() == std::size_t(volume.n) * volume.n * volume.n,
            "render_isosurfaces", "a volume does not hold n^3 voxels");
    fields.emplace_back(volume, level);
  }
  const auto frame = bounding_ball(fields);
  const int rows = static_cast<int>(volumes.size()), columns = static_cast<int>(views.size());
  Picture picture{.width = columns * tile_pixels, .height = rows * tile_pixels};
  picture.rgb.assign(std::size_t(3) * picture.width * picture.height, 255);
  for (int row = 0; row < rows; ++row)
    for (int column = 0; column < columns && frame.radius > 0; ++column)
      draw(Tile(fields[row], views[column], palette[row % palette.size()], frame, tile_pixels),
           picture, column * tile_pixels, row * tile_pixels, tile_pixels);
  return picture;
}

}  // namespace orrery::io
