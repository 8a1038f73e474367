#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <numbers>

#include "apps/evaluate/evaluation.hpp"
#include "io/files.hpp"
#include "io/mrc.hpp"
#include "io/tables.hpp"
#include "kernels/check.hpp"
#include "tests/support/program.hpp"

namespace orrery {
namespace {

constexpr double degree = std::numbers::pi / 180;

EvaluateOptions comparing(const std::string& reference, const std::string& map, bool align = true) {
  EvaluateOptions options;
  options.reference = reference;
  options.map = map;
  options.align = align;
  return options;
}

/// A folder of its own for each test, with a map and a moved, mirrored copy of it in it.
class Evaluate : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder = std::filesystem::path(testing::TempDir()) / "orrery_evaluate" / test->name();
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    volume.voxel_size = 2;
    volume.origin = {10, -4, 6};
    io::write_map(a(), volume, {});
    io::write_map(b(), rotated(ctx, volume, rotation, shift, true), {});
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  std::string a() const { return (folder / "a.mrc").string(); }
  std::string b() const { return (folder / "b.mrc").string(); }

  /// Exit status; standard output and standard error are kept apart.
  int run(const std::string& arguments) {
    const auto out = folder / "stdout", err = folder / "stderr";
    const int status = std::system((test::program_beside("evaluate") + " " + arguments +
                                    " --device cpu >" + out.string() + " 2>" + err.string())
                                       .c_str());
    output = io::read_text(out);
    errors = io::read_text(err);
    return WEXITSTATUS(status);
  }

  const Context ctx = Context::cpu();
  Volume volume = phantom(15);
  const Rotation rotation = from_rotation_vector({0.7, -1.2, 0.4});
  const Vector3 shift = {0.6, -0.3, 0.9};
  std::filesystem::path folder;
  std::string output, errors;
};

TEST_F(Evaluate, UndoesAKnownMotion) {
  // b = T_s R (-I) a, so that a = (-I) R^T T_-s b: hand mirror, rotation R^T (an inversion commutes
  // with rotations), shift (-I) R^T (-s) = R^T s.
  const auto pair = read_pair(ctx, comparing(a(), b()));
  const auto e = evaluate(ctx, pair.reference, pair.map, true, 0);
  EXPECT_TRUE(e.alignment.mirror);
  EXPECT_LT(angle_between(e.alignment.rotation, transposed(rotation)) / degree, 1e-2);
  const Vector3 expected = transposed(rotation) * shift;
  for (int axis = 0; axis < 3; ++axis) EXPECT_NEAR(e.alignment.shift[axis], expected[axis], 1e-3);
  EXPECT_LT(e.relative_error, 0.01);
  EXPECT_GT(e.alignment.correlation, 0.9999);
  EXPECT_NEAR(e.scale, 1, 0.01);
  EXPECT_FALSE(e.half.reached);
  EXPECT_NEAR(e.half.angstrom, 30.0 / 7, 1e-9);
}

TEST_F(Evaluate, UndoesAKnownMotionOfRealMaps) {
  const char* data = std::getenv("ORRERY_TEST_DATA");
  if (!data) GTEST_SKIP() << "ORRERY_TEST_DATA names no folder with maps/emd_0409_63.mrc";
  for (const bool mirror : {false, true}) {
    const char* name = mirror ? "emd_0409_63.mrc" : "emd_25892_63.mrc";
    SCOPED_TRACE(name);
    const std::string map = (std::filesystem::path(data) / "maps" / name).string();
    const Vector3 moved = {1.3, -0.7, 0.4};
    io::write_map(b(), rotated(ctx, io::read_map(map).volume, rotation, moved, mirror), {});
    const auto pair = read_pair(ctx, comparing(map, b()));
    const auto e = evaluate(ctx, pair.reference, pair.map, true, 0);
    EXPECT_EQ(e.alignment.mirror, mirror);
    EXPECT_LT(angle_between(e.alignment.rotation, transposed(rotation)) / degree, 0.1);
    const double sign = mirror ? 1 : -1;
    const Vector3 expected = transposed(rotation) * moved;
    for (int axis = 0; axis < 3; ++axis)
      EXPECT_NEAR(e.alignment.shift[axis], sign * expected[axis], 0.03);
    EXPECT_GT(e.fsc[15], 0.999);
  }
}

TEST_F(Evaluate, ComparesAsTheyLieWhenAskedTo) {
  const auto pair = read_pair(ctx, comparing(a(), b(), false));
  const auto e = evaluate(ctx, pair.reference, pair.map, false, 0);
  EXPECT_FALSE(e.alignment.mirror);
  EXPECT_EQ(e.alignment.rotation.matrix, Rotation{}.matrix);
  EXPECT_GT(e.relative_error, 0.1);
}

TEST_F(Evaluate, MaskKeepsWhatIsInside) {
  Volume spoiled = volume;
  spoiled.view()(1, 1, 1) += 1;  // far outside a ball of 5 voxels, as large as the whole map
  const auto whole = evaluate(ctx, volume, spoiled, false, 0);
  const auto inside = evaluate(ctx, volume, spoiled, false, 8);
  EXPECT_GT(whole.relative_error, 0.5);
  EXPECT_LT(inside.relative_error, 0.1);
}

TEST_F(Evaluate, ScaleIsReportedApart) {
  Volume doubled = volume;
  for (float& x : doubled.voxels) x *= 2;
  const auto e = evaluate(ctx, volume, doubled, false, 0);
  EXPECT_NEAR(e.relative_error, 1, 1e-5);
  EXPECT_NEAR(e.scale, 0.5, 1e-5);
  EXPECT_LT(e.scaled_relative_error, 1e-3);
}

TEST_F(Evaluate, BringsMapsToOneOddGrid) {
  // The same density on 20 voxels of 1.5 angstrom: an even grid over the same box.
  Volume fine = phantom(20);
  fine.voxel_size = 1.5;
  io::write_map(b(), fine, {});
  const auto pair = read_pair(ctx, comparing(a(), b(), false));
  EXPECT_EQ(pair.map.n, 15);
  EXPECT_EQ(pair.map.voxel_size, 2);
  EXPECT_THAT(pair.notes, testing::ElementsAre(testing::HasSubstr("from 20 to 15 voxels")));
  const auto e = evaluate(ctx, normalised(pair.reference), normalised(pair.map), false, 0);
  EXPECT_LT(e.relative_error, 0.01);
}

TEST_F(Evaluate, RefusesOtherBoxes) {
  Volume larger = volume;
  larger.voxel_size = 2.1;
  io::write_map(b(), larger, {});
  try {
    read_pair(ctx, comparing(a(), b()));
    FAIL() << "a box of another length was accepted";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), testing::AllOf(testing::HasSubstr(b()), testing::HasSubstr("31.5"),
                                             testing::HasSubstr("--voxel-size")));
  }
}

