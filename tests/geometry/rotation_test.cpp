#include "geometry/rotation.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <cstdlib>
#include <fstream>
#include <numbers>
#include <sstream>
#include <string>

namespace orrery {
namespace {

constexpr double pi = std::numbers::pi;

double largest_difference(const Rotation& a, const Rotation& b) {
  double largest = 0;
  for (int i = 0; i < 9; ++i) largest = std::max(largest, std::abs(a.matrix[i] - b.matrix[i]));
  return largest;
}

void expect_rotation(const Rotation& r) {
  EXPECT_LT(largest_difference(r * transposed(r), Rotation{}), 1e-14);
  EXPECT_NEAR(determinant(r), 1, 1e-14);
}

// Right-handed turn about y: x' = x cos + z sin, z' = -x sin + z cos.
Rotation rotation_about_y(double angle) {
  const double c = std::cos(angle), s = std::sin(angle);
  return {{c, 0, s, 0, 1, 0, -s, 0, c}};
}

TEST(Vectors, ProductsByHand) {
  EXPECT_EQ(dot({1, 2, 3}, {4, -5, 6}), 12);
  EXPECT_EQ(cross({1, 2, 3}, {4, 5, 6}), (Vector3{-3, 6, -3}));
  EXPECT_EQ(norm({2, 3, 6}), 7);
  EXPECT_EQ(normalised({0, -4, 0}), (Vector3{0, -1, 0}));
  EXPECT_THROW(normalised({0, 0, 0}), std::invalid_argument);
}

TEST(Rotation, MatrixProductsByHand) {
  const Rotation a{{1, 2, 3, 4, 5, 6, 7, 8, 10}}, b{{2, 0, 1, 1, 3, 0, 0, 1, 4}};
  EXPECT_EQ((a * b).matrix, (std::array<double, 9>{4, 9, 13, 13, 21, 28, 22, 34, 47}));
  EXPECT_EQ(a * Vector3({1, 0, -1}), (Vector3{-2, -2, -3}));
  EXPECT_EQ(transposed(a).matrix, (std::array<double, 9>{1, 4, 7, 2, 5, 8, 3, 6, 10}));
  EXPECT_NEAR(determinant(a), -3, 1e-14);
  EXPECT_EQ(a.direction(), (Vector3{7, 8, 10}));
}

TEST(Rotation, QuarterTurnAboutZCarriesXToY) {
  const Vector3 y = rotation_about_z(pi / 2) * Vector3({1, 0, 0});
  EXPECT_NEAR(y[0], 0, 1e-16);
  EXPECT_EQ(y[1], 1);
}

TEST(Rotation, RotationVectorTurnsRightHanded) {
  EXPECT_LT(largest_difference(from_rotation_vector({0, 0, 0.7}), rotation_about_z(0.7)), 1e-15);
  EXPECT_LT(largest_difference(from_rotation_vector({0, -1.9, 0}), rotation_about_y(-1.9)), 1e-15);
  EXPECT_LT(largest_difference(from_rotation_vector({0, 0, 0}), Rotation{}), 1e-16);
  // So small a turn that 1 - cos is lost: the skew part must survive.
  EXPECT_NEAR(from_rotation_vector({1e-12, 0, 0})(2, 1), 1e-12, 1e-27);
}

TEST(Rotation, AngleBetweenIsAccurateFromNothingToAHalfTurn) {
  RandomSequence random(5, 0);
  for (double angle : {0.0, 1e-11, 1e-5, 0.3, 2.0, pi - 1e-5, pi - 1e-11, pi}) {
    const Rotation a = random_rotation(random);
    Vector3 axis = normalised({random.normal(), random.normal(), random.normal()});
    for (double& x : axis) x *= angle;
    EXPECT_NEAR(angle_between(a, a * from_rotation_vector(axis)), angle, 2e-15) << angle;
  }
}

TEST(Rotation, QuaternionsRoundTrip) {
  RandomSequence random(6, 0);
  for (int trial = 0; trial < 1000; ++trial) {
    const Rotation r = random_rotation(random);
    expect_rotation(r);
    const Quaternion q = to_quaternion(r);
    EXPECT_GE(q.w, 0);
    EXPECT_NEAR(q.w * q.w + q.x * q.x + q.y * q.y + q.z * q.z, 1, 1e-15);
    EXPECT_LT(largest_difference(to_rotation(q), r), 1e-15);
  }
}

TEST(Rotation, QuaternionsRoundTripNearHalfTurns) {
  // At a half turn w is zero and the sign convention leaves nothing to divide by but the axis.
  for (const Vector3 axis :
       {Vector3{1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {-0.6, 0, 0.8}, {0, -0.6, -0.8}})
    for (double angle : {pi, pi - 1e-9, pi + 1e-9, pi - 1e-3}) {
      const Rotation r = from_rotation_vector({angle * axis[0], angle * axis[1], angle * axis[2]});
      EXPECT_LT(largest_difference(to_rotation(to_quaternion(r)), r), 1e-15);
    }
}

TEST(Rotation, AnyMultipleOfAQuaternionIsTheSameRotation) {
  const Rotation r = to_rotation({0.5, 0.5, -0.5, 0.5});
  EXPECT_LT(largest_difference(to_rotation({-3, -3, 3, -3}), r), 1e-15);
  expect_rotation(r);
}

TEST(Euler, IsTheProductOfThreeTurns) {
  RandomSequence random(7, 0);
  for (int trial = 0; trial < 100; ++trial) {
    const EulerAngles e{random.uniform(-360, 360), random.uniform(0, 180),
                        random.uniform(-360, 360)};
    const Rotation product = rotation_about_z(-e.psi * pi / 180) *
                             rotation_about_y(-e.tilt * pi / 180) *
                             rotation_about_z(-e.rot * pi / 180);
    EXPECT_LT(largest_difference(from_euler(e), product), 2e-15);
  }
}

TEST(Euler, RotAndTiltAreTheDirectionsLongitudeAndColatitude) {
  const double rot = 40 * pi / 180, tilt = 70 * pi / 180;
  const Vector3 d = from_euler({40, 70, -123}).direction();
  EXPECT_NEAR(d[0], std::sin(tilt) * std::cos(rot), 1e-15);
  EXPECT_NEAR(d[1], std::sin(tilt) * std::sin(rot), 1e-15);
  EXPECT_NEAR(d[2], std::cos(tilt), 1e-15);
}

TEST(Euler, AnglesRoundTrip) {
  RandomSequence random(8, 0);
  for (int trial = 0; trial < 1000; ++trial) {
    const EulerAngles e{random.uniform(-180, 180), random.uniform(1, 179),
                        random.uniform(-180, 180)};
    const EulerAngles back = to_euler(from_euler(e));
    EXPECT_NEAR(back.rot, e.rot, 1e-11);
    EXPECT_NEAR(back.tilt, e.tilt, 1e-11);
    EXPECT_NEAR(back.psi, e.psi, 1e-11);
  }
}

TEST(Euler, RotationsRoundTripThroughGimbalLock) {
  for (double tilt : {0.0, 1e-15, 1e-13, 1e-9, 1e-4, 90.0, 180 - 1e-9, 180 - 1e-13, 180.0})
    for (double rot : {-180.0, -31.0, 0.0, 90.0, 157.0})
      for (double psi : {-180.0, -90.0, 0.0, 12.0}) {
        const Rotation r = from_euler({rot, tilt, psi});
        const EulerAngles e = to_euler(r);
        EXPECT_LT(largest_difference(from_euler(e), r), 3e-14) << rot << " " << tilt << " " << psi;
        EXPECT_GE(e.rot, -180);
        EXPECT_LT(e.rot, 180);
        EXPECT_GE(e.psi, -180);
        EXPECT_LT(e.psi, 180);
      }
}

TEST(Euler, AtThePolesRotIsZero) {
  const EulerAngles north = to_euler(from_euler({20, 0, 30}));
  EXPECT_EQ(north.rot, 0);
  EXPECT_EQ(north.tilt, 0);
  EXPECT_NEAR(north.psi, 50, 1e-12);
  const EulerAngles south = to_euler(from_euler({20, 180, 30}));
  EXPECT_EQ(south.rot, 0);
  EXPECT_EQ(south.tilt, 180);
  EXPECT_NEAR(south.psi, 10, 1e-12);
}

TEST(Rotation, LookingAlongHasTheDirectionAndPsiZero) {
  RandomSequence random(9, 0);
  for (int trial = 0; trial < 100; ++trial) {
    const Vector3 d = {random.normal(), random.normal(), random.normal()};
    const Rotation r = looking_along(d);
    expect_rotation(r);
    for (int i = 0; i < 3; ++i) EXPECT_NEAR(r.direction()[i], d[i] / norm(d), 1e-15);
    EXPECT_NEAR(to_euler(r).psi, 0, 1e-12);
    EXPECT_NEAR(to_euler(rotation_about_z(0.4) * r).psi, -0.4 * 180 / pi, 1e-12);
  }
  expect_rotation(looking_along({0, 0, 1}));
  expect_rotation(looking_along({0, 0, -1}));
  expect_rotation(looking_along({1e-200, 0, -1}));
  EXPECT_THROW(looking_along({0, 0, 0}), std::invalid_argument);
}

// Under the Haar measure E R = 0, E R_ij^2 = 1/3, E (tr R)^2 = 1, and the turn's angle has density
// (1 - cos angle) / pi, so that its cumulative distribution is (angle - sin angle) / pi.
TEST(Rotation, RandomRotationsAreHaar) {
  constexpr int count = 40000;
  RandomSequence random(10, 0);
  Rotation mean{{}}, square{{}};
  double trace_square = 0;
  std::array<int, 8> octile{};
  for (int trial = 0; trial < count; ++trial) {
    const Rotation r = random_rotation(random);
    for (int i = 0; i < 9; ++i) {
      mean.matrix[i] += r.matrix[i] / count;
      square.matrix[i] += r.matrix[i] * r.matrix[i] / count;
    }
    const double trace = r(0, 0) + r(1, 1) + r(2, 2);
    trace_square += trace * trace / count;
    const double angle = angle_between(Rotation{}, r);
    octile[std::min(7, static_cast<int>(8 * (angle - std::sin(angle)) / pi))] += 1;
  }
  for (int i = 0; i < 9; ++i) {
    EXPECT_NEAR(mean.matrix[i], 0, 0.015);
    EXPECT_NEAR(square.matrix[i], 1.0 / 3, 0.008);
  }
  EXPECT_NEAR(trace_square, 1, 0.03);
  for (int filled : octile) EXPECT_NEAR(filled, count / 8, 350);
}

TEST(Rotation, MatricesAreRowMajor) {
  const Rotation r{{1, 2, 3, 4, 5, 6, 7, 8, 9}};
  const auto matrices = matrices_of<float>(Context::cpu(1), {Rotation{}, r});
  ASSERT_EQ(matrices.extent(0), 2);
  EXPECT_EQ(matrices(0, 1, 1), 1.0f);
  EXPECT_EQ(matrices(1, 0, 2), 3.0f);
  EXPECT_EQ(matrices(1, 2, 0), 7.0f);
  EXPECT_EQ(matrices_of<double>(Context::cpu(1), {r})(0, 1, 2), 6.0);
}

// --- against RELION's own projections
// --------------------------------------------------------------

struct Maps {
  int nx = 0, ny = 0, nz = 0;
  std::vector<float> values;
};

// Little-endian MRC of mode 2 with no extended header: all that these files need.
Maps read_floats(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::array<std::int32_t, 256> header{};
  file.read(reinterpret_cast<char*>(header.data()), 1024);
  Maps maps{header[0], header[1], header[2], {}};
  maps.values.resize(std::size_t(maps.nx) * maps.ny * maps.nz);
  file.read(reinterpret_cast<char*>(maps.values.data()),
            static_cast<std::streamsize>(maps.values.size() * sizeof(float)));
  if (!file) throw std::runtime_error(path + " cannot be read");
  return maps;
}

// The particles' rows are those that name an image; their first columns are rot, tilt and psi.
std::vector<EulerAngles> read_angles(const std::string& path) {
  std::ifstream file(path);
  std::vector<EulerAngles> angles;
  for (std::string line; std::getline(file, line);) {
    EulerAngles e;
    if (line.find('@') == std::string::npos) continue;
    std::istringstream(line) >> e.rot >> e.tilt >> e.psi;
    angles.push_back(e);
  }
  return angles;
}

// sum over (z, y, x) of value exp(-2 pi i k.(position - centre) / n), k in cycles a box.
std::complex<double> transform_at(const Maps& maps, int image, int depth, const Vector3& k,
                                  const Vector3& centre) {
  auto wave = [&](int axis, int position) {
    return std::polar(1.0, -2 * pi * k[axis] * (position - centre[axis]) / maps.nx);
  };
  std::vector<std::complex<double>> wave_x(maps.nx);
  for (int x = 0; x < maps.nx; ++x) wave_x[x] = wave(0, x);
  std::complex<double> total = 0;
  const float* row = maps.values.data() + std::size_t(image) * maps.nx * maps.ny;
  for (int z = 0; z < depth; ++z) {
    std::complex<double> plane = 0;
    for (int y = 0; y < maps.ny; ++y, row += maps.nx) {
      double re = 0, im = 0;
      for (int x = 0; x < maps.nx; ++x) {
        re += row[x] * wave_x[x].real();
        im += row[x] * wave_x[x].imag();
      }
      plane += std::complex<double>(re, im) * wave(1, y);
    }
    total += plane * wave(2, z);
  }
  return total;
}

struct RelionStack {
  std::string name;
  int centre;  // of the images; the odd-size stack sits one pixel off in x and y
};

class RelionProjections : public testing::TestWithParam<RelionStack> {};

TEST_P(RelionProjections, AreSlicesAtTheirEulerAngles) {
  const char* folder = std::getenv("ORRERY_TEST_DATA");
  if (!folder) GTEST_SKIP() << "ORRERY_TEST_DATA does not name a folder with RELION's projections";
  const std::string stack = std::string(folder) + "/particles/" + GetParam().name;
  const Maps volume = read_floats(std::string(folder) + "/maps/clean70SRibosome_vol_65p.mrc");
  const Maps images = read_floats(stack + ".mrcs");
  const std::vector<EulerAngles> angles = read_angles(stack + ".star");
  ASSERT_EQ(images.nz, static_cast<int>(angles.size()));

  const double centre = GetParam().centre;
  for (int image = 0; image < images.nz; ++image) {
    const Rotation r = from_euler(angles[image]);
    double cross_power = 0, slice_power = 0, image_power = 0;
    for (int ky = 0; ky <= 16; ++ky)
      for (int kx = -16; kx <= 16; ++kx) {
        if (kx * kx + ky * ky > 16 * 16 || (ky == 0 && kx <= 0)) continue;
        const Vector3 k = {double(kx), double(ky), 0};
        const auto slice = transform_at(volume, 0, volume.nz, transposed(r) * k, {32, 32, 32});
        const auto seen = transform_at(images, image, 1, k, {centre, centre, 0});
        cross_power += (slice * std::conj(seen)).real();
        slice_power += std::norm(slice);
        image_power += std::norm(seen);
      }
    const double correlation = cross_power / std::sqrt(slice_power * image_power);
    EXPECT_GT(correlation, 0.999) << GetParam().name << ", image " << image + 1;
  }
}

INSTANTIATE_TEST_SUITE_P(Stacks, RelionProjections,
                         testing::Values(RelionStack{"rln_proj_64_centered", 32},
                                         RelionStack{"rln_proj_65_centered", 33}),
                         [](const auto& stack) { return stack.param.name; });

}  // namespace
}  // namespace orrery
