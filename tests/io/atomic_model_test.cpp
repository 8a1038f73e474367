#include "io/atomic_model.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <numbers>

#include "tests/support/expect_input_error.hpp"
#include "tests/support/temporary_folder.hpp"

namespace orrery::io {
namespace {

using test::input_error_of;
using testing::HasSubstr;

// Carbon at (10, 0, 0), oxygen at (-4, 3, 0) with half its occupancy, nitrogen at (-6, -3, 6), a
// water, and a second model that must not count.
constexpr const char* pdb = R"(HEADER    TEST
MODEL        1
ATOM      1  C   ALA A   1      10.000   0.000   0.000  1.00 20.00           C
ATOM      2  O   ALA A   1      -4.000   3.000   0.000  0.50 90.00           O
ATOM      3  N   ALA A   1      -6.000  -3.000   6.000  1.00 20.00           N
HETATM    4  O   HOH A   2       1.000   1.000   1.000  1.00 20.00           O
ENDMDL
MODEL        2
ATOM      1  C   ALA A   1      99.000   0.000   0.000  1.00 20.00           C
ENDMDL
END
)";
constexpr const char* cif = R"(data_TEST
# a comment
_entry.id TEST
_struct.title
;loop_ _atom_site.nothing
;
loop_
_atom_site.group_PDB
_atom_site.Cartn_z
_atom_site.Cartn_y
_atom_site.Cartn_x
_atom_site.type_symbol
_atom_site.label_atom_id
_atom_site.label_comp_id
_atom_site.occupancy
_atom_site.pdbx_PDB_model_num
ATOM 0 0.0(2) 10.0 C "C5'" ALA 1.00 1
ATOM 0 3.0 -4.0 O 'O a' ALA 0.50 1
ATOM 6 -3.0 -6.0 N N ALA . 1
HETATM 1 1 1 O O HOH 1 1
ATOM 0 0 99 C C ALA 1 2
loop_
_other.id
1
)";

class AtomicModels : public testing::Test {
 protected:
  AtomicModel read(const std::string& name, const std::string& text) {
    std::ofstream(folder / name) << text;
    return read_atomic_model(folder / name);
  }
  std::string error_of(const std::string& name, const std::string& text) {
    return input_error_of([&] { read(name, text); });
  }
  test::TemporaryFolder folder;
};

TEST_F(AtomicModels, AreReadFromBothKindsOfFile) {
  for (const auto& [name, text] : {std::pair{"model.pdb", pdb}, {"model.cif", cif}}) {
    const auto model = read(name, text);
    ASSERT_EQ(model.atoms.size(), 3u) << name;
    EXPECT_EQ(model.atoms[0].element, 6);
    EXPECT_EQ(model.atoms[1].element, 8);
    EXPECT_EQ(model.atoms[1].occupancy, 0.5);
    EXPECT_EQ(model.atoms[2].position, (Vector3{-6, -3, 6}));
    EXPECT_EQ(model.atoms[2].occupancy, 1);
    ASSERT_FALSE(model.notes.empty());
    EXPECT_THAT(model.notes[0], HasSubstr("water"));
  }
}

// An atom's scattering factor at 0 is its density's integral: the a's of table 4.3.2.2 summed,
// C 2.5093, N 2.2133, O 1.9826.
TEST_F(AtomicModels, BecomeDensitiesWithAtomsWhereTheyBelong) {
  const auto model = read("model.pdb", pdb);
  for (const int box : {0, 60, 61}) {
    const Volume v = density_of(model, {.resolution = 3, .voxel_size = 1, .box = box}, "model");
    EXPECT_EQ(v.n, box == 0 ? 27 : box);
    double total = 0;
    Vector3 mean = {0, 0, 0};
    for (int z = 0; z < v.n; ++z)
      for (int y = 0; y < v.n; ++y)
        for (int x = 0; x < v.n; ++x) {
          total += v.view()(z, y, x);
          const Vector3 at = {double(x), double(y), double(z)};
          for (int axis = 0; axis < 3; ++axis) mean[axis] += v.view()(z, y, x) * at[axis];
        }
    EXPECT_NEAR(total, 2.5093 + 0.5 * 1.9826 + 2.2133, 0.01);
    // The atoms' own mean is the origin; their densities' is beside it by their weights.
    const Vector3 expected = {(2.5093 * 10 - 0.9913 * 4 - 2.2133 * 6) / total,
                              (0.9913 * 3 - 2.2133 * 3) / total, 2.2133 * 6 / total};
    const Vector3 atoms_mean = {0, 0, 2};
    for (int axis = 0; axis < 3; ++axis) {
      EXPECT_NEAR(mean[axis] / total, v.n / 2 + expected[axis] - atoms_mean[axis], 0.02);
      EXPECT_EQ(v.origin[axis] + v.n / 2, atoms_mean[axis]);
    }
    // The carbon is a peak of its own.
    const int c = v.n / 2;
    const float peak = v.view()(c - 2, c, c + 10);
    for (const int step : {-1, 1}) {
      EXPECT_GT(peak, v.view()(c - 2 + step, c, c + 10));
      EXPECT_GT(peak, v.view()(c - 2, c + step, c + 10));
      EXPECT_GT(peak, v.view()(c - 2, c, c + 10 + step));
    }
  }
}