TEST_F(Evaluate, ProgramPrintsOneJsonObject) {
  ASSERT_EQ(run(a() + " " + b() + " --json"), 0) << errors;
  const auto json = nlohmann::json::parse(output);
  EXPECT_EQ(json["hand"], "mirror");
  EXPECT_EQ(json["n"], 15);
  EXPECT_NEAR(json["voxel_size"].get<double>(), 2, 1e-6);
  EXPECT_EQ(json["fsc"].size(), 8u);
  const auto angles = json["rotation_euler_degrees"].get<std::vector<double>>();
  const auto matrix = json["rotation_matrix"].get<std::vector<std::vector<double>>>();
  const Rotation from_angles = from_euler({angles[0], angles[1], angles[2]});
  for (int row = 0; row < 3; ++row)
    for (int column = 0; column < 3; ++column)
      EXPECT_NEAR(matrix[row][column], from_angles(row, column), 1e-9);
  const auto voxels = json["shift_voxels"].get<std::vector<double>>();
  const auto angstrom = json["shift_angstrom"].get<std::vector<double>>();
  EXPECT_NEAR(angstrom[2], 2 * voxels[2], 1e-6);
  for (const char* key :
       {"resolution_0_5_angstrom", "resolution_0_143_angstrom", "relative_error", "correlation"})
    EXPECT_TRUE(json[key].is_number()) << key;
}

TEST_F(Evaluate, ProgramWritesItsFilesOnce) {
  const std::string results = (folder / "results").string();
  ASSERT_EQ(run(a() + " " + b() + " -o " + results), 0) << errors;
  EXPECT_THAT(output, testing::HasSubstr("mirror"));
  const auto aligned = io::read_map(folder / "results" / "aligned.mrc").volume;
  EXPECT_LT(relative_error(volume, aligned), 0.01);
  EXPECT_NEAR(aligned.origin[0], 10, 1e-5);
  const auto star = io::read_star(folder / "results" / "fsc.star",
                                  {"rlnSpectralIndex", "rlnFourierShellCorrelation"});
  EXPECT_EQ(star.rows.size(), 8u);
  EXPECT_EQ(io::read_csv(folder / "results" / "fsc.csv").rows.size(), 8u);
  EXPECT_EQ(nlohmann::json::parse(io::read_text(folder / "results" / "summary.json"))["hand"],
            "mirror");

  EXPECT_EQ(run(a() + " " + b() + " -o " + results), 2);
  EXPECT_THAT(errors, testing::HasSubstr("--overwrite"));
  EXPECT_EQ(run(a() + " " + b() + " --overwrite --no-align -o " + results), 0) << errors;
}

TEST_F(Evaluate, ProgramSaysWhatIsWrong) {
  EXPECT_EQ(run(a() + " " + (folder / "none.mrc").string()), 2);
  EXPECT_THAT(errors,
              testing::AllOf(testing::StartsWith("evaluate: "), testing::HasSubstr("none.mrc")));
  EXPECT_EQ(output, "");
  EXPECT_EQ(run(a()), 2);
  EXPECT_EQ(run(a() + " " + b() + " --mask-radius -3"), 2);
  EXPECT_EQ(run(a() + " " + b() + " --box 14"), 2);
  EXPECT_THAT(errors, testing::HasSubstr("odd"));
  EXPECT_EQ(run(a() + " " + b() + " --box 17"), 2);
  EXPECT_EQ(run(a() + " " + b() + " -o " + a()), 2);
  EXPECT_THAT(errors, testing::HasSubstr("not a folder"));
  EXPECT_EQ(run("--version"), 0);
  EXPECT_THAT(output, testing::HasSubstr("evaluate (Orrery)"));
  EXPECT_EQ(run("--help"), 0);
}

}  // namespace
}  // namespace orrery
