#include "io/fsc.hpp"

#include <gtest/gtest.h>

#include "io/tables.hpp"

namespace orrery::io {
namespace {

TEST(WriteFsc, GivesRelionsColumnsAndATable) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "orrery_write_fsc";
  std::filesystem::create_directories(folder);
  write_fsc(folder, {1, 0.75, 0.25}, 20);
  const auto star = read_star(
      folder / "fsc.star",
      {"rlnSpectralIndex", "rlnResolution", "rlnAngstromResolution", "rlnFourierShellCorrelation"});
  const std::vector<std::vector<double>> expected = {
      {0, 0, 999, 1}, {1, 0.05, 20, 0.75}, {2, 0.1, 10, 0.25}};
  EXPECT_EQ(star.rows, expected);
  const auto csv = read_csv(folder / "fsc.csv");
  EXPECT_EQ(csv.columns, (std::vector<std::string>{"shell", "resolution_angstrom", "fsc"}));
  EXPECT_EQ(csv.rows[2], (std::vector<double>{2, 10, 0.25}));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace orrery::io
