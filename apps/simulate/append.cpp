#include "apps/simulate/append.hpp"

#include <fmt/format.h>

#include <cmath>

#include "io/files.hpp"
#include "io/mrc.hpp"
#include "io/particle_images.hpp"
#include "kernels/check.hpp"

namespace orrery {
namespace {

/// Files round numbers to six digits or more.
bool agree(double a, double b) { return std::abs(a - b) <= 1e-5 * std::max(std::abs(a), 1e-3); }

class Comparison {
 public:
  explicit Comparison(const std::filesystem::path& star) : star_(star.string()) {}

  template <class T>
  void require_same(const std::string& what, const T& earlier, const T& now,
                    const std::string& unit, const char* remedy) const {
    const bool same = [&] {
      if constexpr (std::is_same_v<T, double>) return agree(earlier, now);
      return earlier == now;
    }();
    if (!same)
      refuse(what, fmt::format("{}{}", earlier, unit), fmt::format("{}{}", now, unit), remedy);
  }
  [[noreturn]] void refuse(const std::string& what, const std::string& earlier,
                           const std::string& now, const char* remedy) const {
    throw InputError(fmt::format("--append: {} of {} is {}, but that of further images {}; {}",
                                 what, star_, earlier, now, remedy));
  }

 private:
  std::string star_;
};

}  // namespace

EarlierImages read_earlier_images(const std::filesystem::path& star,
                                  const std::filesystem::path& summary) {
  const auto refuse = [&](const std::string& what) { throw InputError("--append: " + what); };
  for (const auto& path : {star, summary})
    if (!std::filesystem::exists(path))
      refuse(path.string() +
             " is not there, and images can only join a data set that is; leave --append out");
  EarlierImages earlier;
  earlier.summary = nlohmann::ordered_json::parse(io::read_text(summary), nullptr, false);
  if (!earlier.summary.is_object() || earlier.summary.value("program", "") != "simulate")
    refuse(summary.string() +
           " was not written by simulate, whose images alone others can join; give another -o");
  earlier.table = io::read_particles(star);
  const io::ParticleImages whole(earlier.table, io::BadStacks::refuse);
  return earlier;
}

void require_alike(const EarlierImages& earlier, const SimulateOptions& options,
                   const Volume& truth, const std::filesystem::path& earlier_truth,
                   const nlohmann::ordered_json& summary) {
  const Comparison comparison(earlier.table.source);
  const auto& group = earlier.table.groups.at(0);
  const auto& optics = earlier.table.particles.at(0).ctf;
  comparison.require_same("the image size", group.image_size, truth.n, " pixels",
                          "give the same --box");
  comparison.require_same("the voxel size", group.pixel_size, truth.voxel_size, " A",
                          "give the same --voxel-size");
  const auto with_or_without = [](bool ctf) { return std::string(ctf ? "one" : "none"); };
  comparison.require_same("the CTF", with_or_without(earlier.table.has_ctf),
                          with_or_without(options.ctf), "", "give --ctf for both or for neither");
  if (options.ctf) {
    comparison.require_same("the voltage", optics.voltage, options.voltage, " kV",
                            "give the same --voltage");
    comparison.require_same("the spherical aberration", optics.spherical_aberration,
                            options.spherical_aberration, " mm",
                            "give the same --spherical-aberration");
    comparison.require_same("the amplitude contrast", optics.amplitude_contrast,
                            options.amplitude_contrast, "", "give the same --amplitude-contrast");
    comparison.require_same("the phase shift", optics.phase_shift, options.phase_shift, " degrees",
                            "give the same --phase-shift");
  }
  const double before = earlier.summary.value("noise_sigma", 0.), now = summary.at("noise_sigma");
  comparison.require_same("the noise's sigma", before, now, "",
                          fmt::format("give --noise-sigma {}", before).c_str());
  comparison.require_same("the noise", earlier.summary.value("noise", options.noise), options.noise,
                          "", "give the same --noise");
  if (earlier.summary.value("views", summary.at("views")) != summary.at("views"))
    comparison.refuse("the density of views", "one", "another",
                      "give the same --seed, --view-mixture and --in-plane, or the same --views");

  const Volume seen = io::read_map(earlier_truth).volume;
  double difference = 0, norm = 0;
  for (std::size_t i = 0; seen.n == truth.n && i < truth.voxels.size(); ++i) {
    difference += std::pow(double(truth.voxels[i]) - seen.voxels[i], 2);
    norm += std::pow(double(seen.voxels[i]), 2);
  }
  if (seen.n != truth.n || difference > 1e-8 * norm)
    comparison.refuse("what is seen", "one volume", "another",
                      "give the same --volume or --model, and its options");
}

io::ParticleTable joined(io::ParticleTable earlier, const io::ParticleTable& further) {
  const auto stacks = static_cast<int>(earlier.stacks.size());
  earlier.stacks.insert(earlier.stacks.end(), further.stacks.begin(), further.stacks.end());
  for (auto particle : further.particles) {
    particle.stack += stacks;
    earlier.particles.push_back(particle);
  }
  earlier.has_origins |= further.has_origins;
  return earlier;
}

}  // namespace orrery
