#include "apps/view_moments_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "io/hdf5.hpp"
#include "kernels/check.hpp"

namespace orrery {

namespace {

constexpr std::int64_t format_version = 1;
constexpr const char* basis = "hartley";
constexpr const char* form_again = "form the moments again with moments or reconstruct";

std::string of_half(const std::string& name, std::size_t half) {
  return fmt::format("{}_half_{}", name, half + 1);
}

/// What a file says, checked field by field.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) : file_(io::read_hdf5(path)) {
    if (const auto version = file_.attribute<std::int64_t>("format_version");
        version != format_version)
      refuse(fmt::format("has format version {}, but this program reads {}; {}", version,
                         format_version, form_again));
    if (const auto found = file_.attribute<std::string>("basis"); found != basis)
      refuse(fmt::format("holds moments in the basis \"{}\", but should in \"{}\"; {}", found,
                         basis, form_again));
  }

  bool has_array(const std::string& name) const { return file_.arrays.contains(name); }
  bool has_attribute(const std::string& name) const { return file_.attributes.contains(name); }

  /// A float32 array each of whose numbers `fits`.
  std::vector<float> array(const std::string& name, const std::vector<std::uint64_t>& extents,
                           bool (*fits)(float)) {
    auto numbers = file_.take_array<float>(name, extents);
    if (!std::all_of(numbers.begin(), numbers.end(), fits))
      refuse(fmt::format("\"{}\" has numbers that are NaN, infinite or out of range; {}", name,
                         form_again));
    return numbers;
  }
  std::vector<double> spectrum(const std::string& name) const {
    auto numbers = file_.array<double>(name, {0});
    if (!std::all_of(numbers.begin(), numbers.end(),
                     [](double x) { return std::isfinite(x) && x >= 0; }))
      refuse(fmt::format("\"{}\" has numbers that are no powers; {}", name, form_again));
    return numbers;
  }
  std::int64_t count(const std::string& name) const {
    const auto value = file_.attribute<std::int64_t>(name);
    if (value < 0) refuse(fmt::format("attribute \"{}\" is {}, but a count", name, value));
    return value;
  }
  double number(const std::string& name) const {
    const auto value = file_.attribute<double>(name);
    if (!(std::isfinite(value) && value >= 0))
      refuse(fmt::format("attribute \"{}\" is not a number from 0 on; {}", name, form_again));
    return value;
  }
  std::string text(const std::string& name) const { return file_.attribute<std::string>(name); }

  [[noreturn]] void refuse(const std::string& what) const {
    throw InputError(file_.source + ": " + what);
  }

 private:
  io::Hdf5File file_;
};

bool is_finite(float x) { return std::isfinite(x); }
bool is_error(float x) { return x >= 0; }  // infinite where nothing was observed

void require_symmetric(const Reader& file, const std::string& name,
                       const std::vector<float>& second, std::size_t pixels) {
  // Tile by tile, so that a large matrix is not read across its rows.
  constexpr std::size_t tile = 64;
  float largest = 0, difference = 0;
  for (std::size_t top = 0; top < pixels; top += tile)
    for (std::size_t left = 0; left <= top; left += tile)
      for (std::size_t i = top; i < std::min(top + tile, pixels); ++i)
        for (std::size_t j = left; j < std::min(left + tile, pixels); ++j) {
          const float a = second[i * pixels + j], b = second[j * pixels + i];
          largest = std::max({largest, std::abs(a), std::abs(b)});
          difference = std::max(difference, std::abs(a - b));
        }
  if (largest == 0) file.refuse(fmt::format("\"{}\" is zero; {}", name, form_again));
  if (difference > 1e-5f * largest)
    file.refuse(fmt::format("\"{}\" is not symmetric; form it as the mean of y y^T", name));
}

}  // namespace

std::filesystem::path summary_beside(const std::filesystem::path& moments) {
  return moments.string() + ".json";
}

