#include "io/chart.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <regex>

#include "io/files.hpp"
#include "kernels/check.hpp"
#include "tests/support/temporary_folder.hpp"

namespace orrery::io {
namespace {

using testing::HasSubstr;

class Chart : public testing::Test {
 protected:
  std::string svg_of(const std::vector<Panel>& panels) {
    write_chart(folder_ / "chart.svg", panels);
    return read_text(folder_ / "chart.svg");
  }
  test::TemporaryFolder folder_;
};

TEST_F(Chart, PutsPointsWhereTheAxesSayTheyAre) {
  const auto svg = svg_of(
      {{.title = "t", .x_label = "x", .y_label = "y", .curves = {{"line", {0, 10}, {-1, 1}}}}});
  // The frame is 70 to 700 across; 250 (below) to 40 up.
  EXPECT_THAT(svg, HasSubstr("d='M70.0 250.0L700.0 40.0'"));
  for (const char* label : {">0<", ">10<", ">-1<", ">1<", ">line<", ">t<"})
    EXPECT_THAT(svg, HasSubstr(label));
}

TEST_F(Chart, LabelsAxesWithRoundNumbers) {
  const auto svg = svg_of({{.curves = {{"a", {0, 1}, {-1.13, -0.42}}}}});
  for (const char* label : {">-1.2<", ">-1<", ">-0.8<", ">-0.4<"})
    EXPECT_THAT(svg, HasSubstr(label));
}

TEST_F(Chart, BreaksCurvesAtNumbersThatAreNotFinite) {
  const auto svg = svg_of({{.curves = {{"a", {0, 1, 2, 3}, {0, NAN, 1, 0}}}}});
  EXPECT_THAT(svg, testing::ContainsRegex("d='M[0-9. ]*M[0-9. ]*L[0-9. ]*'"));
  EXPECT_THAT(svg, testing::Not(HasSubstr("nan")));
}

TEST_F(Chart, EscapesNames) {
  EXPECT_THAT(svg_of({{.title = "a < b & c", .curves = {{"x", {0}, {0}}}}}),
              HasSubstr("a &lt; b &amp; c"));
}

TEST_F(Chart, StacksPanels) {
  const Panel panel{.curves = {{"x", {0, 1}, {0, 1}}}};
  EXPECT_THAT(svg_of({panel, panel}), HasSubstr("height='600'"));
}

TEST_F(Chart, RefusesWhatCannotBeDrawn) {
  const auto path = folder_ / "chart.svg";
  EXPECT_THROW(write_chart(path, {}), std::invalid_argument);
  EXPECT_THROW(write_chart(path, {Panel{}}), std::invalid_argument);
  EXPECT_THROW(write_chart(path, {{.curves = {{"x", {0, 1}, {0}}}}}), std::invalid_argument);
  EXPECT_THROW(write_chart(path, {{.curves = {{"x", {NAN}, {0}}}}}), std::invalid_argument);
  EXPECT_THROW(write_chart(folder_ / "none" / "chart.svg", {{.curves = {{"x", {0}, {0}}}}}),
               InputError);
}

}  // namespace
}  // namespace orrery::io
