#include "apps/mra/moments_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/check.hpp"

namespace orrery {

namespace {

constexpr std::int64_t format_version = 1;
constexpr const char* basis = "real space";

/// Float32 will do, as other programs may write it.
std::vector<double> numbers(const io::Hdf5File& file, const std::string& name,
                            const std::vector<std::uint64_t>& extents) {
  const auto found = file.arrays.find(name);
  std::vector<double> values;
  if (found != file.arrays.end() &&
      std::holds_alternative<std::vector<float>>(found->second.numbers)) {
    const auto& single = file.array<float>(name, extents);
    values.assign(single.begin(), single.end());
  } else {
    values = file.array<double>(name, extents);
  }
  if (!std::all_of(values.begin(), values.end(), [](double x) { return std::isfinite(x); }))
    throw InputError(fmt::format("{}: \"{}\" has numbers that are NaN or infinite; form it again",
                                 file.source, name));
  return values;
}

std::int64_t whole(const io::Hdf5File& file, const std::string& name, std::int64_t least) {
  const auto value = file.attribute<std::int64_t>(name);
  if (value < least)
    throw InputError(fmt::format("{}: attribute \"{}\" is {}, but should be at least {}",
                                 file.source, name, value, least));
  return value;
}

void require_symmetric(const ShiftMoments& m) {
  double largest = 0, difference = 0;
  for (Index b = 0; b < m.instances; ++b)
    for (Index i = 0; i < m.n; ++i)
      for (Index j = 0; j < i; ++j) {
        const double upper = m.second[(b * m.n + j) * m.n + i];
        const double lower = m.second[(b * m.n + i) * m.n + j];
        largest = std::max({largest, std::abs(upper), std::abs(lower)});
        difference = std::max(difference, std::abs(upper - lower));
      }
  if (difference > 1e-5 * largest)
    throw InputError(m.source +
                     ": \"second_moment\" is not symmetric; form it as the mean of y y^T");
}

}  // namespace

void ShiftMoments::append(const SampleMoments& observed) {
  const auto mean = observed.first(), products = observed.second(noise_variance);
  first.insert(first.end(), mean.begin(), mean.end());
  second.insert(second.end(), products.begin(), products.end());
}

void write_shift_moments(const std::filesystem::path& path, const ShiftMoments& m) {
  const auto instances = static_cast<std::uint64_t>(m.instances);
  const auto n = static_cast<std::uint64_t>(m.n);
  io::Hdf5File file;
  file.attributes = m.notes;
  file.attributes["format_version"] = format_version;
  file.attributes["basis"] = basis;
  file.attributes["n"] = static_cast<std::int64_t>(m.n);
  file.attributes["instances"] = static_cast<std::int64_t>(m.instances);
  file.attributes["observations"] = m.observations;
  file.attributes["noise_variance"] = m.noise_variance;
  file.arrays["first_moment"] = {.extents = {instances, n}, .numbers = m.first};
  file.arrays["second_moment"] = {.extents = {instances, n, n}, .numbers = m.second};
  if (!m.signal.empty()) file.arrays["signal"] = {.extents = {instances, n}, .numbers = m.signal};
  if (!m.density.empty())
    file.arrays["density"] = {.extents = {instances, n}, .numbers = m.density};
  io::write_hdf5(path, file);
}

ShiftMoments read_shift_moments(const std::filesystem::path& path) {
  const auto file = io::read_hdf5(path);
  const auto version = file.attribute<std::int64_t>("format_version");
  if (version != format_version)
    throw InputError(
        fmt::format("{}: has format version {}, but this program reads {}; form the moments again "
                    "with mra moments",
                    file.source, version, format_version));
  if (const auto found = file.attribute<std::string>("basis"); found != basis)
    throw InputError(
        fmt::format("{}: holds moments in the basis \"{}\", but should in \"{}\"; give a file of "
                    "mra moments or mra simulate",
                    file.source, found, basis));
  ShiftMoments m;
  m.source = file.source;
  m.n = whole(file, "n", 2);
  m.observations = whole(file, "observations", 0);
  m.noise_variance = file.attribute<double>("noise_variance");
  if (!(std::isfinite(m.noise_variance) && m.noise_variance >= 0))
    throw InputError(m.source + ": attribute \"noise_variance\" is not a number from 0 on");

  const auto n = static_cast<std::uint64_t>(m.n);
  m.first = numbers(file, "first_moment", {0, n});
  m.instances = static_cast<Index>(m.first.size() / n);
  if (m.instances == 0) throw InputError(m.source + ": \"first_moment\" holds no instances");
  const auto instances = static_cast<std::uint64_t>(m.instances);
  m.second = numbers(file, "second_moment", {instances, n, n});
  require_symmetric(m);
  if (file.arrays.contains("signal")) m.signal = numbers(file, "signal", {instances, n});
  if (file.arrays.contains("density")) m.density = numbers(file, "density", {instances, n});

  m.notes = file.attributes;
  for (const char* name :
       {"format_version", "basis", "n", "instances", "observations", "noise_variance"})
    m.notes.erase(name);
  return m;
}

}  // namespace orrery
