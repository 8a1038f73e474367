#include "apps/estimated_view_moments.hpp"

#include <algorithm>

namespace orrery {

namespace {

std::vector<float> as_floats(const std::vector<double>& numbers) {
  return {numbers.begin(), numbers.end()};
}

}  // namespace

ViewMoments view_moments_of(std::vector<ParticleMoments> halves, std::span<const double> noise) {
  ViewMoments m;
  if (halves.size() == 2) {
    const auto has_images = [](const ParticleMoments& half) { return half.images() > 0; };
    if (std::ranges::all_of(halves, has_images))
      for (const auto& half : halves) {
        auto part = half.estimate(noise, false);
        m.halves.push_back({as_floats(part.first), std::move(part.second), part.images});
      }
    halves[0].add(halves[1]);
    halves.pop_back();
  }
  auto all = halves[0].estimate(noise);
  m.observations = all.images;
  m.first = as_floats(all.first);
  m.first_error = as_floats(all.first_error);
  m.second = std::move(all.second);
  m.second_error = std::move(all.second_error);
  return m;
}

}  // namespace orrery
