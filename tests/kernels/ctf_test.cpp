#include "kernels/ctf.hpp"

#include <cmath>
#include <complex>
#include <numbers>
#include <vector>

#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"

namespace orrery::test {
namespace {

constexpr double pi = std::numbers::pi;
const Context cpu = Context::cpu();

/// Relativistic wavelength from the constants of nature: h c / sqrt(E^2 + 2 E m c^2), in angstrom.
double wavelength_from_constants(double voltage_kv) {
  const double energy = 1e3 * voltage_kv;  // eV
  constexpr double rest_energy = 510998.95, hc = 12398.41984;
  return hc / std::sqrt(energy * energy + 2 * energy * rest_energy);
}

/// The same transfer function as the wave sees it: the phase chi that the lens adds, by the angle
/// of the frequency and in powers of the scattering angle, of which a weak object's image keeps
/// cos(w) sin chi + sin(w) cos chi, sin w = Q. Frequencies in 1/angstrom.
double oracle(const CtfParameters& p, double sx, double sy) {
  const double wavelength = electron_wavelength(p.voltage);
  const double scattering_angle = wavelength * std::hypot(sx, sy);
  const double around = std::atan2(sy, sx) - p.defocus_angle * pi / 180;
  const double defocus =
      p.defocus_u * std::pow(std::cos(around), 2) + p.defocus_v * std::pow(std::sin(around), 2);
  const double path = defocus * std::pow(scattering_angle, 2) / 2 -
                      1e7 * p.spherical_aberration * std::pow(scattering_angle, 4) / 4;
  const double chi = 2 * pi / wavelength * path + p.phase_shift * pi / 180;
  const double q = p.amplitude_contrast;
  const double contrast = std::sqrt(1 - q * q) * std::sin(chi) + q * std::cos(chi);
  return p.scale * contrast * std::exp(-p.b_factor * (sx * sx + sy * sy) / 4);
}

std::vector<CtfParameters> some_parameters() {
  CtfParameters round{.voltage = 300, .defocus_u = 15000, .defocus_v = 15000};
  CtfParameters astigmatic{.voltage = 200,
                           .spherical_aberration = 2,
                           .amplitude_contrast = 0.07,
                           .defocus_u = 21000,
                           .defocus_v = 17000,
                           .defocus_angle = 33};
  CtfParameters phase_plate{.voltage = 100,
                            .spherical_aberration = 0.01,
                            .defocus_u = 4000,
                            .defocus_v = 5000,
                            .defocus_angle = -80,
                            .phase_shift = 90,
                            .b_factor = 40,
                            .scale = 0.8};
  return {round, astigmatic, phase_plate};
}

View<const CtfParameters, 1> all(const std::vector<CtfParameters>& parameters) {
  return {parameters.data(), std::ssize(parameters)};
}

TEST(ElectronWavelength, IsThatOfTheTables) {
  EXPECT_NEAR(electron_wavelength(300), 0.019687, 1e-6);
  EXPECT_NEAR(electron_wavelength(200), 0.025079, 1e-6);
  EXPECT_NEAR(electron_wavelength(100), 0.037014, 1e-6);
  for (const double voltage : {60., 120., 300., 1000.})
    EXPECT_NEAR(electron_wavelength(voltage) / wavelength_from_constants(voltage), 1, 1e-5);
}

TEST(ContrastTransfer, OfAWeakObject) {
  const auto parameters = some_parameters();
  for (const int n : {1, 5, 63}) {
    const double box = 100 + n;
    Tensor<double, 2> c(cpu, 3, n * n);
    contrast_transfer<double>(cpu, all(parameters), n, box, c);
    const int h = n / 2;
    for (int b = 0; b < 3; ++b)
      for (int ky = -h; ky <= h; ++ky)
        for (int kx = -h; kx <= h; ++kx)
          ASSERT_NEAR(c(b, (ky + h) * n + kx + h), oracle(parameters[b], kx / box, ky / box), 1e-11)
              << b << " " << kx << " " << ky;
  }
}

TEST(ContrastTransfer, ByHand) {
  CtfParameters p{.spherical_aberration = 0, .amplitude_contrast = 0};
  const double box = 20, wavelength = electron_wavelength(p.voltage);
  // Along y, where the angle of 90 degrees points, the defocus gives a phase of pi/2 at k = 1;
  // along x, across it, one of pi/6. Halfway between the two defoci are averaged: at |k|^2 = 2, 2
  // pi/3.
  p.defocus_u = box * box / (2 * wavelength);
  p.defocus_v = p.defocus_u / 3;
  p.defocus_angle = 90;
  Tensor<double, 2> c(cpu, 1, 9);
  const double diagonal = std::sin(2 * pi / 3);
  const double astigmatic[9] = {diagonal, 1, diagonal, 0.5, 0, 0.5, diagonal, 1, diagonal};
  contrast_transfer<double>(cpu, {&p, 1}, 3, box, c);
  for (int i = 0; i < 9; ++i) EXPECT_NEAR(c(0, i), astigmatic[i], 1e-12) << i;
  // At 45 degrees, from the x axis to the y axis, the diagonal through (1, 1) has the larger one.
  p.defocus_angle = 45;
  contrast_transfer<double>(cpu, {&p, 1}, 3, box, c);
  EXPECT_NEAR(c(0, 8), std::sin(pi), 1e-12);
  EXPECT_NEAR(c(0, 0), std::sin(pi), 1e-12);
  EXPECT_NEAR(c(0, 2), std::sin(pi / 3), 1e-12);
  EXPECT_NEAR(c(0, 6), std::sin(pi / 3), 1e-12);
  // Amplitude contrast and a phase plate are seen at the origin, a scale everywhere.
  p.amplitude_contrast = 0.3;
  p.scale = 2;
  contrast_transfer<double>(cpu, {&p, 1}, 3, box, c);
  EXPECT_NEAR(c(0, 4), 2 * 0.3, 1e-12);
  p.phase_shift = 90;
  contrast_transfer<double>(cpu, {&p, 1}, 3, box, c);
  EXPECT_NEAR(c(0, 4), 2 * std::sqrt(1 - 0.3 * 0.3), 1e-12);
}

TEST(ContrastTransfer, OfParticlesIsPositiveAtLowFrequencies) {
  const CtfParameters p{.defocus_u = 15000, .defocus_v = 15000};
  Tensor<double, 2> c(cpu, 1, 9);
  contrast_transfer<double>(cpu, {&p, 1}, 3, 400, c);
  for (const double value : c.view()) EXPECT_GT(value, 0);
}

TEST(ContrastTransfer, IsEvenAndKeepsItsNumbersWithTheBox) {
  const auto parameters = some_parameters();
  Tensor<double, 2> c(cpu, 3, 25 * 25), smaller(cpu, 3, 11 * 11);
  contrast_transfer<double>(cpu, all(parameters), 25, 80, c);
  contrast_transfer<double>(cpu, all(parameters), 11, 80, smaller);
  for (int b = 0; b < 3; ++b)
    for (int iy = 0; iy < 25; ++iy)
      for (int ix = 0; ix < 25; ++ix) {
        EXPECT_NEAR(c(b, iy * 25 + ix), c(b, (24 - iy) * 25 + 24 - ix), 1e-12);
        const int jy = iy - 7, jx = ix - 7;  // a smaller grid is the middle of a larger
        if (jy >= 0 && jy < 11 && jx >= 0 && jx < 11) {
          EXPECT_NEAR(c(b, iy * 25 + ix), smaller(b, jy * 11 + jx), 1e-12);
        }
      }
}

TEST(ContrastTransfer, InSinglePrecisionLosesOnlyThePhasesLastDigits) {
  const auto parameters = some_parameters();
  Tensor<double, 2> c(cpu, 3, 127 * 127);
  Tensor<float, 2> single(cpu, 3, 127 * 127);
  contrast_transfer<double>(cpu, all(parameters), 127, 170, c);
  contrast_transfer<float>(cpu, all(parameters), 127, 170, single);
  EXPECT_LT(relative_difference(single, c), 2e-5);
}

TEST(ContrastTransfer, RefusesWrongShapes) {
  const CtfParameters p;
  Tensor<float, 2> c(cpu, 1, 9), even(cpu, 1, 16);
  EXPECT_THROW(contrast_transfer<float>(cpu, {&p, 1}, 4, 10, even), std::invalid_argument);
  EXPECT_THROW(contrast_transfer<float>(cpu, {&p, 1}, 5, 10, c), std::invalid_argument);
  EXPECT_THROW(contrast_transfer<float>(cpu, {}, 3, 10, c), std::invalid_argument);
  EXPECT_THROW(contrast_transfer<float>(cpu, {&p, 1}, 3, 0, c), std::invalid_argument);
  EXPECT_THROW(contrast_transfer<float>(cpu, {&p, 1}, 3, NAN, c), std::invalid_argument);
  Tensor<float, 2> none(cpu, 0, 9);
  EXPECT_NO_THROW(contrast_transfer<float>(cpu, {}, 3, 10, none));
}

class ContrastTransferParity : public testing::TestWithParam<BackendUnderTest> {};

TEST_P(ContrastTransferParity, AgreesWithTheCpu) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const auto ctx = make_context(GetParam());
  std::vector<CtfParameters> parameters;
  for (int i = 0; i < 4; ++i)
    for (const auto& p : some_parameters()) parameters.push_back(p);
  for (const int n : {1, 3, 41}) {
    Tensor<double, 2> expected(cpu, 12, n * n), c(ctx, 12, n * n);
    contrast_transfer<double>(cpu, all(parameters), n, 90, expected);
    contrast_transfer<double>(ctx, all(parameters), n, 90, c);
    EXPECT_LT(relative_difference(download(ctx, c), expected), 1e-12);
    Tensor<float, 2> single(ctx, 12, n * n);
    contrast_transfer<float>(ctx, all(parameters), n, 90, single);
    EXPECT_LT(relative_difference(download(ctx, single), expected), 2e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, ContrastTransferParity, testing::ValuesIn(device_backends()),
                         backend_name);

}  // namespace
}  // namespace orrery::test