// One carbon alone: sum_i a_i (4 pi / (b_i + B))^(3/2) exp(-4 pi^2 r^2 / (b_i + B)).
TEST_F(AtomicModels, AtomsAreBlurredToTheResolution) {
  const AtomicModel model = {{{6, {1, 2, 3}, 1}}, {}};
  const Volume v = density_of(model, {.resolution = 4, .voxel_size = 1.5, .box = 15}, "model");
  const double a[] = {0.0893, 0.2563, 0.757, 1.0487, 0.3575};
  const double b[] = {0.2465, 1.71, 6.4094, 18.6113, 50.2523};
  for (int x = 0; x < 15; ++x) {
    double expected = 0;
    for (int i = 0; i < 5; ++i) {
      const double width = b[i] + 4 * 16, r = 1.5 * (x - 7);
      expected += a[i] * std::pow(4 * std::numbers::pi / width, 1.5) *
                  std::exp(-4 * std::numbers::pi * std::numbers::pi * r * r / width);
    }
    EXPECT_NEAR(v.view()(7, 7, x), expected, 1e-3 * 0.15);
  }
}

TEST_F(AtomicModels, RefuseWhatCannotBeUsed) {
  EXPECT_THAT(error_of("a.pdb", "nothing of the kind"), HasSubstr("neither PDB"));
  EXPECT_THAT(error_of("b.cif", "data_X\n_entry.id X\n"), HasSubstr("_atom_site"));
  EXPECT_THAT(error_of("c.cif", "data_X\nloop_\n_atom_site.type_symbol\nC\n"),
              HasSubstr("Cartn_x"));
  const std::string columns =
      "data_X\nloop_\n_atom_site.type_symbol\n_atom_site.Cartn_x\n_atom_site.Cartn_y\n"
      "_atom_site.Cartn_z\n";
  EXPECT_THAT(error_of("d.cif", columns + "C 1 2 x\n"), HasSubstr("row 1"));
  EXPECT_THAT(error_of("e.cif", columns + "C 1 2\n"), HasSubstr("ends early"));
  EXPECT_THAT(error_of("f.cif", columns), HasSubstr("no atoms"));
  EXPECT_THAT(input_error_of([&] { read_atomic_model(folder / "missing.pdb"); }),
              HasSubstr("missing.pdb"));
  const auto model = read("model.pdb", pdb);
  EXPECT_THAT(input_error_of([&] {
                density_of(model, {.resolution = 3, .voxel_size = 1, .box = 15}, "model.pdb");
              }),
              HasSubstr("--box 27"));
  EXPECT_THAT(
      input_error_of([&] { density_of(model, {.resolution = 3, .voxel_size = 2}, "model.pdb"); }),
      HasSubstr("--voxel-size 1.5"));
}

TEST_F(AtomicModels, OfRealMoleculesAgreeWithTheirMap) {
  const char* data = std::getenv("ORRERY_TEST_DATA");
  if (!data) GTEST_SKIP() << "ORRERY_TEST_DATA names no folder with models/3sn6.pdb.gz";
  const std::filesystem::path given = data;
  const auto from_pdb = read_atomic_model(given / "models/3sn6.pdb.gz");
  const auto from_cif = read_atomic_model(given / "models/3sn6.cif.gz");
  ASSERT_EQ(from_pdb.atoms.size(), from_cif.atoms.size());
  for (std::size_t i = 0; i < from_pdb.atoms.size(); ++i) {
    ASSERT_EQ(from_pdb.atoms[i].element, from_cif.atoms[i].element) << i;
    for (int axis = 0; axis < 3; ++axis)
      ASSERT_NEAR(from_pdb.atoms[i].position[axis], from_cif.atoms[i].position[axis], 1e-6) << i;
  }
  const Volume map = read_map(given / "maps/sim_3sn6_b2ar_gs_63.mrc").volume;
  const Volume v =
      density_of(from_pdb, {.resolution = 10, .voxel_size = map.voxel_size, .box = map.n}, "3sn6");
  double cross = 0, ours = 0, theirs = 0, mean = 0, their_mean = 0;
  for (std::size_t i = 0; i < v.voxels.size(); ++i) {
    mean += v.voxels[i] / double(v.voxels.size());
    their_mean += map.voxels[i] / double(v.voxels.size());
  }
  for (std::size_t i = 0; i < v.voxels.size(); ++i) {
    const double a = v.voxels[i] - mean, b = map.voxels[i] - their_mean;
    cross += a * b;
    ours += a * a;
    theirs += b * b;
  }
  EXPECT_GT(cross / std::sqrt(ours * theirs), 0.95);
}

}  // namespace
}  // namespace orrery::io