void write_view_moments(const std::filesystem::path& path, const ViewMoments& m) {
  const auto pixels = static_cast<std::uint64_t>(m.n) * static_cast<std::uint64_t>(m.n);
  require(m.first.size() == pixels && m.second.size() == pixels * pixels, "write_view_moments",
          "the moments are not of n's size");
  io::Hdf5File file;
  std::vector<io::LargeArray> large;  // matrices, which are not copied
  const auto put = [&](const std::string& name, const std::vector<float>& numbers, bool is_matrix) {
    if (numbers.empty()) return;
    if (is_matrix)
      large.push_back({name, {pixels, pixels}, numbers});
    else
      file.arrays[name] = {{pixels}, numbers};
  };
  file.attributes["format_version"] = format_version;
  file.attributes["basis"] = basis;
  file.attributes["n"] = std::int64_t{m.n};
  file.attributes["voxel_size"] = m.voxel_size;
  file.attributes["observations"] = m.observations;
  file.attributes["noise_variance"] = m.noise_variance;
  file.attributes["shift_deviation"] = m.shift_deviation;
  if (!m.source.empty()) file.attributes["source"] = m.source;
  put("first_moment", m.first, false);
  put("second_moment", m.second, true);
  put("first_moment_error", m.first_error, false);
  put("second_moment_error", m.second_error, true);
  if (!m.noise_spectrum.empty())
    file.arrays["noise_spectrum"] = {{m.noise_spectrum.size()}, m.noise_spectrum};
  for (std::size_t half = 0; half < m.halves.size(); ++half) {
    put(of_half("first_moment", half), m.halves[half].first, false);
    put(of_half("second_moment", half), m.halves[half].second, true);
    file.attributes[of_half("observations", half)] = m.halves[half].observations;
  }
  io::write_hdf5(path, file, large);
}

ViewMoments read_view_moments(const std::filesystem::path& path) {
  Reader file(path);
  ViewMoments m;
  const auto n = file.count("n");
  if (n < 3 || n % 2 == 0 || n > 1023)
    file.refuse(fmt::format("attribute \"n\" is {}, but should be an odd number from 3 on; {}", n,
                            form_again));
  m.n = static_cast<int>(n);
  m.voxel_size = file.number("voxel_size");
  if (m.voxel_size == 0) file.refuse("attribute \"voxel_size\" is 0; give it in angstrom");
  m.observations = file.count("observations");
  m.noise_variance = file.number("noise_variance");
  if (file.has_attribute("shift_deviation")) m.shift_deviation = file.number("shift_deviation");
  if (file.has_attribute("source")) m.source = file.text("source");

  const auto pixels = static_cast<std::uint64_t>(n) * static_cast<std::uint64_t>(n);
  m.first = file.array("first_moment", {pixels}, is_finite);
  m.second = file.array("second_moment", {pixels, pixels}, is_finite);
  if (std::all_of(m.first.begin(), m.first.end(), [](float x) { return x == 0; }))
    file.refuse(fmt::format("\"first_moment\" is zero; {}", form_again));
  require_symmetric(file, "second_moment", m.second, pixels);

  if (file.has_array("first_moment_error"))
    m.first_error = file.array("first_moment_error", {pixels}, is_error);
  if (file.has_array("second_moment_error"))
    m.second_error = file.array("second_moment_error", {pixels, pixels}, is_error);
  if (file.has_array("noise_spectrum")) m.noise_spectrum = file.spectrum("noise_spectrum");
  if (file.has_array(of_half("second_moment", 0))) {
    m.halves.resize(2);
    for (std::size_t half = 0; half < 2; ++half) {
      m.halves[half].first = file.array(of_half("first_moment", half), {pixels}, is_finite);
      m.halves[half].second =
          file.array(of_half("second_moment", half), {pixels, pixels}, is_finite);
      require_symmetric(file, of_half("second_moment", half), m.halves[half].second, pixels);
      m.halves[half].observations = file.count(of_half("observations", half));
    }
  }
  return m;
}

}  // namespace orrery
