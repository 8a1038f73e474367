#include "io/tables.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <cstdlib>
#include <limits>

#include "io/files.hpp"
#include "kernels/random.hpp"
#include "tests/support/expect_input_error.hpp"
#include "tests/support/temporary_folder.hpp"

namespace orrery::io {
namespace {

using test::input_error_of;
using test::TemporaryFolder;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

class Tables : public testing::Test {
 protected:
  std::filesystem::path save(const std::string& text) {
    write_text(folder / "table", text);
    return folder / "table";
  }
  std::string csv_refusal(const std::string& text) {
    const auto path = save(text);
    const auto message = input_error_of([&] { read_csv(path); });
    EXPECT_THAT(message, StartsWith(path.string() + ": "));
    return message;
  }
  std::string star_refusal(const std::string& text, const std::vector<std::string>& needed) {
    const auto path = save(text);
    const auto message = input_error_of([&] { read_star(path, needed); });
    EXPECT_THAT(message, StartsWith(path.string()));
    return message;
  }

  TemporaryFolder folder;
};

Table awkward_numbers() {
  Table table{.columns = {"a", "b"},
              .rows = {{0, -0.0}, {0.1, 1. / 3}, {1e-320, 1.7e308}, {25, 1e21}}};
  RandomSequence random(3, 0);
  for (int i = 0; i < 200; ++i) {
    const double x = random.normal();
    table.rows.push_back({x, std::exp(100 * x)});
  }
  return table;
}

TEST_F(Tables, CsvReadsBackExactly) {
  const auto table = awkward_numbers();
  write_csv(folder / "a.csv", table);
  const auto read = read_csv(folder / "a.csv");
  EXPECT_EQ(read.columns, table.columns);
  EXPECT_EQ(read.rows, table.rows);
  EXPECT_EQ(read.column("b"), 1);
  EXPECT_THAT(read_text(folder / "a.csv"), StartsWith("a,b\n0,-0\n0.1,0.3333333333333333\n"));
}

TEST_F(Tables, CsvKeepsWhatIsNoFiniteNumber) {
  write_csv(folder / "a.csv", {.columns = {"x", "y"}, .rows = {{NAN, -INFINITY}}});
  const auto read = read_csv(folder / "a.csv");
  EXPECT_TRUE(std::isnan(read.rows[0][0]));
  EXPECT_EQ(read.rows[0][1], -INFINITY);
}

TEST_F(Tables, CsvPassesOverBlanksAndDosLineEnds) {
  const auto read = read_csv(save("\xEF\xBB\xBF rot , tilt\r\n 1,+2.5 \r\n\r\n3e0,\t-4\r\n\n"));
  EXPECT_THAT(read.columns, ElementsAre("rot", "tilt"));
  EXPECT_THAT(read.rows, ElementsAre(ElementsAre(1, 2.5), ElementsAre(3, -4)));
  EXPECT_THAT(read_csv(save("only,a,header")).rows, IsEmpty());
}

TEST_F(Tables, CsvNamesTheMistake) {
  EXPECT_THAT(input_error_of([&] { read_csv(folder / "absent.csv"); }), HasSubstr("no such file"));
  EXPECT_THAT(csv_refusal(""), HasSubstr("is empty"));
  EXPECT_THAT(csv_refusal("\n \n"), HasSubstr("is empty"));
  EXPECT_THAT(csv_refusal("1,2\n3,4\n"), HasSubstr("must name the columns"));
  EXPECT_THAT(csv_refusal("a,a\n"), HasSubstr("\"a\" is there twice"));
  EXPECT_THAT(csv_refusal("a,b\n1,2\n\n3\n"),
              HasSubstr("line 4 has 1 fields, but the header has 2"));
  EXPECT_THAT(csv_refusal("a,b\n1,2,\n"), HasSubstr("line 2 has 3 fields"));
  EXPECT_THAT(csv_refusal("a,b\n1,x2\n"),
              HasSubstr("line 2, column \"b\": \"x2\" is not a number"));
  EXPECT_THAT(csv_refusal("a,b\n1,2x\n"), HasSubstr("not a number"));
  EXPECT_THAT(csv_refusal("a,b\n1,\n"), HasSubstr("not a number"));
  EXPECT_THAT(csv_refusal("a\n1e999\n"), HasSubstr("not a number"));
  const auto table = read_csv(save("a,b\n1,2\n"));
  EXPECT_THAT(input_error_of([&] { table.column("weight"); }),
              AllOf(HasSubstr((folder / "table").string()), HasSubstr("no column \"weight\""),
                    HasSubstr("a, b")));
}

TEST_F(Tables, RefusesToWriteRaggedTables) {
  EXPECT_THROW(write_csv(folder / "a", {.columns = {"x"}, .rows = {{1, 2}}}),
               std::invalid_argument);
  EXPECT_THROW(write_csv(folder / "a", {.columns = {"x,y"}, .rows = {}}), std::invalid_argument);
  EXPECT_THROW(write_star(folder / "a", "block", {.columns = {"x"}, .rows = {{}}}),
               std::invalid_argument);
}

TEST_F(Tables, StarReadsBackExactly) {
  const auto table = awkward_numbers();
  write_star(folder / "a.star", "fsc", table);
  EXPECT_THAT(read_text(folder / "a.star"),
              StartsWith("\ndata_fsc\n\nloop_\n_a #1\n_b #2\n0 -0\n0.1 "));
  EXPECT_EQ(read_star(folder / "a.star", {"a", "b"}).rows, table.rows);
  const auto swapped = read_star(folder / "a.star", {"b", "a"});
  EXPECT_THAT(swapped.columns, ElementsAre("b", "a"));
  EXPECT_EQ(swapped.rows[1][1], 0.1);
}

const char* const relion_file = R"(
# version 30001

data_optics

loop_
_rlnOpticsGroupName #1
_rlnOpticsGroup #2
_rlnVoltage #3 [kV]
opticsGroup1    1   300.000000

data_particles

loop_
_rlnAngleRot #1
_rlnImageName #2
_rlnAngleTilt #3
  235.820138  000001@a.mrcs   113.086030
   86.698555	000002@a.mrcs	31.958115

)";

TEST_F(Tables, StarReadsRelionFiles) {
  const auto table = read_star(save(relion_file), {"rlnAngleTilt", "rlnAngleRot"});
  EXPECT_THAT(table.columns, ElementsAre("rlnAngleTilt", "rlnAngleRot"));
  EXPECT_THAT(table.rows,
              ElementsAre(ElementsAre(113.08603, 235.820138), ElementsAre(31.958115, 86.698555)));
  EXPECT_EQ(table.source, (folder / "table").string());
  EXPECT_THAT(read_star(save(relion_file), {"rlnVoltage"}).rows, ElementsAre(ElementsAre(300)));
}

TEST_F(Tables, StarKnowsQuotesTextsAndComments) {
  const auto path = save(
      "data_ # no name\r\n_pair 1\r\n_text\n;several\nloop_ _a 7\n;\n"
      "loop_ _a _b#\n'it''s \" 1' \"2\" # 3 4\n''\n+3.5e1 loop_ _a\nstop_\n");
  EXPECT_THAT(read_star(path, {"b#"}).rows, ElementsAre(ElementsAre(2), ElementsAre(35)));
  EXPECT_THAT(input_error_of([&] { read_star(path, {"a"}); }), HasSubstr("line 8"));
}

TEST_F(Tables, StarNamesTheMistake) {
  EXPECT_THAT(star_refusal(relion_file, {"rlnAngleRot", "rlnAnglePsi"}),
              HasSubstr("no loop has the column _rlnAnglePsi"));
  EXPECT_THAT(star_refusal(relion_file, {"rlnA", "rlnB"}), HasSubstr("columns _rlnA, _rlnB"));
  EXPECT_THAT(star_refusal(relion_file, {"rlnImageName"}),
              HasSubstr("line 18: column _rlnImageName: \"000001@a.mrcs\" is not a number"));
  EXPECT_THAT(star_refusal("data_x\nloop_\n_a\n_b\n1 2 3\n", {"a"}),
              HasSubstr("line 2: the loop of 2 columns has 3 values"));
  EXPECT_THAT(star_refusal("data_x\nloop_ 1 2\n", {"a"}), HasSubstr("line 2: the loop has no"));
  EXPECT_THAT(star_refusal("data_x\n_name 'it\n", {"a"}), HasSubstr("line 2: a quote is opened"));
  EXPECT_THAT(star_refusal("data_x\n_name '", {"a"}), HasSubstr("line 2: a quote is opened"));
  EXPECT_THAT(star_refusal("data_x\n_name\n;it\n", {"a"}), HasSubstr("line 3: the text that"));
  EXPECT_THAT(star_refusal("rot,tilt\n1,2\n", {"a"}), HasSubstr("starts with data_"));
  EXPECT_THAT(star_refusal("", {"a"}), HasSubstr("no loop has the column _a"));
  EXPECT_THAT(star_refusal(std::string(3000, '\0'), {"a"}), HasSubstr("is not text"));
  EXPECT_THAT(input_error_of([&] { read_star(folder / "absent", {"a"}); }),
              HasSubstr("no such file"));
}

TEST_F(Tables, StarReadsEveryParticleFileOfTheCollection) {
  const char* data = std::getenv("ORRERY_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "ORRERY_TEST_DATA names no folder of test files";
  const auto particles = std::filesystem::path(data) / "particles";
  if (!std::filesystem::exists(particles)) GTEST_SKIP() << particles << " is not there";
  const std::vector<std::string> angles = {"rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"};
  for (const char* name : {"rln_proj_64_centered.star", "rln_proj_64_shifted.star",
                           "rln_proj_65_centered.star", "rln_proj_65_shifted.star"})
    EXPECT_EQ(read_star(particles / name, angles).rows.size(), 4u) << name;
  for (const char* name : {"sample_particles_relion30.star", "sample_particles_relion31.star"})
    EXPECT_EQ(read_star(particles / name, angles).rows.size(), 17u) << name;
  EXPECT_EQ(read_star(particles / "rln_proj_65_centered.star", angles).rows[0].size(), 3u);
  EXPECT_THAT(
      read_star(particles / "rln_proj_65_shifted.star", {"rlnAngleRot", "rlnOriginX"}).rows[0],
      ElementsAre(235.820138, 6));
  EXPECT_THAT(input_error_of([&] { read_star(particles / "empiar_10076_7.star", angles); }),
              HasSubstr("_rlnAngleRot, _rlnAngleTilt, _rlnAnglePsi"));
  EXPECT_THAT(input_error_of([&] {
                read_star(particles / "sample_incomplete_ctf_params.star", {"rlnVoltage"});
              }),
              HasSubstr("_rlnVoltage"));
}

}  // namespace
}  // namespace orrery::io
