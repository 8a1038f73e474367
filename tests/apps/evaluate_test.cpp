#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <numbers>

#include "apps/evaluate/evaluation.hpp"
#include "io/mrc.hpp"
#include "io/tables.hpp"
#include "tests/support/expect_input_error.hpp"
#include "tests/support/program.hpp"

namespace orrery {
namespace {

using test::Arguments;
using test::operator+;
using testing::AllOf;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

constexpr double degree = std::numbers::pi / 180;

EvaluateOptions comparing(const std::string& reference, const std::string& map, bool align = true) {
  EvaluateOptions options;
  options.reference = reference;
  options.map = map;
  options.align = align;
  return options;
}

/// A map and a moved, mirrored copy of it.
class Evaluate : public test::ProgramTest {
 protected:
  Evaluate() : ProgramTest("evaluate") {
    volume.voxel_size = 2;
    volume.origin = {10, -4, 6};
    io::write_map(a(), volume, {});
    io::write_map(b(), rotated(ctx, volume, rotation, shift, true), {});
  }

  std::string a() const { return (folder / "a.mrc").string(); }
  std::string b() const { return (folder / "b.mrc").string(); }

  test::ProgramOutcome compare(const Arguments& more = {}) {
    return run(Arguments{"a.mrc", "b.mrc", "--device", "cpu", "--threads", "1"} + more);
  }
  std::string refusal(const Arguments& more) {
    const auto outcome = compare(more);
    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(outcome.output, "");
    return outcome.errors;
  }

  const Context ctx = Context::cpu();
  Volume volume = phantom(15);
  const Rotation rotation = from_rotation_vector({0.7, -1.2, 0.4});
  const Vector3 shift = {0.6, -0.3, 0.9};
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
  EXPECT_THAT(pair.notes, testing::ElementsAre(HasSubstr("from 20 to 15 voxels")));
  const auto e = evaluate(ctx, normalised(pair.reference), normalised(pair.map), false, 0);
  EXPECT_LT(e.relative_error, 0.01);
}

TEST_F(Evaluate, RefusesOtherBoxes) {
  Volume larger = volume;
  larger.voxel_size = 2.1;
  io::write_map(b(), larger, {});
  EXPECT_THAT(test::input_error_of([&] { read_pair(ctx, comparing(a(), b())); }),
              AllOf(HasSubstr(b()), HasSubstr("31.5"), HasSubstr("--voxel-size")));
}

TEST_F(Evaluate, ProgramPrintsOneJsonObject) {
  const auto outcome = compare({"--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  const auto json = nlohmann::json::parse(outcome.output);
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
  std::filesystem::create_directory(folder / "results");
  write("results/notes.txt", "mine");
  const auto outcome = compare({"-o", "results"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_THAT(outcome.output, HasSubstr("mirror"));
  EXPECT_THAT(files_in("results"), UnorderedElementsAre("aligned.mrc", "fsc.star", "fsc.csv",
                                                        "summary.json", "notes.txt"));
  const auto aligned = io::read_map(folder / "results/aligned.mrc").volume;
  EXPECT_LT(relative_error(volume, aligned), 0.01);
  EXPECT_NEAR(aligned.origin[0], 10, 1e-5);
  const auto star = io::read_star(folder / "results/fsc.star",
                                  {"rlnSpectralIndex", "rlnFourierShellCorrelation"});
  EXPECT_EQ(star.rows.size(), 8u);
  EXPECT_EQ(io::read_csv(folder / "results/fsc.csv").rows.size(), 8u);
  const auto summary = contents("results/summary.json");
  EXPECT_EQ(nlohmann::json::parse(summary)["hand"], "mirror");

  // Replaced when asked for, by maps that can be compared.
  EXPECT_THAT(refusal({"-o", "results"}), HasSubstr("--overwrite"));
  EXPECT_THAT(refusal({"-o", "results", "--overwrite", "--box", "17"}), HasSubstr("--box 17"));
  EXPECT_EQ(contents("results/summary.json"), summary);
  EXPECT_EQ(compare({"-o", "results", "--overwrite", "--no-align"}).code, 0);
  EXPECT_NE(contents("results/summary.json"), summary);
}

TEST_F(Evaluate, ProgramSaysWhatIsWrong) {
  EXPECT_THAT(refusal({"--mask-radius", "-3"}), HasSubstr("--mask-radius"));
  EXPECT_THAT(refusal({"--box", "14"}), AllOf(HasSubstr("--box 14"), HasSubstr("odd")));
  EXPECT_THAT(refusal({"--box", "17", "-o", "none"}),
              AllOf(HasSubstr("--box 17"), HasSubstr("15")));
  EXPECT_THAT(refusal({"-o", "a.mrc"}), HasSubstr("not a folder"));
  EXPECT_FALSE(exists("none"));

  const auto one_map = run({"a.mrc"}), no_map = run({"a.mrc", "none.mrc"});
  EXPECT_EQ(one_map.code, 2);
  EXPECT_THAT(one_map.errors, AllOf(HasSubstr("B"), HasSubstr("required")));
  EXPECT_EQ(no_map.code, 2);
  EXPECT_THAT(no_map.errors, AllOf(testing::StartsWith("evaluate: "), HasSubstr("none.mrc")));

  const auto version = run({"--version"});
  EXPECT_EQ(version.code, 0);
  EXPECT_THAT(version.output, HasSubstr("evaluate (Orrery)"));
  EXPECT_EQ(run({"--help"}).code, 0);
}

}  // namespace
}  // namespace orrery
